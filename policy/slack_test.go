package policy_test

import (
	"fmt"
	"testing"
)

func TestSlack(t *testing.T) {
	for _, c := range []struct {
		options string
		want    int64 // tokens of 2,000 that may be lent at once
	}{
		{"", 100},
		{", accuracy: leased, slack: 12.5%", 250},
		{", slack: 100%", 2000},
		{", accuracy: approx", 100},
		{", slack: 0%", 0},
		{", slack: 0.1%", 0}, // 2 tokens are too few
		{", accuracy: strict", 0},
		{", precision: 2", 100_00},
	} {
		s := set(t, fmt.Sprintf("apiVersion: limits/v1\nnamespace: shop\nlimits:\n  - {name: calls, key: [user], limit: 2000, per: 1m%s}\n", c.options))
		l := limitOf(t, s, "calls", "", "u")
		if got := l.Lendable(); got != c.want {
			t.Errorf("of 2000 with options %q, %d may be lent, want %d", c.options, got, c.want)
		}
	}
}
