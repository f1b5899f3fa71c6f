// kill_test.go ends a node without a goodbye.

package proctest_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// One of three nodes is killed under load on keys that run out of tokens in that
// time; then every key is asked for more than a full bucket's twentieth.
func TestKill(t *testing.T) {
	t.Run("under load", func(t *testing.T) { repeat(t, func(t *testing.T, _ int) { killUnderLoad(t) }) })
	t.Run("hot keys", func(t *testing.T) { repeat(t, func(t *testing.T, _ int) { killHot(t) }) })
	t.Run("exhausted", func(t *testing.T) { repeat(t, func(t *testing.T, _ int) { killExhausted(t) }) })
	t.Run("back at once", func(t *testing.T) { repeat(t, func(t *testing.T, _ int) { killAndBack(t) }) })
}

func killUnderLoad(t *testing.T) {
	const limit, rate = "100/h", 1000
	c := startCluster(t, 3)
	victim := c.serving()[1]
	keys := names("kill", 1000)
	lead := length(3*time.Second, 15*time.Second)
	before := c.takeAll(once(keys, limit, 99-int64(lead.Seconds())), nil) // one is left at the kill
	lost := c.keysOf(victim, keys)
	probes := c.keysOf(victim, names("probe", 60))

	l := c.load(rate, keys, limit)
	time.Sleep(lead) // of load, at one take of a key in a second
	killed := time.Now()
	victim.kill()
	answered := c.awaitAnswers(probes, killed)
	time.Sleep(lead)
	c.awaitAgreement()
	during := l.stop()
	after := c.takeAll(rounds(12, keys, limit), nil)

	during.expectAnswers(t, "A1")
	after.expectAnswers(t, "A1")
	showTakeover(t, "kill", answered, killed, during)
	t.Logf("%d of %d keys were the dead node's; answers by source: during %v, afterwards %v",
		len(lost), len(keys), during.sources(), after.sources())
	expectBound(t, "A3", "over after one crash", "<= 5 %", audit(before, during, after),
		func(a *account) int64 { return a.crashBound(float64(rate) / float64(len(keys))) })
}

// once takes cost tokens of each key in one call.
func once(keys []string, limit string, cost int64) (takes []take) {
	for _, key := range keys {
		takes = append(takes, take{key, limit, cost})
	}
	return takes
}

// showTakeover shows when the keys of a node that was killed or sleeps were
// answered again.
func showTakeover(t *testing.T, event string, answered []time.Duration, since time.Time, during *tally) {
	t.Helper()
	if len(answered) == 0 {
		t.Fatal("the node that went away owned none of the probes")
	}
	slices.Sort(answered)
	show(t, figure{"A4", event + " until all its keys are answered by an owner or replica", "<= 500 ms",
		ms(answered[len(answered)-1]), "ms", fmt.Sprintf("slowest of %d keys, half within %s ms", len(answered), number(ms(answered[len(answered)/2])))})
	var last time.Duration
	for i := range during.all {
		if o := &during.all[i]; isAlone(o) && o.begun.After(since) {
			last = max(last, o.begun.Add(o.took).Sub(since))
		}
	}
	show(t, figure{"A4", event + " until the last fallback answer", "<= 500 ms", ms(last), "ms",
		fmt.Sprintf("%d fallback answers", during.count(isAlone))})
}

// awaitAnswers asks for each key again and again and returns how long after a
// moment it was answered by an owner or a replica. A key that never is gets the
// time that was waited.
func (c *cluster) awaitAnswers(keys []string, since time.Time) []time.Duration {
	took := make([]time.Duration, len(keys))
	var all sync.WaitGroup
	for i, key := range keys {
		all.Go(func() {
			for n := i; time.Since(since) < slack; n++ {
				nodes := c.serving()
				o := nodes[n%len(nodes)].askWithin(patience(), take{key, loadLimit, 1})
				if took[i] = time.Since(since); o.err == nil && !o.alone() {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	all.Wait()
	return took
}

// Few keys that are asked for often show what the dead node had not passed on.
func killHot(t *testing.T) {
	const limit, each = "1000/h", 60
	c := startCluster(t, 3)
	victim := c.serving()[1]
	keys := c.keysOf(victim, names("hot", 60))
	keys = keys[:min(len(keys), 8)]
	if len(keys) == 0 {
		t.Fatal("the node to kill owns none of 60 keys")
	}
	before := c.takeAll(once(keys, limit, 800), nil) // leaves 200
	l := c.load(each*len(keys), keys, limit)
	time.Sleep(2 * time.Second) // of load: 120 more are spent
	victim.kill()
	c.awaitAgreement()
	during := l.stop()
	after := c.takeAll(rounds(300, keys, limit), nil)
	during.expectAnswers(t, "A1")
	after.expectAnswers(t, "A1")
	t.Logf("answers by source: during %v, afterwards %v", during.sources(), after.sources())
	expectBound(t, "A3", "over after one crash, hot keys", "<= 5 %", audit(before, during, after),
		func(a *account) int64 { return a.crashBound(each) })
}

// Keys that were empty before the kill stay so, while they are asked for all the
// time. Who answers alone for the dead node may let one pass, an owner or a
// replica none.
func killExhausted(t *testing.T) {
	c := startCluster(t, 3)
	victim := c.serving()[1]
	keys := names("empty", 60)
	before := c.takeAll(rounds(12, keys, tenAnHour), nil)
	expectExactly(t, "A3", "12 takes of 10", before, keys, 10)
	l := c.load(10*len(keys), keys, tenAnHour)
	time.Sleep(time.Second) // of load, before and after
	victim.kill()
	c.awaitAgreement()
	time.Sleep(time.Second)
	during := l.stop()
	after := c.takeAll(rounds(12, keys, tenAnHour), nil)
	during.expectAnswers(t, "A1")
	after.expectAnswers(t, "A1")
	expectDenied(t, "A3", "exhausted before the crash, passed by an owner or replica", during, after)
	expectBound(t, "A3", "over on exhausted keys", "<= 1 token of 10", audit(before, during, after),
		func(a *account) int64 { return a.crashBound(0) })
}

// A node is back under its name and address before anybody has missed it. It
// knows nothing, and its keys still have what was left of them.
func killAndBack(t *testing.T) {
	const limit, rate = "100/d", 300
	c := startCluster(t, 3)
	victim := c.serving()[1]
	keys := names("back", 300)
	before := c.takeAll(once(keys, limit, 94), nil) // leaves 6
	l := c.load(rate, keys, limit)
	time.Sleep(time.Second) // of load, at one take of a key in a second
	victim.kill()
	killed := time.Now()
	c.restart(victim)
	c.awaitAgreement()
	agreed := time.Since(killed)
	time.Sleep(time.Second)
	during := l.stop()
	after := c.takeAll(rounds(12, keys, limit), nil)
	during.expectAnswers(t, "A1")
	after.expectAnswers(t, "A1")
	show(t, figure{"F22", "kill until the same address is in one ring", "<= 5 s", agreed.Seconds(), "s",
		fmt.Sprintf("by source: during %v, afterwards %v", during.sources(), after.sources())})
	expectBound(t, "A3", "over after a crash, back at once", "<= 5 %", audit(before, during, after),
		func(a *account) int64 { return a.crashBound(float64(rate) / float64(len(keys))) })
}

// expectDenied fails if an owner or a replica let a take of an empty key pass.
func expectDenied(t *testing.T, row, what string, tallies ...*tally) {
	t.Helper()
	passed, alone, calls := 0, 0, 0
	for _, y := range tallies {
		calls += len(y.all)
		passed += y.count(func(o *outcome) bool { return isAllowed(o) && !o.alone() })
		alone += y.count(func(o *outcome) bool { return isAllowed(o) && o.alone() })
	}
	hold(t, 0, figure{row, what, "0", float64(passed), "takes", fmt.Sprintf("of %d, %d more by fallback", calls, alone)})
}
