// sim_idle_test.go looks what a cluster costs that has nothing to do.

package main

import (
	"runtime"
	"testing"
	"time"
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

// expectIdle counts what nodes at rest write to their connections within 10 s. Each link
// pings every 50 ms and is answered, and HTTP/2 acknowledges both; a fifth more is for all
// that is told again every 15 s.
func (w *simWorld) expectIdle() {
	w.Helper()
	const d = 10 * time.Second
	live := len(w.live())
	before := w.net.pieces.Load()
	time.Sleep(d)
	sent := w.net.pieces.Load() - before
	pings := int64(live*(live-1)) * int64(d/(50*time.Millisecond))
	w.say("%d pieces in %v at %d nodes", sent, d, live)
	if most := pings * 4 * 6 / 5; sent > most {
		w.Errorf("%d pieces were sent in %v by %d nodes at rest, want at most %d", sent, d, live, most)
	}
}
