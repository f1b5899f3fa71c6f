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

// ask takes one token of a key at a node, or looks what is left.
func (n *simNode) ask(verb bucketring.Verb, key string, limits []bucketring.Limit) (bucketring.Decision, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	cost := int64(1)
	if verb == bucketring.VerbPeek {
		cost = 0
	}
	return n.door.Take(ctx, bucketring.Request{Verb: verb, Key: key, Limits: limits, Cost: cost})
}

// spend takes from each key so many times, at nodes picked at random, and returns how
// many passed of each. Answers must be exact.
func (w *simWorld) spend(keys []string, limits []bucketring.Limit, times int) map[string]int {
	w.Helper()
	passed := map[string]int{}
	for range times {
		for _, key := range keys {
			live := w.live()
			n := live[w.rand.IntN(len(live))]
			d, err := n.ask(bucketring.VerbTake, key, limits)
			if err != nil || d.Degraded {
				w.Errorf("%v: Take(%q) at %s = %v from %v, error %v, want an exact answer", w.now(), key, n.name, d.Allowed, d.Source, err)
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
	for _, key := range keys {
		if passed[key] != want {
			w.Errorf("%d calls of %q passed, want exactly %d", passed[key], key, want)
		}
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

// A simCall is one take and its answer.
type simCall struct {
	key         string
	at          string // the node that was asked
	began, took time.Duration
	d           bucketring.Decision
	err         error
	died        bool // the node that was asked died meanwhile: nobody heard its answer
}

// exact reports whether a holder or its successor has let the call pass.
func (c *simCall) exact() bool { return !c.died && c.err == nil && c.d.Allowed && !c.fallback() }

func (c *simCall) fallback() bool {
	return c.d.Degraded && c.d.Source != bucketring.SourceReplica
}

// twice reports whether a holder may have charged the call, and another one again after
// the first one's answer was lost.
func (c *simCall) twice() bool {
	return c.exact() && (c.d.Source == bucketring.SourceReplica || c.took > callSlack)
}

// unheard reports whether a holder may have charged the call although no answer of it
// was heard.
func (c *simCall) unheard() bool { return c.died || c.err != nil || c.fallback() }

// A simLoad calls all nodes again and again with one limit.
type simLoad struct {
	w      *simWorld
	keys   []string
	limits []bucketring.Limit
	stop   func()

	mu    sync.Mutex
	calls []simCall // guarded by mu
}

// callSlack is what a call may take beyond its budget.
const callSlack = 5 * time.Millisecond

// load calls nodes at random, every so often, until stop.
func (w *simWorld) load(limit string, keys []string, every time.Duration) *simLoad {
	return w.loadOf(bucketring.MustParse(limit), keys, every)
}

func (w *simWorld) loadOf(limits []bucketring.Limit, keys []string, every time.Duration) *simLoad {
	l := &simLoad{w: w, keys: keys, limits: limits}
	ctx, cancel := context.WithCancel(context.Background())
	r := rand.New(rand.NewPCG(uint64(w.seed), w.rand.Uint64()))
	var callers sync.WaitGroup
	callers.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(every/2 + time.Duration(r.Int64N(int64(every))))
			if live := w.live(); len(live) > 0 {
				n, key := live[r.IntN(len(live))], keys[r.IntN(len(keys))]
				callers.Go(func() { l.call(n, key) })
			}
		}
	})
	l.stop = sync.OnceFunc(func() { cancel(); callers.Wait() })
	w.loads = append(w.loads, l)
	return l
}

// call makes one call and writes it down.
func (l *simLoad) call(n *simNode, key string) simCall {
	c := simCall{key: key, at: n.name, began: l.w.now()}
	c.d, c.err = n.ask(bucketring.VerbTake, key, l.limits)
	c.took, c.died = l.w.now()-c.began, n.dead.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, c)
	if c.died {
		return c
	}
	if c.err != nil {
		l.w.Errorf("%v: Take(%q) at %s failed: %v", c.began, key, n.name, c.err)
	}
	if c.took > simBudget+callSlack {
		l.w.Errorf("%v: Take(%q) at %s took %v, its budget is %v", c.began, key, n.name, c.took, simBudget)
	}
	return c
}

// exhaust makes calls at random nodes until every key has denied twice in a row.
func (l *simLoad) exhaust() {
	l.w.Helper()
	for _, key := range l.keys {
		for denied := 0; denied < 2; {
			live := l.w.live()
			c := l.call(live[l.w.rand.IntN(len(live))], key)
			if c.d.Degraded {
				l.w.Errorf("%v: Take(%q) at %s came from %v, want an exact answer at rest", c.began, key, c.at, c.d.Source)
			}
			if denied++; c.d.Allowed {
				denied = 0
			}
		}
	}
}

// A simBook is what a load has brought for one key.
type simBook struct {
	calls    int
	exact    int // passed, by a holder or its successor
	fallback int // passed without either
	unheard  int // may have been charged
	twice    int // may have been charged twice
	lost     int // passed, and perhaps not copied before the holder crashed
	late     int // passed in the second before: other nodes may not know
}

func (b *simBook) add(o *simBook) {
	b.calls, b.exact, b.fallback = b.calls+o.calls, b.exact+o.exact, b.fallback+o.fallback
	b.unheard, b.twice, b.lost, b.late = b.unheard+o.unheard, b.twice+o.twice, b.lost+o.lost, b.late+o.late
}

// copyDelay is how old a charge may be that a crash loses: copies are sent every
// 10 ms.
const copyDelay = 15 * time.Millisecond

// books adds up the calls of each key. Crashes tells when nodes crashed, by name.
func (l *simLoad) books(crashes map[string]time.Duration) map[string]*simBook {
	l.mu.Lock()
	defer l.mu.Unlock()
	books := map[string]*simBook{}
	for _, key := range l.keys {
		books[key] = &simBook{}
	}
	for i := range l.calls {
		c := &l.calls[i]
		b := books[c.key]
		b.calls++
		switch {
		case c.exact():
			b.exact++
			at, crashed := crashes[c.d.Owner]
			ended := c.began + c.took
			if c.twice() {
				b.twice++
			}
			if crashed && ended > at-copyDelay && c.began <= at {
				b.lost++
			}
			if crashed && ended > at-time.Second && c.began <= at {
				b.late++
			}
		case c.unheard():
			b.unheard++
			if !c.died && c.d.Allowed {
				b.fallback++
			}
		}
	}
	return books
}

// expectExact checks that of each key exactly as much has passed as its limit lets,
// and that all answers were exact.
func (l *simLoad) expectExact() {
	l.w.Helper()
	for key, b := range l.books(nil) {
		if want := min(b.calls, int(l.limits[0].Capacity())); b.exact != want {
			l.w.Errorf("%d of %d calls of %q passed, want exactly %d", b.exact, b.calls, key, want)
		}
	}
	from := map[bucketring.Source]int{}
	slowest := time.Duration(0)
	for _, c := range l.calls {
		from[c.d.Source]++
		slowest = max(slowest, c.took)
		if c.d.Degraded && !c.died {
			l.w.Errorf("%v: Take(%q) at %s came from %v after %v, want an exact answer", c.began, c.key, c.at, c.d.Source, c.took)
		}
	}
	l.w.say("load: %d calls, answers from %v, the slowest took %v", len(l.calls), from, slowest)
}
