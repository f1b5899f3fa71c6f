package node_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// answers is a peer that says what a test wants.
type answers func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error)

func (f answers) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return f(ctx, req)
}

// refusal is a peer that names another one.
func refusal(hint string) answers {
	return func(context.Context, bucketring.Request) (bucketring.Decision, error) {
		return bucketring.Decision{}, &bucketring.NotOwner{Hint: hint}
	}
}

// TestRingsThatDisagree: each node has the ring of its row; a call at n1 for a
// key that n2 owns, as n1 sees it, is asked as listed and no further.
func TestRingsThatDisagree(t *testing.T) {
	tests := []struct {
		name  string
		views [][]string // of n1, n2 and so on; nil is the ring of all
		asks  []string
		owner string // who decided; "" if the call fell back
	}{
		{"all agree", [][]string{nil, nil, nil}, []string{"n1>n2"}, "n2"},
		{"two say each other", [][]string{nil, {"n1"}}, []string{"n1>n2"}, ""},
		{"cycle of three", [][]string{nil, {"n3"}, {"n1"}}, []string{"n1>n2", "n1>n3"}, ""},
		{"cycle of two behind", [][]string{nil, {"n3"}, {"n2"}}, []string{"n1>n2", "n1>n3"}, ""},
		{"hint is right", [][]string{nil, {"n3"}, {"n3"}}, []string{"n1>n2", "n1>n3"}, "n3"},
		{"second hint is right", [][]string{nil, {"n3"}, {"n4"}, {"n4"}}, []string{"n1>n2", "n1>n3", "n1>n4"}, "n4"},
		{"third hint is not followed", [][]string{nil, {"n3"}, {"n4"}, {"n5"}, {"n5"}}, []string{"n1>n2", "n1>n3", "n1>n4"}, ""},
		{"hint to an unknown member", [][]string{nil, {"n9"}, nil}, []string{"n1>n2"}, ""},
		{"no hint", [][]string{nil, {}, nil}, []string{"n1>n2"}, ""},
	}
	for i := range 2 * len(tests) {
		tt, taking, name := tests[i/2], mustTake, "/waiting"
		if i%2 == 1 {
			taking, name = mustBegin, "/begun"
		}
		t.Run(tt.name+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, len(tt.views))
				key := c.keyOf(1)
				for i, view := range tt.views {
					if view != nil {
						c.nodes[i].SetRing(c.ring(nodeName(i), view...))
					}
				}
				d := taking(t, c.nodes[0], take(key, limits(t, "10/h")))
				if diff := cmp.Diff(tt.asks, c.wires.asked()); diff != "" {
					t.Errorf("asks (-want +got):\n%s", diff)
				}
				if d.Owner != tt.owner || d.Degraded != (tt.owner == "") || d.Node != "n1" {
					t.Errorf("Take(%q) = %+v, want it decided by %q", key, d, tt.owner)
				}
				checkCharged(t, c, tt.owner)
			})
		})
	}
}

// checkCharged expects one counter at the node that decided and none elsewhere.
func checkCharged(t *testing.T, c *cluster, owner string) {
	t.Helper()
	for i, n := range c.nodes {
		want := int64(0)
		if nodeName(i) == owner {
			want = 1
		}
		if got := n.Stats().Table.Keys; got != want {
			t.Errorf("%s holds %d counters, want %d", nodeName(i), got, want)
		}
	}
}

func TestHintToTheSameMemberIsNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		for _, hint := range []string{"n2", "n1", ""} {
			c.wires.put("n2", refusal(hint))
			d := mustTake(t, c.nodes[0], take(c.keyOf(1), limits(t, "10/h")))
			if diff := cmp.Diff([]string{"n1>n2"}, c.wires.asked()); diff != "" || !d.Degraded {
				t.Errorf("hint %q: %+v with asks (-want +got):\n%s", hint, d, diff)
			}
		}
	})
}

func TestLocalNeverForwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		_, err := c.nodes[0].Local().Take(t.Context(), take(c.keyOf(1), limits(t, "10/h")))
		var refused *bucketring.NotOwner
		if !errors.As(err, &refused) || refused.Hint != "n2" || !errors.Is(err, bucketring.ErrUnavailable) {
			t.Errorf("Take of a key of n2 at n1's Local = %v, want a hint to n2", err)
		}
		if asks := c.wires.asked(); len(asks) > 0 {
			t.Errorf("asks = %v, want none", asks)
		}
		checkCharged(t, c, "")
	})
}

func TestRingThatChangesDuringAnAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		key, l := c.keyOf(1), limits(t, "10/h")
		// n2 has left and says so; n1 learns of it while it asks.
		alone := c.ring("n1", "n1")
		c.wires.put("n2", answers(func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
			c.nodes[0].SetRing(alone)
			return refusal("n1")(ctx, req)
		}))
		d := mustTake(t, c.nodes[0], take(key, l))
		if d.Degraded || d.Owner != "n1" || d.Node != "n1" || d.Remaining != 9 {
			t.Errorf("Take(%q) = %+v, want n1 to decide it", key, d)
		}
	})
}

func TestInvalidAtTheOwnerIsNoReasonToFallBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.wires.put("n2", answers(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			return bucketring.Decision{}, bucketring.Invalidf("limit is too new for me")
		}))
		_, err := c.nodes[0].Take(t.Context(), take(c.keyOf(1), limits(t, "10/h")))
		if !errors.Is(err, bucketring.ErrInvalid) || err.Error() != "limit is too new for me" {
			t.Errorf("Take = %v, want the owner's error", err)
		}
	})
}

// TestBudget: a call that nobody answers ends in time, to the nanosecond.
func TestBudget(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name                     string
		budget, deadline, cancel time.Duration // deadline and cancel are the caller's; 0 is none
		refused                  time.Duration // after which n2 names n3, which hangs; 0 if n2 hangs
		want                     time.Duration
		err                      error
	}{
		{name: "default", want: 25 * ms},
		{name: "config", budget: 7 * ms, want: 7 * ms},
		{name: "long config", budget: time.Minute, want: time.Minute},
		{name: "callers deadline first", deadline: 10 * ms, want: 9 * ms},
		{name: "callers deadline later", deadline: 26 * ms, want: 25 * ms},
		{name: "callers deadline just earlier", deadline: 26*ms - 1, want: 25*ms - 1},
		{name: "callers deadline is near", deadline: ms / 2, want: 0},
		{name: "callers deadline has passed", deadline: -ms, want: 0, err: context.DeadlineExceeded},
		{name: "caller gives up", cancel: 5 * ms, want: 5 * ms, err: context.Canceled},
		{name: "caller gave up", cancel: -1, want: 0, err: context.Canceled},
		{name: "hint has the rest", refused: 20 * ms, want: 25 * ms},
		{name: "hint and callers deadline", refused: 5 * ms, deadline: 8 * ms, want: 7 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, func(cfg *node.Config) { cfg.Budget = tt.budget })
				if tt.refused == 0 {
					c.wires.set("n2", hangs)
				}
				c.wires.put("n2", answers(func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
					time.Sleep(tt.refused)
					return refusal("n3")(ctx, req)
				}))
				c.wires.set("n3", hangs)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.deadline != 0 {
					ctx, cancel = context.WithDeadline(ctx, time.Now().Add(tt.deadline))
					defer cancel()
				}
				if tt.cancel > 0 {
					time.AfterFunc(tt.cancel, cancel)
				} else if tt.cancel < 0 {
					cancel()
				}
				checkEnds(ctx, t, c, tt.want, tt.err)
			})
		})
	}
}

// checkEnds expects a call to end after a time, by falling back or with err.
func checkEnds(ctx context.Context, t *testing.T, c *cluster, after time.Duration, want error) {
	t.Helper()
	began := time.Now()
	d, err := c.nodes[0].Take(ctx, take(c.keyOf(1), limits(t, "10/h")))
	if took := time.Since(began); took != after {
		t.Errorf("Take ended after %v, want %v", took, after)
	}
	if want != err || err == nil && (d.Source != bucketring.SourceFallbackShare || !d.Degraded) {
		t.Errorf("Take = %+v, %v, want a share or %v", d, err, want)
	}
}

// TestNoTimeNoAsk: whoever cannot wait for an answer does not ask, because the
// owner would charge a call that is answered without it.
func TestNoTimeNoAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		for left, asks := range map[time.Duration]int{time.Millisecond: 0, time.Millisecond / 2: 0, time.Millisecond + 1: 1} {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			if _, err := c.nodes[0].Take(ctx, take(c.keyOf(1), limits(t, "10/h"))); err != nil {
				t.Errorf("Take with %v left = %v, want a decision", left, err)
			}
			if got := len(c.wires.asked()); got != asks {
				t.Errorf("asks with %v left = %d, want %d", left, got, asks)
			}
			cancel()
		}
	})
}

func TestAnswerWithinTheBudgetCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.wires.slow(12 * time.Millisecond)
		began := time.Now()
		d := mustTake(t, c.nodes[0], take(c.keyOf(1), limits(t, "10/h")))
		if took := time.Since(began); took != 24*time.Millisecond || d.Owner != "n2" || d.Degraded {
			t.Errorf("Take = %+v after %v, want the decision of n2 after 24ms", d, took)
		}
		c.wires.slow(13 * time.Millisecond) // charged, but too late
		if d := mustTake(t, c.nodes[0], take(c.keyOf(1), limits(t, "10/h"))); !d.Degraded {
			t.Errorf("Take with an answer after 26ms = %+v, want a share", d)
		}
		c.wires.slow(0)
		if got := peek(t, c.nodes[0], c.keyOf(1), limits(t, "10/h"))[0].Remaining; got != 8 {
			t.Errorf("remaining = %d, want 8: a lost answer charges too, which only denies", got)
		}
	})
}

func TestCancelledCallsChargeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for owner := range 2 {
			_, err := c.nodes[0].Take(ctx, take(c.keyOf(owner), limits(t, "10/h")))
			if err != context.Canceled {
				t.Errorf("Take of a key of %s = %v, want %v", nodeName(owner), err, context.Canceled)
			}
		}
		checkCharged(t, c, "")
		if asks := c.wires.asked(); len(asks) > 0 {
			t.Errorf("asks = %v, want none", asks)
		}
	})
}
