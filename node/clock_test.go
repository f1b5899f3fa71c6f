package node_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// TestClockFollowsTheWall: a script of samples, each after a pause, and what the
// clock believes then.
func TestClockFollowsTheWall(t *testing.T) {
	const ms, s, h = time.Millisecond, time.Second, time.Hour
	type sample struct {
		pause    time.Duration
		off      time.Duration // of the wall clock, against the beginning
		want     time.Duration // what the clock follows
		wantStep time.Duration
	}
	tests := map[string][]sample{
		"small steps at once": {
			{s, 100 * ms, 100 * ms, 0}, {s, -100 * ms, -100 * ms, 0}, {s, 149 * ms, 149 * ms, 0}, {s, 0, 0, 0},
		},
		"bounds of small": {
			{s, 250*ms - 1, 250*ms - 1, 0}, {s, 0, 0, 0}, {s, 250 * ms, 0, 250 * ms}, {s, -250*ms + 1, -250*ms + 1, 0},
			{s, 0, 0, 0}, {s, -250 * ms, 0, -250 * ms},
		},
		"large step after a minute": {
			{s, h, 0, h}, {30 * s, h, 0, h}, {30*s - 1, h, 0, h}, {1, h, h, 0}, {s, h, h, 0},
			{s, h + ms, h + ms, 0},
		},
		"large step back": {{s, -h, 0, -h}, {60*s - 1, -h, 0, -h}, {1, -h, -h, 0}},
		"step that is set right": {
			{s, h, 0, h}, {59 * s, h, 0, h}, {s / 2, 0, 0, 0}, {s, h, 0, h}, {59 * s, h, 0, h}, {s, h, h, 0},
		},
		"another step has its own minute": {
			{s, h, 0, h}, {59 * s, -2 * h, 0, -2 * h}, {59 * s, -2 * h, 0, -2 * h}, {s, -2 * h, -2 * h, 0},
		},
		"back and forth": {
			{s, h, 0, h}, {40 * s, 2 * h, 0, 2 * h}, {40 * s, h, 0, h}, {40 * s, 2 * h, 0, 2 * h}, {40 * s, 0, 0, 0},
		},
		"step that drifts": {
			{s, h, 0, h}, {30 * s, h + 200*ms, 0, h + 200*ms}, {30 * s, h + 400*ms, h + 400*ms, 0},
		},
		"step at the start": {{0, h, 0, h}, {60*s - 1, h, 0, h}, {2, h, h, 0}},
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				n := newCluster(t, 1).nodes[0]
				for i, s := range script {
					time.Sleep(s.pause)
					n.SetWallOff(s.off)
					now := n.ClockNow()
					off := time.Duration(now.Wall - time.Now().UnixNano())
					if step := n.Stats().ClockStep; off != s.want || step != s.wantStep {
						t.Errorf("sample %d, wall off by %v: clock off by %v and step %v, want %v and %v", i+1, s.off, off, step, s.want, s.wantStep)
					}
					if now.Mono != int64(time.Since(began)) {
						t.Errorf("sample %d: monotonic reading %v, want %v", i+1, time.Duration(now.Mono), time.Since(began))
					}
				}
			})
		})
	}
}

// TestSmallStepsReopenNoWindow: just after a window has ended and unused counters
// were swept, the wall clock goes back into the window, which is used up.
func TestSmallStepsReopenNoWindow(t *testing.T) {
	for _, a := range []string{"fixed_window", "sliding_window"} {
		for _, back := range []time.Duration{2 * time.Millisecond, 100 * time.Millisecond, node.LargeStep - 1} {
			for _, past := range []time.Duration{0, time.Millisecond, back / 2, back - 1} {
				synctest.Test(t, func(t *testing.T) {
					n := newCluster(t, 1).nodes[0]
					l := limits(t, "10/m algorithm="+a)
					mustTake(t, n, bucketring.Request{Key: "k", Limits: l, Cost: 10})
					leaves := map[string]time.Duration{"fixed_window": 60 * time.Second, "sliding_window": 61 * time.Second}
					time.Sleep(leaves[a] + past)
					n.SweepAll()
					n.SetWallOff(-back)
					if d := mustTake(t, n, take("k", l)); d.Allowed {
						t.Errorf("%s, %v past the end, clock back by %v: Take = %+v, want a denial", a, past, back, d)
					}
					n.SetWallOff(0)
					if d := mustTake(t, n, take("k", l)); !d.Allowed {
						t.Errorf("%s, %v past the end, clock right again: Take = %+v, want it allowed", a, past, d)
					}
				})
			}
		}
	}
}

// TestLargeStepEndsNoWindow: for the minute in which somebody may set it right, a
// wall clock that jumped changes nothing.
func TestLargeStepEndsNoWindow(t *testing.T) {
	for _, off := range []time.Duration{time.Hour, -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			n := newCluster(t, 1).nodes[0]
			l := limits(t, "10/h algorithm=fixed_window")
			time.Sleep(30 * time.Minute)
			mustTake(t, n, bucketring.Request{Key: "k", Limits: l, Cost: 10})
			for range 59 {
				n.SetWallOff(off)
				time.Sleep(time.Second)
				if d := mustTake(t, n, take("k", l)); d.Allowed || d.ResetAt != epoch()+3600 {
					t.Fatalf("Take after a step of %v = %+v, want a denial until the hour is over", off, d)
				}
			}
		})
	}
}

// TestEpochEndsThroughForwarding: an epoch window ends at the same second for
// callers of all nodes, though their wall clocks differ.
func TestEpochEndsThroughForwarding(t *testing.T) {
	for _, per := range []int64{1, 7, 60, 3600} {
		for _, delay := range []time.Duration{0, 5 * time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3)
				c.wires.slow(delay)
				key := c.keyOf(0)
				l := []bucketring.Limit{{Name: "x", Algorithm: bucketring.FixedWindow, Amount: 10, Per: time.Duration(per) * time.Second}}
				time.Sleep(100 * time.Millisecond)
				for i, off := range []time.Duration{0, 20, -20} {
					c.nodes[i].SetWallOff(off * time.Millisecond)
				}
				for _, n := range c.nodes {
					for range 20 {
						d := mustTake(t, n, take(key, l))
						ownersWall := time.Now().Add(-delay) // when it decided; without delay for itself
						if n == c.nodes[0] {
							ownersWall = time.Now()
						}
						if want := (ownersWall.UnixNano()/1e9/per + 1) * per; d.ResetAt != want {
							t.Errorf("ResetAt of %v at %s, %v after the owner decided = %d, want %d", l[0], d.Node, delay, d.ResetAt, want)
						}
						time.Sleep(l[0].Per/19 + 3*time.Millisecond)
					}
				}
			})
		}
	}
}

// TestResetAtIsNeverEarly: other limits are unused again by ResetAt, and were
// not a second before, but for the time that the answer took.
func TestResetAtIsNeverEarly(t *testing.T) {
	const delay = 12 * time.Millisecond
	for _, text := range []string{"10/m", "10/m algorithm=sliding_window", "7/13s, 9/m"} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2)
			c.wires.slow(delay)
			l := limits(t, text)
			for i := range 100 {
				d := mustTake(t, c.nodes[0], take(fmt.Sprint("key-", i), l))
				took := time.Duration(0)
				if d.Owner != "n1" {
					took = delay
				}
				decided := time.Now().Add(-took)
				for _, s := range d.All() {
					first := node.UnixUp(decided.Add(s.ResetAfter).UnixNano())
					last := node.UnixUp(decided.Add(s.ResetAfter + took).UnixNano())
					if s.ResetAt < first || s.ResetAt > last {
						t.Errorf("ResetAt by %s at %v with %v = %d, want %d to %d", d.Owner, decided, text, s.ResetAt, first, last)
					}
				}
				if want := describedOf(&d); d.ResetAt != want {
					t.Errorf("ResetAt of the answer = %d, of the limit that it describes %d", d.ResetAt, want)
				}
				time.Sleep(37 * time.Millisecond)
			}
		})
	}
}

// describedOf is the ResetAt of the listed limit that an answer describes.
func describedOf(d *bucketring.Decision) int64 {
	for _, s := range d.All() {
		if s.Name == d.Name {
			return s.ResetAt
		}
	}
	return -1
}

func TestUnixUp(t *testing.T) {
	for ns, want := range map[int64]int64{0: 0, 1: 1, 999_999_999: 1, 1_000_000_000: 1, 1_000_000_001: 2} {
		if got := node.UnixUp(ns); got != want {
			t.Errorf("UnixUp(%d) = %d, want %d", ns, got, want)
		}
	}
}
