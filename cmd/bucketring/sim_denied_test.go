// sim_denied_test.go: what an owner has denied costs no network until it could pass.

package main

import (
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

// stranger returns a node that does not own a key, its owner, and a third one.
func (w *simWorld) stranger(key string) (stranger, owner, other *simNode) {
	for _, n := range w.live() {
		part, err := n.s.node.Explain(bucketring.Request{Key: key})
		switch {
		case err != nil:
			w.Fatal(err)
		case part.Owner == n.name:
			owner = n
		case stranger == nil:
			stranger = n
		default:
			other = n
		}
	}
	return stranger, owner, other
}

func TestSimDenialsAreRemembered(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.cluster(3)
		const key = "denied:1"
		stranger, owner, other := w.stranger(key)
		limits := bucketring.MustParse("60/m burst=3")
		take := func(n *simNode) bucketring.Decision {
			d, err := n.ask(bucketring.VerbTake, key, limits)
			if err != nil || d.Degraded || d.Owner != owner.name {
				t.Errorf("%v: Take at %s = %+v, %v, want the word of %s", w.now(), n.name, d, err, owner.name)
			}
			return d
		}
		empty := time.Now()
		for range 3 {
			if !take(stranger).Allowed {
				t.Error("one of the first three takes was denied")
			}
		}
		before := stranger.s.node.Stats().Forwarded
		first := time.Duration(0)
		for calls := 0; first == 0; calls++ {
			time.Sleep(time.Millisecond)
			switch d := take(stranger); {
			case d.Allowed:
				first = time.Since(empty)
			case time.Since(empty) > 995*time.Millisecond: // memory ends a little before the owner's second
			case calls > 0 && (d.Source != bucketring.SourceDeniedCache || d.Remaining != 0 || d.RetryAfter > time.Second-time.Since(empty)+3*time.Millisecond):
				t.Fatalf("Take %v after the last = %+v, want a denial from memory", time.Since(empty), d)
			}
		}
		if asked := stranger.s.node.Stats().Forwarded - before; asked > 8 {
			t.Errorf("%d calls were forwarded in the second without a token, want the first denial and those of its end", asked)
		}
		if first < time.Second || first > time.Second+5*time.Millisecond {
			t.Errorf("the next take passed after %v, want 1s", first)
		}

		// What is given back anywhere counts everywhere, also for who remembers a denial.
		for _, n := range []*simNode{owner, other, stranger} {
			for _, verb := range []bucketring.Verb{bucketring.VerbReset, bucketring.VerbRefund} {
				for take(stranger).Allowed || take(other).Allowed {
					t.Log("spent one more")
				}
				if _, err := n.ask(verb, key, limits); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Millisecond)
				if d := take(stranger); !d.Allowed {
					t.Errorf("Take after a %v at %s = %+v, want it allowed", verb, n.name, d)
				}
				if d := take(other); d.Allowed != (verb == bucketring.VerbReset) {
					t.Errorf("second Take after a %v at %s = %+v, want it allowed after a reset only", verb, n.name, d)
				}
			}
		}
	})
}
