// sim_load_test.go calls the nodes of a simulated cluster and keeps the books.

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

// ask makes one call at a node.
func (n *simNode) ask(verb bucketring.Verb, key string, limits []bucketring.Limit) (bucketring.Decision, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return n.door.Take(ctx, bucketring.Request{Verb: verb, Key: key, Limits: limits, Cost: 1})
}

// any returns a node that takes calls.
func (w *simWorld) any(r *rand.Rand) *simNode {
	live := w.live()
	if len(live) == 0 {
		w.Fatal("no node takes calls")
	}
	return live[r.IntN(len(live))]
}

// spend takes from each key so many times, at nodes picked at random, and returns how
// many passed of each.
func (w *simWorld) spend(keys []string, limits []bucketring.Limit, times int) map[string]int {
	w.Helper()
	passed := map[string]int{}
	for range times {
		for _, key := range keys {
			n := w.any(w.rand)
			d, err := n.ask(bucketring.VerbTake, key, limits)
			if err != nil || d.Degraded {
				w.Errorf("Take(%q) at %s = %v from %v, error %v, want an exact answer", key, n.name, d.Allowed, d.Source, err)
			}
			if err == nil && d.Allowed {
				passed[key]++
			}
		}
	}
	return passed
}

// expectPassed compares what passed of each key.
func (w *simWorld) expectPassed(passed map[string]int, keys []string, want int) {
	w.Helper()
	wrong := 0
	for _, key := range keys {
		if passed[key] != want {
			if wrong++; wrong <= 5 {
				w.Errorf("%d calls of %q passed, want exactly %d", passed[key], key, want)
			}
		}
	}
	if wrong > 5 {
		w.Errorf("%d of %d keys are wrong", wrong, len(keys))
	}
}

// keysOf names keys that other keys do not meet.
func keysOf(prefix string, count int) []string {
	keys := make([]string, count)
	for i := range keys {
		keys[i] = fmt.Sprint(prefix, i)
	}
	return keys
}

// A simLoad calls all nodes again and again.
type simLoad struct {
	w      *simWorld
	keys   []string
	limits []bucketring.Limit
	stop   func()

	mu    sync.Mutex // guards all below
	calls map[string]int
	pass  map[string]int
	from  map[bucketring.Source]int
	slow  time.Duration // the longest that a call took
	exact bool          // no answer may be degraded
}

// callSlack is what a call may take beyond its budget.
const callSlack = 5 * time.Millisecond

// load calls nodes at random, every so often, until stop.
func (w *simWorld) load(keys []string, limits []bucketring.Limit, every time.Duration) *simLoad {
	l := &simLoad{w: w, keys: keys, limits: limits, calls: map[string]int{}, pass: map[string]int{}, from: map[bucketring.Source]int{}, exact: true}
	ctx, cancel := context.WithCancel(context.Background())
	r := rand.New(rand.NewPCG(uint64(w.seed), w.rand.Uint64()))
	var callers sync.WaitGroup
	callers.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(every/2 + time.Duration(r.Int64N(int64(every))))
			live := w.live()
			if len(live) == 0 {
				continue
			}
			n, key := live[r.IntN(len(live))], keys[r.IntN(len(keys))]
			callers.Go(func() { l.call(n, key) })
		}
	})
	l.stop = func() { cancel(); callers.Wait() }
	return l
}

// call makes one call. What a node says that died meanwhile reaches nobody.
func (l *simLoad) call(n *simNode, key string) {
	began := time.Now()
	d, err := n.ask(bucketring.VerbTake, key, l.limits)
	took := time.Since(began)
	if !n.serving.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[key]++
	l.slow = max(l.slow, took)
	if err != nil {
		l.w.Errorf("%.3fs: Take(%q) at %s failed: %v", time.Since(l.w.began).Seconds(), key, n.name, err)
		return
	}
	l.from[d.Source]++
	if d.Allowed {
		l.pass[key]++
	}
	if l.exact && d.Degraded {
		l.w.Errorf("%.3fs: Take(%q) at %s came from %v after %v, want an exact answer", time.Since(l.w.began).Seconds(), key, n.name, d.Source, took)
	}
	if took > simBudget+callSlack {
		l.w.Errorf("%.3fs: Take(%q) at %s took %v, budget is %v", time.Since(l.w.began).Seconds(), key, n.name, took, simBudget)
	}
}

// expectExact checks that of each key exactly as much has passed as its limit lets.
func (l *simLoad) expectExact(limit int) {
	l.w.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	total := 0
	for _, key := range l.keys {
		total += l.calls[key]
		if want := min(l.calls[key], limit); l.pass[key] != want {
			l.w.Errorf("%d of %d calls of %q passed, want exactly %d", l.pass[key], l.calls[key], key, want)
		}
	}
	l.w.say("load: %d calls, answers from %v, the slowest took %v", total, l.from, l.slow)
}
