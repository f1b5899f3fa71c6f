package node_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/ring"
)

// TestDoorCountsAndObserves: every source, result and error through two doors.
func TestDoorCountsAndObserves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var observed []string
		c := newCluster(t, 3, func(cfg *node.Config) {
			cfg.Observe = func(path node.Path, took time.Duration) {
				observed = append(observed, fmt.Sprintf("%s by %s after %v", path, cfg.Name, took))
			}
		})
		n := c.nodes[0]
		http, grpc := n.Door("http"), n.Door("grpc")
		c.wires.slow(2 * time.Millisecond)
		c.wires.set("n3", hangs)
		call := func(door bucketring.Limiter, owner int, text string) {
			t.Helper()
			mustTake(t, door, take(c.keyOf(owner), limits(t, text)))
		}
		call(http, 0, "1/h")
		call(http, 0, "1/h") // denied
		call(grpc, 1, "5/h")
		call(grpc, 1, "5/h")
		call(grpc, 1, "0/m") // denied
		call(http, 2, "3/h")
		call(http, 2, "3/h") // denied
		call(http, 2, "3/h unavailable=allow")
		call(http, 2, "3/h unavailable=deny")
		for _, req := range []bucketring.Request{
			{}, {Key: "k"}, {Verb: bucketring.VerbReset, Key: c.keyOf(2), Limits: limits(t, "3/h")},
		} {
			if _, err := grpc.Take(t.Context(), req); err == nil {
				t.Errorf("Take(%+v) = nil, want an error", req)
			}
		}
		mustTake(t, n, take("k", limits(t, "1/h"))) // through no door
		type dc = node.DecisionCount
		want := []node.DoorStats{
			{Door: "http", Decisions: []dc{
				{Source: bucketring.SourceOwner, Allowed: false, Count: 1}, {Source: bucketring.SourceOwner, Allowed: true, Count: 1},
				{Source: bucketring.SourceFallbackShare, Allowed: false, Count: 1}, {Source: bucketring.SourceFallbackShare, Allowed: true, Count: 1},
				{Source: bucketring.SourceFallbackOpen, Allowed: true, Count: 1}, {Source: bucketring.SourceFallbackClosed, Allowed: false, Count: 1},
			}},
			{Door: "grpc", Decisions: []dc{
				{Source: bucketring.SourceOwner, Allowed: false, Count: 1}, {Source: bucketring.SourceOwner, Allowed: true, Count: 2},
			}, Errors: 3},
		}
		if diff := cmp.Diff(want, n.Stats().Doors); diff != "" {
			t.Errorf("Doors (-want +got):\n%s", diff)
		}
		owned, forward, away := "owned by n1 after 0s", "forward by n1 after 4ms", "fallback by n1 after 25ms"
		if diff := cmp.Diff([]string{owned, owned, forward, forward, forward, away, away, away, away}, observed); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
	})
}

// TestDoorTakesUnknownSources: a peer of a later version may answer from a
// source that this node has no name for.
func TestDoorTakesUnknownSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		door := c.nodes[0].Door("http")
		for _, source := range []bucketring.Source{7, 8, 255} {
			c.wires.put("n2", answers(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
				return bucketring.Decision{Allowed: true, Source: source}, nil
			}))
			if d := mustTake(t, door, take(c.keyOf(1), limits(t, "10/h"))); d.Source != source {
				t.Errorf("Source = %v, want %v", d.Source, source)
			}
		}
		want := []node.DecisionCount{{Source: 7, Allowed: true, Count: 3}}
		if diff := cmp.Diff(want, c.nodes[0].Stats().Doors[0].Decisions); diff != "" {
			t.Errorf("Decisions (-want +got):\n%s", diff)
		}
	})
}

func TestForwardedAndFailuresAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		n, key, l := c.nodes[0], c.keyOf(1), limits(t, "100/h")
		call := func(times int) {
			for range times {
				mustTake(t, n, take(key, l))
			}
		}
		call(4)
		c.wires.set("n2", hangs)
		call(3)
		c.wires.set("n2", refuses)
		call(2)
		c.wires.set("n2", works)
		c.wires.put("n2", refusal("n3")) // n3 refuses too, with a hint to n2
		call(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		c.wires.put("n2", answers(func(ctx context.Context, _ bucketring.Request) (bucketring.Decision, error) {
			cancel() // the caller gives up, which is no failure
			return unanswered(ctx)
		}))
		if _, err := n.Take(ctx, take(key, l)); err != context.Canceled {
			t.Errorf("Take = %v, want %v", err, context.Canceled)
		}
		s := n.Stats()
		if want := (node.Failures{NotOwner: 2, Timeout: 3, Unavailable: 2}); s.Forwarded != 4 || s.Failures != want {
			t.Errorf("Forwarded = %d and Failures = %+v, want 4 and %+v", s.Forwarded, s.Failures, want)
		}
	})
}

func TestStatsOfTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		sum := 0
		for i, n := range c.nodes {
			s := n.Stats()
			sum += s.Owned
			if want := n.Ring().Owned()[i]; s.Owned != want || s.RingVersion != n.Ring().Version {
				t.Errorf("%s: Owned = %d and RingVersion = %d, want %d and %d", nodeName(i), s.Owned, s.RingVersion, want, n.Ring().Version)
			}
		}
		if sum != ring.Partitions {
			t.Errorf("partitions owned = %d, want %d", sum, ring.Partitions)
		}
		c.nodes[0].SetRing(c.ring("n1", "n2", "n3"))
		if got := c.nodes[0].Stats().Owned; got != 0 {
			t.Errorf("Owned outside the ring = %d, want 0", got)
		}
	})
}

func TestErrorsOfAPeerStayReadable(t *testing.T) {
	// What a node cannot decide wraps ErrUnavailable, whoever failed.
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.wires.put("n2", answers(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			return bucketring.Decision{}, errors.New("strange")
		}))
		req := take(c.keyOf(1), limits(t, "10/h"))
		if d := mustTake(t, c.nodes[0], req); !d.Degraded {
			t.Errorf("Take = %+v, want a share", d)
		}
		req.Verb = bucketring.VerbRefund
		if _, err := c.nodes[0].Take(t.Context(), req); !errors.Is(err, bucketring.ErrUnavailable) {
			t.Errorf("refund = %v, want %v", err, bucketring.ErrUnavailable)
		}
	})
}
