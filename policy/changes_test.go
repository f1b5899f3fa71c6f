package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

const before = `
apiVersion: limits/v1
namespace: shop
limits:
  - {name: calls, key: [user], limit: {by: plan, values: {free: 10, pro: 20}, default: 5}, per: 1m}
  - {name: day, key: [user], limit: 100, per: 1d, algorithm: fixed_window}
  - {name: jobs, kind: concurrency, key: [user], limit: 3, lease: {ttl: 60s}}
overrides:
  - {match: {user: big}, limits: {calls: 50}}
`

func set(t *testing.T, texts ...string) *policy.Set {
	t.Helper()
	s := &policy.Set{}
	for _, text := range texts {
		s = s.WithPolicy(parse(t, text))
	}
	return s
}

// limitOf is a limit as a counter knows it.
func limitOf(t *testing.T, s *policy.Set, name, plan, user string) bucketring.Limit {
	t.Helper()
	p, err := s.Policy("shop")
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Resolve(&bucketring.Request{Namespace: "shop", Cost: 1, Attributes: map[string]string{"plan": plan, "user": user}},
		policy.Facts{Now: time.Unix(0, 0), NewID: func() bucketring.ID { return bucketring.ID{1} }})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range c.Groups {
		for _, charge := range g.Charges {
			if charge.Limit.Name == name {
				l := *charge.Limit
				l.Name = ""
				return l
			}
		}
	}
	t.Fatalf("no limit %q for a caller of plan %q", name, plan)
	return bucketring.Limit{}
}

func TestChanges(t *testing.T) {
	old := set(t, before)
	callers := []struct{ name, plan, user string }{
		{"calls", "free", "u"}, {"calls", "pro", "u"}, {"calls", "other", "u"}, {"calls", "free", "big"}, {"day", "free", "u"}, {"jobs", "free", "u"},
	}
	tests := []struct {
		name    string
		replace []string
		want    []string // by caller: the new amount, "-" for as it is, "gone"
	}{
		{"one plan", []string{"free: 10", "free: 15"}, []string{"15", "-", "-", "-", "-", "-"}},
		{"the default", []string{"default: 5", "default: 6"}, []string{"-", "-", "6", "-", "-", "-"}},
		{"an override", []string{"calls: 50", "calls: 60"}, []string{"-", "-", "-", "60", "-", "-"}},
		{"a plan that is gone", []string{"free: 10, ", ""}, []string{"5", "-", "-", "-", "-", "-"}},
		{"another window", []string{"per: 1d", "per: 1h"}, []string{"-", "-", "-", "-", "gone", "-"}},
		{"another unit", []string{"limit: 100,", "limit: 100, unit: bytes,"}, []string{"-", "-", "-", "-", "gone", "-"}},
		{"another key", []string{"name: jobs, kind: concurrency, key: [user]", "name: jobs, kind: concurrency, key: [team]"}, []string{"-", "-", "-", "-", "-", "gone"}},
		{"another name", []string{"name: day", "name: daily"}, []string{"-", "-", "-", "-", "gone", "-"}},
		{"two amounts become one and another", []string{"free: 10, pro: 20", "free: 20, pro: 30"}, []string{"20", "30", "-", "-", "-", "-"}},
	}
	for _, tt := range tests {
		fresh := set(t, strings.Replace(before, tt.replace[0], tt.replace[1], 1))
		change := policy.Changes(old, fresh)
		if change == nil {
			t.Errorf("%s: no change", tt.name)
			continue
		}
		for i, c := range callers {
			l := limitOf(t, old, c.name, c.plan, c.user)
			to, drop := change(&l)
			got := "-"
			switch {
			case drop:
				got = "gone"
			case to != nil && to.Amount != l.Amount:
				got = string(bucketring.AppendAmount(nil, to.Amount, 0))
			}
			if got != tt.want[i] {
				t.Errorf("%s: %v becomes %s, want %s", tt.name, c, got, tt.want[i])
			}
		}
	}
	if policy.Changes(old, set(t, before)) != nil || policy.Changes(old, old) != nil || policy.Changes(nil, old) != nil {
		t.Error("equal sets, or one that comes first, change counters")
	}
	if change := policy.Changes(old, &policy.Set{}); change == nil {
		t.Error("a namespace that is gone changes nothing")
	}
}

// One amount that two plans had and that differs for them now has no successor:
// the next call of each caller knows.
func TestAmbiguousChangeIsLeftToTheNextCall(t *testing.T) {
	old := set(t, strings.Replace(before, "pro: 20", "pro: 10", 1))
	fresh := set(t, strings.Replace(before, "free: 10", "free: 30", 1))
	l := limitOf(t, old, "calls", "free", "u")
	if to, drop := policy.Changes(old, fresh)(&l); to != nil || drop {
		t.Errorf("10 of two plans becomes %v, %v, want it left as it is", to, drop)
	}
}

// TestDurability: levels are known to a second node unless the policy says otherwise, the others
// if it says so; and that changes no counter.
func TestDurability(t *testing.T) {
	for _, tt := range []struct {
		kind, says string
		want       bool
	}{
		{"kind: level", "", true}, {"kind: level", ", durability: replica", true}, {"kind: level", ", durability: none", false},
		{"per: 1d", "", false}, {"per: 1d", ", durability: replica", true}, {"per: 1d", ", durability: none", false},
		{"kind: concurrency, lease: {ttl: 60s}", ", durability: replica", true}, {"kind: concurrency, lease: {ttl: 60s}", "", false},
	} {
		text := func(durability string) string {
			return "apiVersion: limits/v1\nnamespace: test\nlimits:\n  - {name: one, key: [user], limit: 5, " + tt.kind + durability + "}\n"
		}
		p := parse(t, text(tt.says))
		c, err := p.Resolve(&bucketring.Request{Namespace: "test", Attributes: map[string]string{"user": "u"}, Cost: 1}, policy.Facts{Now: time.Unix(1, 0), NewID: func() bucketring.ID { return bucketring.ID{1} }})
		if err != nil {
			t.Fatal(err)
		}
		l := *c.Groups[0].Charges[0].Limit
		if l.Durable != tt.want {
			t.Errorf("%s%s is durable: %v, want %v", tt.kind, tt.says, l.Durable, tt.want)
		}
		change := policy.Changes((&policy.Set{}).WithPolicy(p), (&policy.Set{}).WithPolicy(parse(t, text(", durability: none"))))
		if change == nil {
			continue
		}
		if to, drop := change(&l); drop || to != nil && (to.Amount != l.Amount || to.Per != l.Per) {
			t.Errorf("%s%s: durability changes a counter to %v, dropped: %v", tt.kind, tt.says, to, drop)
		}
	}
}
