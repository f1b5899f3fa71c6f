// sim_clock_test.go sets the wall clock of a node.

package main

import (
	"testing"
	"time"
)

// midday is what the wall clocks show when a simulation begins: an hour more or less is
// the same day.
const midday = 12*time.Hour + 30*time.Minute

// wall is the clock that a node can set. It does not read it for a call.
func (n *simNode) wall() time.Time {
	return time.Now().Add(midday + time.Duration(n.ahead.Load()))
}

// The wall clock of one node jumps by an hour and later back again, while counters move to
// that node and away from it. No rate lets more pass, and no window begins anew.
func TestSimClockSteps(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			simulateLong(t, func(w *simWorld) { w.stepClock(step) })
		})
	}
}

// believed is how long a node needs to believe that its clock was set.
const believed = 62 * time.Second

func (w *simWorld) stepClock(step time.Duration) {
	w.Helper()
	w.cluster(3)
	bucket := w.load("40/d", keysOf("bucket:", 25), 50*time.Millisecond)
	window := w.load("60/d algorithm=fixed_window", keysOf("window:", 25), 50*time.Millisecond)
	sliding := w.load("50/d algorithm=sliding_window", keysOf("sliding:", 25), 50*time.Millisecond)
	time.Sleep(5 * time.Second)
	for _, ahead := range []time.Duration{step, 0} {
		n2 := w.node(2)
		n2.ahead.Store(int64(ahead))
		w.say("the clock of n2 shows %v more", ahead)
		w.start("n4", 4) // takes counters from it before it believes its clock
		w.awaitRest(time.Second)
		w.node(4).leave()
		w.awaitRest(time.Second)
		time.Sleep(believed)
		if n2.s.node.Stats().ClockStep != 0 {
			w.Errorf("n2 does not believe its clock after %v", believed)
		}
		w.start("n4", 4) // and after
		w.awaitRest(time.Second)
		w.node(4).leave()
		w.awaitRest(time.Second)
	}
	for _, l := range []*simLoad{bucket, window, sliding} {
		l.stop()
		l.expectExact()
	}
}
