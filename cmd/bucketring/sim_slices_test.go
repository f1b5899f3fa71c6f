// sim_slices_test.go: nodes give out tokens that they have borrowed. An auditor holds each
// key to what was promised, and at rest nothing is missing.

package main

import (
	"slices"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

// A sliceAudit is a load of one limit, and its books.
type sliceAudit struct {
	*simLoad
	limit bucketring.Limit
}

// sliceLoads calls keys of all kinds of limits that lend, each at about that part of its
// rate.
func (w *simWorld) sliceLoads(part float64) (all []sliceAudit) {
	limits := bucketring.MustParse("200/s, 400/s burst=800 algorithm=token_bucket, 6000/m, 200/s algorithm=fixed_window, " +
		"12000/m algorithm=fixed_window, 12000/h algorithm=fixed_window, 9000/m algorithm=sliding_window, 90000/d@Europe/Berlin")
	limits[5].Align = bucketring.AlignFirstRequest
	for i, limit := range limits {
		every := time.Duration(float64(time.Second) / part / min(float64(limit.Amount)/limit.Per.Seconds(), 300))
		if limit.Per > time.Minute {
			every = 10 * time.Millisecond
		}
		all = append(all, sliceAudit{w.loadOf(limits[i:i+1], keysOf(limit.String()+" ", 1), every), limit})
	}
	return all
}

// passedOf returns when the calls of a load passed.
func (a *sliceAudit) passed() (at []time.Duration, from map[bucketring.Source]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	from = map[bucketring.Source]int{}
	for i := range a.calls {
		c := &a.calls[i]
		from[c.d.Source]++
		if c.d.Degraded && !c.died {
			a.w.Errorf("%v: Take(%q) at %s came from %v", c.began, c.key, c.at, c.d.Source)
		}
		if c.d.Allowed && c.err == nil {
			at = append(at, c.began+c.took)
		}
	}
	slices.Sort(at)
	return at, from
}

// audit checks that in no interval more passed than the capacity, what comes back in it and
// what may be lent; and of windows never more than their amount.
func (a *sliceAudit) audit() {
	a.w.Helper()
	at, from := a.passed()
	a.w.say("%s: %d of %d passed, answers from %v", a.limit, len(at), len(a.calls), from)
	switch {
	case a.limit.Refills():
		a.auditBucket(at)
	case a.limit.Algorithm == bucketring.SlidingWindow:
		a.auditSpans(at, a.limit.Amount+a.limit.Lendable())
	case a.limit.Align == bucketring.AlignEpoch:
		perWindow := map[int64]int64{}
		for _, t := range at {
			perWindow[a.w.began.Add(t).UnixNano()/int64(a.limit.Per)]++
		}
		for window, n := range perWindow {
			if n > a.limit.Amount {
				a.w.Errorf("%s: %d passed in window %d, want at most %d", a.limit, n, window, a.limit.Amount)
			}
		}
	default:
		if int64(len(at)) > a.limit.Amount {
			a.w.Errorf("%s: %d passed in one window, want at most %d", a.limit, len(at), a.limit.Amount)
		}
	}
}

// auditBucket is a perfect bucket whose burst is larger by what may be lent, and by what
// comes back while answers are on their way.
func (a *sliceAudit) auditBucket(at []time.Duration) {
	rate := float64(a.limit.Amount) / a.limit.Per.Seconds()
	burst := float64(a.limit.Capacity()+a.limit.Lendable()) + rate*simBudget.Seconds()
	tokens, last := burst, time.Duration(0)
	for _, t := range at {
		tokens = min(tokens+rate*(t-last).Seconds(), burst)
		last = t
		if tokens--; tokens < 0 {
			a.w.Errorf("%s: at %v one token more passed than B + r·w + G", a.limit, t)
			return
		}
	}
}

// auditSpans checks that within Per never more than most passed.
func (a *sliceAudit) auditSpans(at []time.Duration, most int64) {
	for i := int(most); i < len(at); i++ {
		if span := at[i] - at[i-int(most)]; span+simBudget < a.limit.Per {
			a.w.Errorf("%s: %d passed within %v, want at most %d in %v", a.limit, most+1, span, most, a.limit.Per)
			return
		}
	}
}

// expectSpent checks at rest that the holder has counted what passed since its window
// began, and stranded tokens at most.
func (a *sliceAudit) expectSpent(stranded int64) {
	a.w.Helper()
	if a.limit.Per < time.Minute {
		return // it is full again
	}
	at, _ := a.passed()
	d, err := a.w.live()[0].ask(bucketring.VerbPeek, a.keys[0], a.limits)
	if err != nil {
		a.w.Fatal(err)
	}
	passed := int64(0)
	for _, t := range at {
		if began := a.w.now() + d.ResetAfter - a.limit.Per; a.limit.Align != bucketring.AlignEpoch || t > began {
			passed++
		}
	}
	if a.limit.Refills() || a.limit.Algorithm == bucketring.SlidingWindow {
		return
	}
	if d.Used < passed || d.Used > passed+stranded {
		a.w.Errorf("%s: %d are used and %d passed in this window, want the same, or at most %d more", a.limit, d.Used, passed, stranded)
	}
}

// share returns the part of all calls that was answered without asking another node.
func (w *simWorld) share(all []sliceAudit) (lease, local float64) {
	leased, owned, calls := 0, 0, 0
	for i := range all {
		for _, c := range all[i].calls {
			calls++
			switch {
			case c.d.Source == bucketring.SourceLease:
				leased++
			case c.d.Owner == c.d.Node || c.d.Source == bucketring.SourceDeniedCache:
				owned++
			}
		}
	}
	return float64(leased) / float64(calls), float64(leased+owned) / float64(calls)
}

func stopAll(all []sliceAudit) {
	for i := range all {
		all[i].stop()
	}
}

// TestSimSlices: at half of what is allowed most calls are answered from slices; when the
// load ends all that was not spent is given back.
func TestSimSlices(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.cluster(3)
		time.Sleep(2 * time.Second) // a new holder lends nothing
		all := w.sliceLoads(0.5)
		time.Sleep(10 * time.Second)
		stopAll(all)
		time.Sleep(1800 * time.Millisecond)
		for i := range all {
			all[i].audit()
			all[i].expectSpent(0)
		}
		leased, local := w.share(all)
		w.say("%.0f %% from slices, %.0f %% without asking another node", leased*100, local*100)
		if local < 0.7 {
			t.Errorf("%.0f %% were answered without asking another node, want 70 %%", local*100)
		}
		time.Sleep(2 * time.Second)
		for _, n := range w.live() {
			if s := n.s.node.Stats().Slices; s.Accounts != 0 {
				t.Errorf("%s: %+v at rest, want no accounts", n.name, s)
			}
		}
	})
}

// TestSimSlicesContested: above the limit slices let no more pass.
func TestSimSlicesContested(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.cluster(3)
		time.Sleep(2 * time.Second)
		all := w.sliceLoads(3)
		time.Sleep(6 * time.Second)
		stopAll(all)
		time.Sleep(1800 * time.Millisecond)
		for i := range all {
			all[i].audit()
			all[i].expectSpent(0)
		}
	})
}

// TestSimSlicesOverlap: one counter is part of several bundles, and of accounts that differ
// in what does not matter for counting. What is lent of it adds up.
func TestSimSlicesOverlap(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.cluster(3)
		time.Sleep(2 * time.Second)
		key := []string{"overlap:1"}
		limits := bucketring.MustParse("2000/s, 130000/m, 140000/m algorithm=fixed_window, 150000/m algorithm=sliding_window")
		var all sliceAudit
		for _, bundle := range [][]bucketring.Limit{limits[:1], limits[:2], {limits[0], limits[2]}, {limits[0], limits[3]}, limits[:1]} {
			bundle = slices.Clone(bundle)
			if all.simLoad != nil {
				bundle[0].Unavailable = bucketring.UnavailableAllow
			}
			l := w.loadOf(bundle, key, 20*time.Millisecond)
			if all.simLoad == nil {
				all = sliceAudit{l, limits[0]}
			}
			defer l.stop()
		}
		time.Sleep(3 * time.Second)
		var burst []*simLoad // all of a sudden more than the limit
		for range 8 {
			burst = append(burst, w.loadOf(limits[:1], key, time.Millisecond))
		}
		time.Sleep(1500 * time.Millisecond)
		stopLoads(w.loads)
		leased := 0
		for _, l := range w.loads {
			for _, c := range l.calls {
				if c.d.Source == bucketring.SourceLease {
					leased++
				}
			}
			if l != all.simLoad {
				all.calls = append(all.calls, l.calls...)
			}
		}
		if leased < 100 || len(burst) == 0 {
			t.Errorf("%d calls were answered from slices, want a hundred at least", leased)
		}
		all.audit()
	})
}

func stopLoads(all []*simLoad) {
	for _, l := range all {
		l.stop()
	}
}

// TestSimSlicesWhileNodesChange: a node joins and one leaves in good order. Nothing is lost
// and nothing passes twice.
func TestSimSlicesWhileNodesChange(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.cluster(3)
		time.Sleep(2 * time.Second)
		all := w.sliceLoads(0.8)
		time.Sleep(3 * time.Second)
		w.start("n4", 4)
		w.awaitRest(5 * time.Second)
		time.Sleep(3 * time.Second)
		w.node(2).leave()
		w.awaitRest(5 * time.Second)
		time.Sleep(3 * time.Second)
		stopAll(all)
		time.Sleep(1800 * time.Millisecond)
		for i := range all {
			all[i].audit()
			all[i].expectSpent(0)
		}
	})
}

// TestSimSlicesCrash: a holder dies. Its slices were charged at a second node before they
// left, so lending lets no more pass than without it: what was charged in the last moment
// before the crash, and what was let pass before somebody took over.
func TestSimSlicesCrash(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.cluster(3)
		time.Sleep(2 * time.Second)
		l := w.load("1000/h algorithm=fixed_window", keysOf("crash:", 12), time.Millisecond)
		time.Sleep(4 * time.Second)
		victim := w.live()[w.rand.IntN(3)]
		crashed := w.now()
		victim.crash(w.rand.IntN(2) == 0)
		time.Sleep(4 * time.Second)
		l.stop()
		w.awaitRest(10 * time.Second)
		time.Sleep(2 * time.Second)
		leased := 0
		for _, c := range l.calls {
			if c.d.Source == bucketring.SourceLease {
				leased++
			}
		}
		if leased < len(l.calls)/4 {
			t.Errorf("%d of %d calls were answered from slices, want a quarter at least", leased, len(l.calls))
		}
		l.exhaust()
		limit, worst := l.limits[0], 0
		for key, b := range l.books(map[string]time.Duration{victim.name: crashed}) {
			passed := b.exact + b.fallback
			worst = max(worst, passed-int(limit.Amount))
			if most := int(limit.Amount) + b.lost + b.fallback; passed > most {
				t.Errorf("%d calls of %q passed, want at most %d: %+v", passed, key, most, *b)
			}
			if least := int(limit.Amount-limit.Lendable()) - b.unheard; passed < least {
				t.Errorf("%d calls of %q passed, want at least %d: %+v", passed, key, least, *b)
			}
		}
		w.say("%d of %d calls from slices; at worst %d over", leased, len(l.calls), worst)
	})
}
