package node_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// epoch is where the clocks of a bubble begin, in Unix seconds.
func epoch() int64 { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix() }

// away is a cluster whose n2 cannot be reached, and a key of n2.
func away(t *testing.T, nodes int) (c *cluster, key string) {
	c = newCluster(t, nodes)
	c.wires.set("n2", refuses)
	return c, c.keyOf(1)
}

// degraded is an answer of n1 without the owner.
func degraded(source bucketring.Source, s bucketring.LimitState) bucketring.Decision {
	if s.Name == "" {
		s.Name = "inline"
	}
	return bucketring.Decision{Allowed: s.Allowed, LimitState: s, Source: source, Degraded: true, Node: "n1"}
}

// TestModes: two takes in a row while the owner refuses, each answer whole.
func TestModes(t *testing.T) {
	const s = time.Second
	at := epoch()
	open := degraded(bucketring.SourceFallbackOpen, bucketring.LimitState{Allowed: true, Limit: 300, Remaining: 300, ResetAt: at})
	closed := degraded(bucketring.SourceFallbackClosed, bucketring.LimitState{Limit: 300, ResetAfter: s, RetryAfter: s, ResetAt: at + 1})
	tests := []struct {
		mode bucketring.Unavailable
		want [2]bucketring.Decision
	}{
		{bucketring.UnavailableLocal, [2]bucketring.Decision{
			degraded(bucketring.SourceFallbackShare, bucketring.LimitState{Allowed: true, Limit: 100, Used: 100, NextAfter: 3 * s, ResetAfter: 300 * s, ResetAt: at + 300}),
			degraded(bucketring.SourceFallbackShare, bucketring.LimitState{Limit: 100, Used: 100, NextAfter: 3 * s, ResetAfter: 300 * s, RetryAfter: 3 * s, ResetAt: at + 300}),
		}},
		{bucketring.UnavailableAllow, [2]bucketring.Decision{open, open}},
		{bucketring.UnavailableDeny, [2]bucketring.Decision{closed, closed}},
	}
	for _, tt := range tests {
		t.Run(tt.mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, key := away(t, 3)
				for i, want := range tt.want {
					got := mustTake(t, c.nodes[0], take(key, limits(t, "300/5m unavailable="+tt.mode.String())))
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("take %d (-want +got):\n%s", i+1, diff)
					}
				}
				if got := c.nodes[0].Stats().Table.Keys; got != 0 {
					t.Errorf("counters of its own = %d, want 0: a share is nobody's truth", got)
				}
			})
		})
	}
}

// TestModesHoldHoweverTheOwnerIsAway: hanging and lost answers are answered like
// a refused connection.
func TestModesHoldHoweverTheOwnerIsAway(t *testing.T) {
	sources := map[string]bucketring.Source{
		"local": bucketring.SourceFallbackShare, "allow": bucketring.SourceFallbackOpen, "deny": bucketring.SourceFallbackClosed,
	}
	for how, m := range map[string]mode{"refuses": refuses, "hangs": hangs, "loses": loses} {
		for text, source := range sources {
			synctest.Test(t, func(t *testing.T) {
				c, key := away(t, 3)
				c.wires.set("n2", m)
				d := mustTake(t, c.nodes[0], take(key, limits(t, "300/m unavailable="+text)))
				if d.Source != source || !d.Degraded || d.Node != "n1" || d.Owner != "" || d.Allowed != (text != "deny") {
					t.Errorf("Take with %s while n2 %s = %+v, want %v by n1", text, how, d, source)
				}
			})
		}
	}
}

func TestNodeWithoutPeersFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, func(cfg *node.Config) { cfg.Peers = nil })
		if d := mustTake(t, c.nodes[0], take(c.keyOf(1), limits(t, "10/m"))); d.Source != bucketring.SourceFallbackShare {
			t.Errorf("Take without Peers = %+v, want a share", d)
		}
	})
}

// TestMixedModes: one deny refuses; allow has no say beside local; what is
// described is who decided.
func TestMixedModes(t *testing.T) {
	const s = time.Second
	tests := []struct {
		limits string
		want   bucketring.Decision // of the first take, its moments and Limits apart
		listed int                 // states in Limits; 0 if nil
		second bool                // whether a second take is allowed
	}{
		{"300/m, 600/h unavailable=deny", degraded(bucketring.SourceFallbackClosed,
			bucketring.LimitState{Name: "inline-2", Limit: 600, ResetAfter: s, RetryAfter: s}), 0, false},
		{"300/m unavailable=allow, 600/h unavailable=deny, 9000/d unavailable=deny", degraded(bucketring.SourceFallbackClosed,
			bucketring.LimitState{Name: "inline-2", Limit: 600, ResetAfter: s, RetryAfter: s}), 0, false},
		{"300/m unavailable=allow, 600/h", degraded(bucketring.SourceFallbackShare,
			bucketring.LimitState{Name: "inline-2", Allowed: true, Limit: 200, Used: 200, NextAfter: 18 * s, ResetAfter: 3600 * s}), 0, false},
		{"300/m unavailable=allow, 600/h unavailable=allow", degraded(bucketring.SourceFallbackOpen,
			bucketring.LimitState{Name: "inline", Allowed: true, Limit: 300, Remaining: 300}), 2, true},
		{"600/m unavailable=allow, 300/h unavailable=allow", degraded(bucketring.SourceFallbackOpen,
			bucketring.LimitState{Name: "inline-2", Allowed: true, Limit: 300, Remaining: 300}), 2, true},
		{"300/m, 600/h", degraded(bucketring.SourceFallbackShare,
			bucketring.LimitState{Name: "inline-2", Allowed: true, Limit: 200, Used: 200, NextAfter: 18 * s, ResetAfter: 3600 * s}), 2, false},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			c, key := away(t, 3)
			l := limits(t, tt.limits)
			got := mustTake(t, c.nodes[0], take(key, l))
			if len(got.Limits) != tt.listed {
				t.Errorf("Take with %s lists %d limits, want %d", tt.limits, len(got.Limits), tt.listed)
			}
			got.Limits, got.ResetAt = nil, 0
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Take with %s (-want +got):\n%s", tt.limits, diff)
			}
			if d := mustTake(t, c.nodes[0], take(key, l)); d.Allowed != tt.second {
				t.Errorf("second Take with %s = %v, want %v", tt.limits, d.Allowed, tt.second)
			}
		})
	}
}

func TestRefundAndResetNeedTheOwner(t *testing.T) {
	for verb, want := range map[bucketring.Verb]string{
		bucketring.VerbRefund: "bucketring: unavailable: the key's owner cannot be reached: try the refund again",
		bucketring.VerbReset:  "bucketring: unavailable: the key's owner cannot be reached: try the reset again",
	} {
		for _, m := range []mode{refuses, hangs, loses} {
			for _, text := range []string{"local", "allow", "deny"} {
				synctest.Test(t, func(t *testing.T) {
					c, key := away(t, 3)
					c.wires.set("n2", m)
					_, err := c.nodes[0].Take(t.Context(), bucketring.Request{
						Verb: verb, Key: key, Limits: limits(t, "10/m unavailable="+text), Cost: 1,
					})
					if !errors.Is(err, bucketring.ErrUnavailable) || err.Error() != want {
						t.Errorf("%v with %s in mode %d = %v, want %q", verb, text, m, err, want)
					}
					if asks := len(c.wires.asked()); asks != 1 {
						t.Errorf("%v was asked for %d times, want once", verb, asks)
					}
				})
			}
		}
	}
}

func TestPeekWithoutOwnerShowsWhatATakeGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := away(t, 3)
		for _, text := range []string{"300/m", "300/m, 600/h", "300/h unavailable=allow", "300/h unavailable=deny"} {
			for i := range 3 {
				req := take(key, limits(t, text))
				req.Verb = bucketring.VerbPeek
				want := mustTake(t, c.nodes[0], req)
				req.Verb = bucketring.VerbTake
				if diff := cmp.Diff(want, mustTake(t, c.nodes[0], req)); diff != "" {
					t.Errorf("take %d with %s differs from its peek (-peek +take):\n%s", i+1, text, diff)
				}
			}
		}
	})
}

func TestShareTableIsBoundedAndSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		n, l := c.nodes[0], limits(t, "2/s")
		n.SetRing(c.ring("n1", "n2")) // n1 owns nothing
		c.wires.set("n2", refuses)
		for i := range node.ShareKeys + 100 {
			mustTake(t, n, take(fmt.Sprint(i), l))
		}
		s := n.Stats().Share
		if s.Keys != node.ShareKeys || s.Overflowed != 100 {
			t.Errorf("Share after %d keys = %+v, want %d of them counted and 100 that share", node.ShareKeys+100, s, node.ShareKeys)
		}
		time.Sleep(2 * time.Second) // all are full again
		n.SweepAll()
		if s := n.Stats().Share; s.Keys != 0 || s.Bytes != 0 {
			t.Errorf("Share after a round of sweeping = %+v, want it empty", s)
		}
	})
}
