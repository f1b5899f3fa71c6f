package ratefield_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/internal/ratefield"
)

func TestAppendXRateLimit(t *testing.T) {
	const max = "9223372036854775807"
	tests := []struct {
		name  string
		s     ratefield.State
		delta bool
		want  [3]string // limit, remaining, reset; an empty reset is absent
	}{
		{"unix", ratefield.State{Limit: 3, Remaining: 2, ResetAt: 1704067200, ResetAfter: time.Minute}, false, [3]string{"3", "2", "1704067200"}},
		{"delta", ratefield.State{Limit: 3, Remaining: 2, ResetAt: 1704067200, ResetAfter: 19001 * time.Millisecond}, true, [3]string{"3", "2", "20"}},
		{"delta, unused", ratefield.State{Limit: 3, Remaining: 3, ResetAt: 1704067200}, true, [3]string{"3", "3", "0"}},
		{"no reset", ratefield.State{Limit: 10, Remaining: 3, Concurrency: true}, false, [3]string{"10", "3"}},
		{"no reset, delta", ratefield.State{Limit: 10, Remaining: 3, ResetAfter: time.Second}, true, [3]string{"10", "3"}},
		{"reset before 1970", ratefield.State{ResetAt: -1}, false, [3]string{"0", "0"}},
		{"a bucket shows its capacity", ratefield.State{Limit: 10, Burst: 50, Remaining: 49}, false, [3]string{"50", "49"}},
		{"a bucket smaller than its limit", ratefield.State{Limit: 10, Burst: 5, Remaining: 5}, false, [3]string{"5", "5"}},
		{"decimals round down", ratefield.State{Limit: 45200, Remaining: 44999, Precision: 3}, false, [3]string{"45", "44"}},
		{"burst with decimals", ratefield.State{Limit: 10, Burst: 199, Remaining: 9, Precision: 1}, false, [3]string{"19", "0"}},
		{"below nothing", ratefield.State{Limit: -1, Burst: -1, Remaining: -15, Precision: 1}, false, [3]string{"0", "0"}},
		{"more decimals than digits", ratefield.State{Limit: math.MaxInt64, Remaining: 1, Precision: 255}, false, [3]string{"0", "0"}},
		{"largest numbers", ratefield.State{Limit: math.MaxInt64, Remaining: math.MaxInt64, ResetAt: math.MaxInt64}, false, [3]string{max, max, max}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := fields{{"Before", "x"}, {"X-RateLimit-Limit", tt.want[0]}, {"X-RateLimit-Remaining", tt.want[1]}}
			if tt.want[2] != "" {
				want = append(want, fields{{"X-RateLimit-Reset", tt.want[2]}}...)
			}
			got := ratefield.AppendXRateLimit(fields{{"Before", "x"}}, &tt.s, tt.delta)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("fields differ (-want +got):\n%s", diff)
			}
		})
	}
}
