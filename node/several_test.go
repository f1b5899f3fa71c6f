// several_test.go: calls with several limits, one after the other. Those at once
// are in race_test.go.

package node_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// severalLimits draws limits with different windows.
func severalLimits() *rapid.Generator[[]bucketring.Limit] {
	return rapid.Custom(func(t *rapid.T) []bucketring.Limit {
		all := make([]bucketring.Limit, rapid.IntRange(2, 5).Draw(t, "limits"))
		for i := range all {
			all[i] = bucketring.Limit{
				Name: fmt.Sprint("l", i), Algorithm: rapid.SampledFrom(bucketring.Algorithms()).Draw(t, "algorithm"),
				Amount:   rapid.Int64Range(0, 8).Draw(t, "amount"),
				Per:      time.Duration(i+1) * rapid.SampledFrom([]time.Duration{time.Second, time.Minute}).Draw(t, "per"),
				Accuracy: rapid.SampledFrom([]bucketring.Accuracy{bucketring.Leased, bucketring.Strict}).Draw(t, "accuracy"),
			}
			if all[i].Algorithm == bucketring.FixedWindow && rapid.Bool().Draw(t, "first request") {
				all[i].Align = bucketring.AlignFirstRequest
			}
		}
		for i := range all { // two of a kind with one window would be one counter
			for j := range i {
				if all[i].SameCounter(&all[j]) {
					all[i].Per += 7 * time.Second
				}
			}
		}
		return all
	})
}

// A visit is one call of a schedule.
type visit struct {
	Pause time.Duration
	Node  int
	Cost  int64
}

func visits() *rapid.Generator[[]visit] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) visit {
		return visit{
			Pause: time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause")) * time.Millisecond,
			Node:  rapid.IntRange(0, 2).Draw(t, "node"), Cost: rapid.Int64Range(0, 5).Draw(t, "cost"),
		}
	}), 1, 20)
}

// TestAllOrNothing: at any node and with any limits, a denied call changes no
// counter, an allowed one charges each limit, and a peek says before what a take
// says then.
func TestAllOrNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l, schedule := severalLimits().Draw(rt, "limits"), visits().Draw(rt, "visits")
		fault := ""
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3)
			for i, v := range schedule {
				time.Sleep(v.Pause)
				if diff := c.visit(v, l); diff != "" {
					fault = fmt.Sprintf("visit %d %+v of %v: %s", i, v, l, diff)
					return
				}
			}
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

// visit makes a call and returns what is wrong with it.
func (c *cluster) visit(v visit, l []bucketring.Limit) string {
	n := c.nodes[v.Node]
	req := bucketring.Request{Verb: bucketring.VerbPeek, Key: "k", Limits: l, Cost: v.Cost}
	before := peek(c.t, n, "k", l)
	promised := mustTake(c.t, n, req)
	if diff := cmp.Diff(before, peek(c.t, n, "k", l)); diff != "" {
		return "the peek changed the counters:\n" + diff
	}
	req.Verb = bucketring.VerbTake
	got := mustTake(c.t, n, req)
	if diff := cmp.Diff(promised, got); diff != "" {
		return "the take differs from its peek (-peek +take):\n" + diff
	}
	after, fits := peek(c.t, n, "k", l), true
	for i := range l {
		fits = fits && v.Cost <= before[i].Remaining
	}
	if got.Allowed != fits {
		return fmt.Sprintf("Take = %v with %+v before, want %v", got.Allowed, before, fits)
	}
	if !fits {
		if diff := cmp.Diff(before, after); diff != "" {
			return "the denial changed the counters:\n" + diff
		}
		return c.deniedStates(before, &got, v.Cost)
	}
	for i, s := range after {
		if want := before[i].Remaining - v.Cost; s.Remaining != want || got.Limits[i].Remaining != want {
			return fmt.Sprintf("remaining of %v = %d, said %d, want %d", l[i], s.Remaining, got.Limits[i].Remaining, want)
		}
	}
	return ""
}

// deniedStates checks the answer of a denial: limits with room show what they
// have.
func (c *cluster) deniedStates(before []bucketring.LimitState, got *bucketring.Decision, cost int64) string {
	for i, s := range got.Limits {
		if s.Allowed != (cost <= before[i].Remaining) || s.Remaining != before[i].Remaining {
			return fmt.Sprintf("state %d of a denial = %+v with %+v before", i, s, before[i])
		}
		if s.Allowed && s != before[i] {
			return fmt.Sprintf("state %d of a denial = %+v, want it uncharged: %+v", i, s, before[i])
		}
		if s.Allowed != (s.RetryAfter == 0) {
			return fmt.Sprintf("state %d of a denial = %+v, want a RetryAfter exactly if it has no room", i, s)
		}
	}
	return ""
}

// TestDenialOpensNoWindow: a window that begins with the first charge has not
// begun after a call that another limit denied.
func TestDenialOpensNoWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newCluster(t, 1).nodes[0]
		l := append(limits(t, "3/h"), bucketring.Limit{
			Name: "first", Algorithm: bucketring.FixedWindow, Align: bucketring.AlignFirstRequest, Amount: 5, Per: time.Minute,
		})
		before := peek(t, n, "k", l)
		if d := mustTake(t, n, bucketring.Request{Key: "k", Limits: l, Cost: 4}); d.Allowed {
			t.Errorf("Take of 4 with 3/h = %+v, want a denial", d)
		}
		time.Sleep(time.Second)
		after := peek(t, n, "k", l)
		if after[1].ResetAfter != 0 || after[1].Remaining != before[1].Remaining {
			t.Errorf("first-request window after a denial = %+v, want it not begun", after[1])
		}
	})
}

// TestDescribe is policy-format 11: which of several limits an answer describes.
func TestDescribe(t *testing.T) {
	const never, s = bucketring.Never, time.Second
	ok := func(remaining int64, reset time.Duration) bucketring.LimitState {
		return bucketring.LimitState{Allowed: true, Limit: 100, Remaining: remaining, ResetAfter: reset}
	}
	no := func(remaining int64, retry, reset time.Duration) bucketring.LimitState {
		return bucketring.LimitState{Limit: 100, Remaining: remaining, RetryAfter: retry, ResetAfter: reset}
	}
	tests := []struct {
		name   string
		cost   int64
		states []bucketring.LimitState
		want   int
	}{
		{"fewest further calls", 1, []bucketring.LimitState{ok(5, s), ok(3, s), ok(4, s)}, 1},
		{"calls, not tokens", 10, []bucketring.LimitState{ok(9, s), ok(5, 2*s)}, 1}, // both none: later reset
		{"calls, not tokens, in order", 10, []bucketring.LimitState{ok(29, s), ok(20, s)}, 0},
		{"cost 0 counts as 1", 0, []bucketring.LimitState{ok(5, 9*s), ok(4, s)}, 1},
		{"tie goes to the later reset", 1, []bucketring.LimitState{ok(3, s), ok(3, 3*s), ok(3, 2*s)}, 1},
		{"tie without reset loses", 1, []bucketring.LimitState{ok(3, 0), ok(3, s)}, 1},
		{"full tie goes to the first", 1, []bucketring.LimitState{ok(4, s), ok(3, s), ok(3, s)}, 1},
		{"denied one before an empty one", 1, []bucketring.LimitState{ok(0, 9*s), no(50, s, s), ok(0, 9*s)}, 1},
		{"denied: latest retry", 1, []bucketring.LimitState{no(0, s, 9*s), no(5, 3*s, 3*s), no(0, 2*s, 9*s)}, 1},
		{"denied: never is latest", 1, []bucketring.LimitState{no(0, time.Hour, s), no(9, never, 0)}, 1},
		{"denied: two never, the first", 1, []bucketring.LimitState{ok(0, s), no(9, never, 0), no(0, never, s)}, 1},
		{"denied: tie goes to the first", 1, []bucketring.LimitState{no(5, s, s), no(0, s, 2*s)}, 0},
	}
	for _, tt := range tests {
		allowed := true
		for i := range tt.states {
			tt.states[i].Name = fmt.Sprint("limit ", i)
			allowed = allowed && tt.states[i].Allowed
		}
		want := bucketring.Decision{Allowed: allowed, LimitState: tt.states[tt.want], Limits: tt.states}
		if diff := cmp.Diff(want, node.Describe(tt.states, tt.cost)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestDescribedThroughCalls holds some rules of TestDescribe against whole calls
// at the owner and at another node.
func TestDescribedThroughCalls(t *testing.T) {
	tests := []struct {
		limits     string
		used, cost int64 // tokens taken before, and asked for
		allowed    bool
		want       string // name of the limit described
		retry      time.Duration
	}{
		{"10/s, 100/m", 0, 1, true, "inline", 0},
		{"10/s, 10/m", 0, 1, true, "inline-2", 0}, // later reset
		{"10/m, 10/s", 0, 1, true, "inline", 0},
		{"10/m, 10/h", 0, 11, false, "inline", bucketring.Never},
		{"20/m, 10/h", 0, 11, false, "inline-2", bucketring.Never},
		{"10/m, 10/h", 10, 1, false, "inline-2", 6 * time.Minute},
		{"10/m, 100/h", 10, 1, false, "inline", 6 * time.Second},
		{"10/m, 0/h, 5/d", 0, 0, true, "inline-2", 0}, // cost 0 only looks
		{"10/m, 0/h, 5/d", 0, 1, false, "inline-2", bucketring.Never},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2)
			l := limits(t, tt.limits)
			for owner := range 2 {
				key := c.keyOf(owner)
				for range tt.used {
					mustTake(t, c.nodes[0], take(key, l))
				}
				d := mustTake(t, c.nodes[0], bucketring.Request{Key: key, Limits: l, Cost: tt.cost})
				if d.Allowed != tt.allowed || d.Name != tt.want || d.RetryAfter != tt.retry {
					t.Errorf("Take of %d with %s after %d = %+v, want %v by %s after %v",
						tt.cost, tt.limits, tt.used, d, tt.allowed, tt.want, tt.retry)
				}
				if len(d.Limits) != len(l) {
					t.Errorf("Take with %s lists %d limits, want all", tt.limits, len(d.Limits))
				}
			}
		})
	}
}

func TestRefundAndResetOfSeveralLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		l := limits(t, "10/m, 20/h algorithm=fixed_window, 30/d algorithm=sliding_window")
		remaining := func(n *node.Node) (all [3]int64) {
			for i, s := range peek(t, n, "k", l) {
				all[i] = s.Remaining
			}
			return all
		}
		steps := []struct {
			verb bucketring.Verb
			cost int64
			want [3]int64
		}{
			{bucketring.VerbTake, 4, [3]int64{6, 16, 26}},
			{bucketring.VerbRefund, 1, [3]int64{7, 17, 27}},
			{bucketring.VerbTake, 8, [3]int64{7, 17, 27}}, // denied
			{bucketring.VerbRefund, 99, [3]int64{10, 20, 30}},
			{bucketring.VerbTake, 10, [3]int64{0, 10, 20}},
			{bucketring.VerbReset, 0, [3]int64{10, 20, 30}},
		}
		for i, s := range steps {
			mustTake(t, c.nodes[i%3], bucketring.Request{Verb: s.verb, Key: "k", Limits: l, Cost: s.cost})
			for j, n := range c.nodes {
				if got := remaining(n); got != s.want {
					t.Errorf("remaining at %s after %v %d = %v, want %v", nodeName(j), s.verb, s.cost, got, s.want)
				}
			}
		}
	})
}
