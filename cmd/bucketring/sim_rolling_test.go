// sim_rolling_test.go has nodes come and go in good order: nothing is lost then.

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

// Every node is replaced, one by one, and nobody notices: of a limit of ten per hour,
// four of which were spent, exactly six are left.
func TestSimRollingReplacement(t *testing.T) {
	simulateLong(t, func(w *simWorld) {
		w.cluster(3)
		keys, limits := keysOf("spent:", 100), bucketring.MustParse("10/h")
		w.expectPassed(w.spend(keys, limits, 4), keys, 4)
		bucket := w.load("50/h", keysOf("bucket:", 20), 20*time.Millisecond)
		window := w.load("50/h algorithm=fixed_window", keysOf("window:", 20), 20*time.Millisecond)
		for host := 1; host <= 3; host++ {
			name := w.node(host).name
			w.node(host).leave()
			w.start(name, host)
			w.awaitRest(time.Second)
		}
		for host := 1; host <= 3; host++ {
			w.start(fmt.Sprint("m", host), host+3)
			w.node(host).leave()
			w.awaitRest(time.Second)
		}
		bucket.stop()
		window.stop()
		w.expectPassed(w.spend(keys, limits, 10), keys, 6)
		bucket.expectExact()
		window.expectExact()
	})
}

// Two nodes join at once and leave at once, and nobody notices.
func TestSimTwoAtOnce(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.cluster(3)
		keys, limits := keysOf("spent:", 100), bucketring.MustParse("10/h")
		w.expectPassed(w.spend(keys, limits, 4), keys, 4)
		bucket := w.load("50/h", keysOf("bucket:", 20), 20*time.Millisecond)
		window := w.load("50/h algorithm=fixed_window", keysOf("window:", 20), 20*time.Millisecond)
		for _, leaving := range [][2]int{{4, 5}, {1, 2}} {
			four, five := w.launch("n4", w.free(4)), w.launch("n5", w.free(5))
			four.awaitReady()
			five.awaitReady()
			w.awaitRest(time.Second)
			one, other := w.node(leaving[0]), w.node(leaving[1])
			one.beginLeave()
			other.leave()
			<-one.ended
			w.awaitRest(time.Second)
		}
		bucket.stop()
		window.stop()
		w.expectPassed(w.spend(keys, limits, 10), keys, 6)
		bucket.expectExact()
		window.expectExact()
	})
}

// Two nodes that are each other's seeds start beside one that has all counters. They
// must not take each other for the cluster.
func TestSimSeedsStartTogether(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.start("n1", 1)
		keys, limits := keysOf("spent:", 100), bucketring.MustParse("10/h")
		w.expectPassed(w.spend(keys, limits, 4), keys, 4)
		load := w.load("5/h", keysOf("bucket:", 50), time.Millisecond)
		time.Sleep(100 * time.Millisecond)
		two, three := w.launch("n2", 2), w.launch("n3", 3)
		two.awaitReady()
		three.awaitReady()
		w.awaitRest(time.Second)
		load.stop()
		w.expectPassed(w.spend(keys, limits, 10), keys, 6)
		load.expectExact()
	})
}

// Nobody asks a node for what it has given away, once the cluster is at rest: n1 has
// given to n2 what n3 has now.
func TestSimNoDetours(t *testing.T) {
	simulate(t, func(w *simWorld) {
		for i, name := range []string{"n1", "n2", "n3"} {
			w.start(name, i+1)
			w.awaitRest(time.Second)
		}
		time.Sleep(50 * time.Millisecond)
		limits := bucketring.MustParse("1000/h")
		for _, n := range w.live() {
			for _, key := range keysOf("key:", 300) {
				if d, err := n.ask(bucketring.VerbTake, key, limits); err != nil || d.Degraded {
					t.Errorf("Take(%q) at %s = %v, %v, want an exact answer", key, n.name, d.Source, err)
				}
			}
			if detours := n.s.node.Stats().Failures.NotOwner; detours > 0 {
				t.Errorf("%s has asked %d times a node that did not have the key", n.name, detours)
			}
		}
	})
}
