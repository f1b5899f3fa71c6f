// sim_idle_test.go looks what a cluster costs that has nothing to do.

package main

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

// A cluster at rest sends pings and the gossip's probes, and after many changes no more
// goroutines are left than before.
func TestSimIdle(t *testing.T) {
	simulateLong(t, func(w *simWorld) {
		w.cluster(3)
		time.Sleep(10 * time.Second)
		before := runtime.NumGoroutine()
		for range 2 {
			w.start("n4", 4)
			w.awaitRest(time.Second)
			w.node(4).leave()
			w.awaitRest(time.Second)
			w.start("n4", 4)
			w.awaitRest(time.Second)
			w.node(4).crash(false)
			w.awaitRest(10 * time.Second)
		}
		time.Sleep(10 * time.Second)
		if after := runtime.NumGoroutine(); after > before {
			t.Errorf("%d goroutines after eight changes, %d before", after, before)
		}
		w.expectIdle()
	})
}

// A node at rest that is charged has that copied at once: what it has admitted is not lost
// with it.
func TestSimCrashAfterRest(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.cluster(3)
		limits := bucketring.MustParse("10/h")
		for i := range 5 {
			time.Sleep(10*time.Second + time.Duration(7*i)*time.Millisecond)
			key := fmt.Sprint("rested:", i)
			stranger, owner, other := w.stranger(key)
			for range 10 {
				if d, err := owner.ask(bucketring.VerbTake, key, limits); err != nil || !d.Allowed {
					t.Fatalf("Take = %+v, %v, want it allowed", d, err)
				}
			}
			time.Sleep(12*time.Millisecond + 3*simDelay) // a beat, and the way
			if i%2 == 1 {                                // who got the copy does not rest any more either, and is charged
				key += ":later"
				stranger, owner, other = w.stranger(key)
				for range 10 {
					if d, err := owner.ask(bucketring.VerbTake, key, limits); err != nil || !d.Allowed {
						t.Fatalf("Take = %+v, %v, want it allowed", d, err)
					}
				}
				time.Sleep(12*time.Millisecond + 3*simDelay)
			}
			host := owner.host.no
			owner.crash(false)
			w.awaitRest(10 * time.Second)
			for _, n := range []*simNode{stranger, other} {
				if d, err := n.ask(bucketring.VerbTake, key, limits); err != nil || d.Allowed {
					t.Errorf("%s: Take at %s after the crash of %s = %+v, %v, want it denied", key, n.name, owner.name, d, err)
				}
			}
			w.start(owner.name, host)
			w.awaitRest(10 * time.Second)
		}
	})
}

// expectIdle counts what nodes at rest write to their connections within 10 s. Each link
// pings every second and is answered, and HTTP/2 acknowledges both; half as much again is for
// all that is told again every 15 s.
func (w *simWorld) expectIdle() {
	w.Helper()
	const d = 10 * time.Second
	live := len(w.live())
	before := w.net.pieces.Load()
	time.Sleep(d)
	sent := w.net.pieces.Load() - before
	pings := int64(live*(live-1)) * int64(d/time.Second)
	w.say("%d pieces in %v at %d nodes", sent, d, live)
	if most := pings * 4 * 3 / 2; sent > most {
		w.Errorf("%d pieces were sent in %v by %d nodes at rest, want at most %d", sent, d, live, most)
	}
}
