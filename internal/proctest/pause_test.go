// pause_test.go stops a node where it stands and wakes it again.

package proctest_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// One of three nodes stands still for a while. Those who ask the others do not
// suffer, and when it wakes up it does not decide by what it knew before.
func TestPause(t *testing.T) {
	pauses := []time.Duration{time.Second, 5 * time.Second}
	if *long {
		pauses = append(pauses, 200*time.Millisecond, 30*time.Second)
	}
	for _, pause := range pauses {
		t.Run(fmt.Sprint(pause), func(t *testing.T) {
			repeat(t, func(t *testing.T, _ int) { pauseUnderLoad(t, pause) })
		})
	}
}

// All limited keys are the sleeper's: some are empty before it sleeps, and some
// run out meanwhile, so that what it remembers of them is wrong.
func pauseUnderLoad(t *testing.T, pause time.Duration) {
	const limit, rate = "100/d", 600 // the next token comes after 14 minutes
	c := startCluster(t, 3)
	sleeper := c.serving()[1]
	empty, emptied := c.keysOf(sleeper, names("empty", 30)), c.keysOf(sleeper, names("emptied", 30))
	probes := c.keysOf(sleeper, names("probe", 30))
	others := loadKeys()
	asleep := c.keysOf(sleeper, others)
	others = slices.DeleteFunc(others, func(key string) bool { return slices.Contains(asleep, key) })
	keys := slices.Concat(empty, emptied)
	before := c.takeAll(append(once(empty, limit, 100), once(emptied, limit, 90)...), nil) // leaves 0 and 10
	limited, unlimited := c.load(rate, keys, limit), c.load(calm, others, loadLimit)
	time.Sleep(time.Duration(5*len(emptied)) * time.Second / rate) // until few of each are spent
	quiet := unlimited.stop()

	if err := sleeper.pause(); errors.Is(err, errors.ErrUnsupported) {
		limited.stop()
		t.Skip("skipped: no signals here that stop a process")
	} else if err != nil {
		t.Fatal(err)
	}
	slept := time.Now()
	unlimited = c.load(calm, others, loadLimit)
	answered := make(chan []time.Duration, 1)
	go func() { answered <- c.awaitAnswers(probes, slept) }()
	time.Sleep(pause)
	during, background := limited.stop(), unlimited.stop()
	woken := c.wake(sleeper, rounds(2, keys, limit))
	unlimited = c.load(calm, loadKeys(), loadLimit)
	c.awaitAgreement()
	after := c.takeAll(rounds(15, keys, limit), nil)
	awake := unlimited.stop()

	for _, y := range []*tally{during, background, after, awake} {
		y.expectAnswers(t, "A1")
	}
	showTakeover(t, "sleep", <-answered, slept, during)
	showBreaker(t, slept, during)
	show(t, figure{"A8", "p99 of keys of others meanwhile", fmt.Sprintf("<= 2x of %s ms", number(quiet.latency(0.99))),
		background.latency(0.99), "ms", fmt.Sprint("by source: ", background.sources())})
	dry := dryKeys(audit(before, during))
	t.Logf("%d of %d keys were empty before the node woke up; its first answers by source: %v; those of all then: %v",
		len(dry), len(keys), woken.sources(), awake.sources())
	expectDenied(t, "A8", "zombie verdicts of the woken node on empty keys", woken.only(dry))
	expectDenied(t, "A8", "empty keys passed after the sleep", after.only(dry))
	expectBound(t, "A3", "over after a sleep of "+pause.String(), "<= 5 %", audit(before, during, woken, after),
		func(a *account) int64 { return a.crashBound(rate / float64(len(keys))) })
}

// showBreaker shows how long callers had to wait for the one who sleeps.
func showBreaker(t *testing.T, slept time.Time, during *tally) {
	t.Helper()
	const slow = 10 * time.Millisecond
	var last time.Duration
	later := &tally{}
	for i := range during.all {
		o := &during.all[i]
		since := o.begun.Sub(slept)
		if since > 0 && o.took > slow {
			last = max(last, since)
		}
		if since > 300*time.Millisecond {
			later.all = append(later.all, *o)
		}
	}
	show(t, figure{"A8", "sleep until the last answer over 10 ms", "<= 300 ms", ms(last), "ms", "breaker"})
	show(t, figure{"F8", "p99 of the sleeper's keys from 300 ms on", "<= 25 ms", later.latency(0.99), "ms", fmt.Sprint("by source: ", later.sources())})
}

// dryKeys are those of which callers had their limit.
func dryKeys(accounts map[string]*account) map[string]bool {
	dry := map[string]bool{}
	for key, a := range accounts {
		if a.admitted >= a.allowed() {
			dry[key] = true
		}
	}
	return dry
}

// only returns the outcomes of some keys.
func (y *tally) only(keys map[string]bool) *tally {
	kept := &tally{}
	for i := range y.all {
		if keys[y.all[i].Key] {
			kept.all = append(kept.all, y.all[i])
		}
	}
	return kept
}

// wake sends takes to a node that sleeps and lets it go on: they are the first
// that it reads then.
func (c *cluster) wake(sleeper *node, takes []take) *tally {
	c.t.Helper()
	sleeper.web.CloseIdleConnections() // they may be too old when it wakes up
	y := &tally{}
	var all sync.WaitGroup
	for _, what := range takes {
		all.Go(func() { y.add(sleeper.askWithin(slack, what)) })
	}
	time.Sleep(100 * time.Millisecond) // the takes wait in its sockets by then, or come a little later
	if err := sleeper.resume(); err != nil {
		c.t.Fatal(err)
	}
	all.Wait()
	if failed := y.count(isFailed); failed > 0 {
		c.t.Errorf("the woken node failed %d of %d takes%s", failed, len(y.all), y.examples(3))
	}
	return y
}
