package node

import (
	"testing"
	"time"

	"github.com/bucketring/bucketring/ring"
)

// TestGuardMissesWhoVanished: for five minutes, and nobody who left in good order.
func TestGuardMissesWhoVanished(t *testing.T) {
	members := func(names ...string) (all []ring.Member) {
		for _, name := range names {
			all = append(all, ring.Member{Name: name})
		}
		return all
	}
	start := time.Unix(1_000_000, 0)
	var g guard
	step := func(after time.Duration, r *ring.Ring, want bool) {
		t.Helper()
		now := start.Add(after)
		g.note(r, now)
		if got := g.missing(r, now); got != want {
			t.Errorf("after %v somebody is missing: %v, want %v", after, got, want)
		}
	}
	step(0, &ring.Ring{Members: members("a", "b", "c")}, false)
	step(time.Hour, &ring.Ring{Members: members("a", "b"), Leaving: members("c")}, false)
	step(time.Hour+1, &ring.Ring{Members: members("a", "b")}, false)
	vanished := &ring.Ring{Members: members("a")}
	step(2*time.Hour, vanished, true)
	if !g.missing(vanished, start.Add(2*time.Hour+stableFor-1)) || g.missing(vanished, start.Add(2*time.Hour+stableFor)) {
		t.Errorf("b must be missed for %v and no longer", stableFor)
	}
	step(3*time.Hour, &ring.Ring{Members: members("a", "b")}, false)
	step(3*time.Hour+1, vanished, true)
	step(3*time.Hour+2, &ring.Ring{Members: members("a", "b")}, false)
}

// TestGuardOpensWhenAllAreBack: a moment later, so that what they have counted is here.
func TestGuardOpensWhenAllAreBack(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	both := &ring.Ring{Members: []ring.Member{{Name: "a"}, {Name: "b"}}}
	alone := &ring.Ring{Members: []ring.Member{{Name: "a"}}}
	var g guard
	g.claimed(1, both, now)
	g.note(both, now)
	g.note(alone, now)
	g.claimed(2, alone, now)
	g.claimed(3, alone, now)
	g.gone(3)
	for _, step := range []struct {
		after time.Duration
		r     *ring.Ring
		want  bool
	}{
		{0, alone, true}, {time.Minute, both, true}, {time.Minute + backFor/2, alone, true},
		{2 * time.Minute, both, true}, {2*time.Minute + backFor, both, true}, {2*time.Minute + backFor + 1, both, false},
	} {
		g.note(step.r, now.Add(step.after))
		g.look(step.r, now.Add(step.after))
		if got := g.closed[2].Load(); got != step.want {
			t.Errorf("after %v partition 2 is closed: %v, want %v", step.after, got, step.want)
		}
	}
	if g.closed[1].Load() || g.closed[3].Load() || g.count != 0 {
		t.Errorf("partitions 1 and 3 are closed: %v, %v, %d in all, want none", g.closed[1].Load(), g.closed[3].Load(), g.count)
	}
}

// TestGuardForgets: a node that was forgotten is not missed, and what was closed for it
// alone opens at once; for another one that is missing it stays closed.
func TestGuardForgets(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	all := &ring.Ring{Members: []ring.Member{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
	alone := &ring.Ring{Members: []ring.Member{{Name: "a"}}}
	var g guard
	g.note(all, now)
	g.note(alone, now)
	g.claimed(7, alone, now)
	for _, step := range []struct {
		name string
		want bool
	}{{"stranger", true}, {"b", true}, {"b", true}, {"c", false}} {
		g.forget(step.name, alone, now)
		g.look(alone, now)
		if got := g.closed[7].Load(); got != step.want {
			t.Errorf("after forgetting %s partition 7 is closed: %v, want %v", step.name, got, step.want)
		}
	}
	g.claimed(8, alone, now)
	if g.closed[8].Load() || g.count != 0 {
		t.Errorf("a partition that was claimed afterwards is closed, %d in all, want none", g.count)
	}
	g.note(all, now) // one of them is back after all, and vanishes again
	g.note(alone, now)
	g.claimed(9, alone, now)
	if !g.closed[9].Load() {
		t.Error("a node that came back and vanished again is not missed")
	}
}
