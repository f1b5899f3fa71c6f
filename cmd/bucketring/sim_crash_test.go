// sim_crash_test.go takes nodes away without a goodbye.

package main

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

// A node is killed: connections to it break, and who has its copies answers at once.
func TestSimCrash(t *testing.T) {
	simulate(t, func(w *simWorld) { w.crashOne(false, 50*time.Millisecond) })
}

// A node falls silent: nothing tells the others but that they hear nothing of it.
func TestSimSilentCrash(t *testing.T) {
	simulateLong(t, func(w *simWorld) { w.crashOne(true, 500*time.Millisecond) })
}

// crashOne takes one of four nodes away under load. For each key the others let pass no
// more than what the dead one had not copied yet.
func (w *simWorld) crashOne(silent bool, answeredIn time.Duration) {
	w.cluster(4)
	bucket := w.load("20/h", keysOf("bucket:", 40), 5*time.Millisecond)
	window := w.load("20/h algorithm=fixed_window", keysOf("window:", 40), 5*time.Millisecond)
	time.Sleep(time.Second + time.Duration(w.rand.Int64N(int64(time.Second))))

	victim := w.node(1 + w.rand.IntN(4))
	crashed := map[string]time.Duration{victim.name: w.now()}
	victim.crash(silent)
	last := w.lastFallback(victim.name, append(bucket.keys, window.keys...))
	w.say("the last fallback began %v after the crash", last)
	if last > answeredIn {
		w.Errorf("a call was answered by fallback %v after the crash, want at most %v", last, answeredIn)
	}
	w.awaitRest(10 * time.Second)
	bucket.stop()
	window.stop()
	for _, l := range []*simLoad{bucket, window} {
		l.exhaust()
		l.expectWithin(20, crashed)
	}
}

// lastFallback asks all nodes for keys of a dead one, for a second, and returns when a
// call began last that neither its holder nor a successor answered.
func (w *simWorld) lastFallback(dead string, keys []string) (last time.Duration) {
	w.Helper()
	limits, crashed := bucketring.MustParse("20/h"), w.now()
	r := rand.New(rand.NewPCG(uint64(w.seed), 3))
	var mu sync.Mutex // guards last
	var probes sync.WaitGroup
	var theirs []string
	for _, key := range keys {
		where, err := w.live()[0].s.node.Explain(bucketring.Request{Key: key, Limits: limits})
		if err != nil {
			w.Fatal(err)
		}
		if where.Owner == dead {
			theirs = append(theirs, key)
		}
	}
	for w.now()-crashed < time.Second {
		live := w.live()
		n, key := live[r.IntN(len(live))], theirs[r.IntN(len(theirs))]
		probes.Go(func() {
			began := w.now() - crashed
			d, err := n.ask(bucketring.VerbPeek, key, limits)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				w.Errorf("%v after the crash: Peek(%q) at %s failed: %v", began, key, n.name, err)
			} else if c := (simCall{d: d}); c.fallback() {
				last = max(last, began)
			}
		})
		time.Sleep(2 * time.Millisecond)
	}
	probes.Wait()
	return last
}

// expectWithin checks the books after crashes. Holders let pass what was not copied
// beyond the limit, and all nodes together one call each and what a stale verdict hid;
// what is missing may have been charged unheard.
func (l *simLoad) expectWithin(limit int, crashes map[string]time.Duration) {
	l.w.Helper()
	var sum simBook
	for key, b := range l.books(crashes) {
		if b.exact > limit+b.lost {
			l.w.Errorf("%d calls of %q passed at holders, want at most %d and the %d that may not have been copied", b.exact, key, limit, b.lost)
		}
		if most := limit + b.lost + len(l.w.all()) + b.late; b.exact+b.fallback > most {
			l.w.Errorf("%d calls of %q passed, %d of them at no holder, want at most %d", b.exact+b.fallback, key, b.fallback, most)
		}
		if want := min(limit, b.calls) - b.unheard; b.exact < want {
			l.w.Errorf("%d of %d calls of %q passed at holders, want at least %d", b.exact, b.calls, key, want)
		}
		sum.add(b)
	}
	l.w.say("load: %+v", sum)
}
