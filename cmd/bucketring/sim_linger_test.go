// sim_linger_test.go has nodes answer on for as long as load balancers need, and no longer.

package main

import (
	"testing"
	"time"

	"github.com/bucketring/bucketring/cluster"
)

// goneAfter is how long after a moment another node sees that one has left.
func (w *simWorld) goneAfter(since time.Time, other, gone *simNode) time.Duration {
	w.Helper()
	for time.Since(since) < time.Minute {
		for _, m := range other.s.member.Cluster().Members() {
			if m.Name == gone.name && m.State == cluster.StateLeft {
				return time.Since(since)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.Fatalf("%s does not see that %s has left", other.name, gone.name)
	return 0
}

func TestSimLinger(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.cluster(4)
		one, two, three, four := w.node(1), w.node(2), w.node(3), w.node(4)
		linger := four.s.cfg.Linger

		four.beginLeave()
		<-four.s.leaving.done
		if took := w.goneAfter(four.s.leaving.gave, one, four); took < linger || took > linger+3*time.Second {
			t.Errorf("a node left %v after it had handed over, want soon after %v", took, linger)
		}
		<-four.ended

		// An operator drained it, and stops it when load balancers have long known.
		(*drainer)(three.s).Drain()
		<-three.s.leaving.done
		time.Sleep(2 * linger)
		if three.s.member.Cluster().Self().State != cluster.StateLeaving {
			t.Errorf("a drained node is %v, want it to stay as %v", three.s.member.Cluster().Self().State, cluster.StateLeaving)
		}
		told := time.Now()
		three.beginLeave()
		if took := w.goneAfter(told, one, three); took > linger/2 {
			t.Errorf("a node that was drained long ago left after %v, want at once", took)
		}
		<-three.ended

		// The time for all is short: the others must hear of its end all the same.
		two.s.cfg.Drain = 4 * time.Second
		told = time.Now()
		two.beginLeave()
		if took := w.goneAfter(told, one, two); took > two.s.cfg.Drain {
			t.Errorf("a node left after %v, want within its %v", took, two.s.cfg.Drain)
		}
		<-two.ended

		// Nobody is left who could answer in its place.
		told = time.Now()
		one.leave()
		if took := time.Since(told); took > linger/2 {
			t.Errorf("the last node ended after %v, want at once", took)
		}
	})
}
