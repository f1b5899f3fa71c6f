// sim_split_test.go cuts nodes off from each other and lets the network heal.

package main

import (
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

// A node is cut off for a second, in which nobody buries it, and for five.
func TestSimCutOff(t *testing.T) {
	for _, d := range []time.Duration{time.Second, 5 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			simulate(t, func(w *simWorld) {
				w.cluster(3)
				alone := 1 + w.rand.IntN(3)
				var others []int
				for host := 1; host <= 3; host++ {
					if host != alone {
						others = append(others, host)
					}
				}
				w.splitFor(d, []int{alone}, others)
			})
		})
	}
}

// A cluster is cut in two for a minute.
func TestSimSplit(t *testing.T) {
	for name, groups := range map[string][2][]int{"2and1": {{1, 2}, {3}}, "2and2": {{1, 2}, {3, 4}}} {
		t.Run(name, func(t *testing.T) {
			simulateLong(t, func(w *simWorld) {
				w.cluster(len(groups[0]) + len(groups[1]))
				w.splitFor(time.Minute, groups[0], groups[1])
			})
		})
	}
}

const (
	viewIn  = 15 * time.Second // after a split has healed all are seen again
	rightIn = time.Second      // after that no call is answered without a holder
)

// splitFor cuts two groups of hosts off from each other while calls come in on both
// sides. Then windows have the sum of what both sides let pass, and buckets the less of
// what was left on both.
func (w *simWorld) splitFor(d time.Duration, a, b []int) {
	window := w.load("1000/h algorithm=fixed_window", keysOf("window:", 30), 25*time.Millisecond)
	small := w.load("20/h algorithm=fixed_window", keysOf("small:", 10), 50*time.Millisecond)
	bucket := w.load("20/h", keysOf("bucket:", 10), 50*time.Millisecond)
	time.Sleep(time.Second)
	w.say("split %v from %v for %v", a, b, d)
	w.net.split(a, b)
	time.Sleep(d)
	w.say("healed")
	healed := w.now()
	w.net.healAll()
	w.awaitRest(viewIn)
	rested := w.now() + rightIn
	w.say("one view, and rested, %v after healing", w.now()-healed)
	w.awaitStable(equalIn)
	if d > time.Second { // somebody may have been buried once more
		rested = w.now()
	}
	time.Sleep(rightIn)
	for _, l := range []*simLoad{window, small, bucket} {
		l.stop()
		l.expectRight(rested)
	}
	window.expectSum(nil)
	small.exhaust()
	small.expectForked(20, 2)
	bucket.exhaust()
	bucket.expectForked(20, 2)
}

// expectRight checks that from then on all answers were exact.
func (l *simLoad) expectRight(from time.Duration) {
	l.w.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.calls {
		if c := &l.calls[i]; c.began > from && c.fallback() && !c.died {
			l.w.Errorf("%v: Take(%q) at %s came from %v, want an exact answer from %v on", c.began, c.key, c.at, c.d.Source, from)
		}
	}
}

// expectSum checks that windows have counted all that passed, but for what crashes may
// have lost, and nothing else but what may have been charged unheard.
func (l *simLoad) expectSum(crashes map[string]time.Duration) {
	l.w.Helper()
	before := l.books(crashes)
	used := map[string]int{}
	for key := range before {
		n := l.w.live()[l.w.rand.IntN(len(l.w.live()))]
		d, err := n.ask(bucketring.VerbPeek, key, l.limits)
		if err != nil || d.Degraded {
			l.w.Errorf("%v: Peek(%q) at %s came from %v, error %v, want an exact answer", l.w.now(), key, n.name, d.Source, err)
		}
		used[key] = int(d.Used)
	}
	var sum simBook
	for key, b := range l.books(crashes) { // calls may have come in meanwhile
		least := before[key].exact + before[key].fallback - b.lost
		if most := b.exact + 2*b.fallback + b.unheard + b.twice; used[key] < least || used[key] > most {
			l.w.Errorf("%v: %d are counted of %q, want %d to %d: %+v", l.w.now(), used[key], key, least, most, *b)
		}
		sum.add(b)
	}
	l.w.say("load: %+v", sum)
}

// expectForked checks the books after a split into sides: each may have let pass the
// whole limit, and each node one call without a holder.
func (l *simLoad) expectForked(limit, sides int) {
	l.w.Helper()
	var sum simBook
	for key, b := range l.books(nil) {
		if most := sides*limit + len(l.w.all()); b.exact+b.fallback > most {
			l.w.Errorf("%d calls of %q passed, want at most %d", b.exact+b.fallback, key, most)
		}
		if want := min(limit, b.calls) - b.unheard; b.exact < want {
			l.w.Errorf("%d of %d calls of %q passed at holders, want at least %d", b.exact, b.calls, key, want)
		}
		sum.add(b)
	}
	l.w.say("load: %+v", sum)
}
