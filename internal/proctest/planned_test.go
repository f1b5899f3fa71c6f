// planned_test.go changes the cluster in ways that operators plan: nothing may
// be lost, given twice, or noticed.

package proctest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const (
	tenAnHour = "10/h"
	manyKeys  = 100
	calm      = 300                    // takes a second in the background of planned changes
	margin    = 500 * time.Millisecond // of load before and after a change
)

// spend takes n tokens of each key through all nodes and wants all of them.
func spend(t *testing.T, c *cluster, n int, keys []string, limit string) *tally {
	t.Helper()
	y := c.takeAll(rounds(n, keys, limit), nil)
	if passed := y.count(isAllowed); passed != n*len(keys) {
		t.Errorf("%d of the first %d takes passed, want all%s", passed, n*len(keys), y.examples(3))
	}
	return y
}

// underLoad makes a change while other keys are asked for, and shows how their
// callers fared.
func underLoad(t *testing.T, c *cluster, change func()) {
	t.Helper()
	l := c.load(calm, loadKeys(), loadLimit)
	time.Sleep(margin)
	change()
	time.Sleep(margin)
	y := l.stop()
	y.expectAnswers(t, "A1")
	y.expectOwners(t, "A1")
}

// Limit 10 an hour, 4 spent, every node replaced, 20 more: exactly 6 pass.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name    string
		replace func(c *cluster, old *node)
	}{
		{"same names", func(c *cluster, old *node) { c.restart(old) }},
		{"new names", func(c *cluster, old *node) { c.start("m" + old.name[1:]) }},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			repeat(t, func(t *testing.T, _ int) { rollingRestart(t, v.replace) })
		})
	}
}

func rollingRestart(t *testing.T, replace func(c *cluster, old *node)) {
	c := startCluster(t, 3, patient()...)
	keys := names("rolling", manyKeys)
	spend(t, c, 4, keys, tenAnHour)
	var drained, agreed time.Duration
	underLoad(t, c, func() {
		for _, old := range c.serving() {
			drained = max(drained, c.stop(old))
			replace(c, old)
			agreed = max(agreed, c.awaitAgreement())
		}
	})
	show(t, figure{"F2", "SIGTERM to exit 0", "<= 10 s", drained.Seconds(), "s", "slowest of three"})
	show(t, figure{"F4", "ready to one ring", "<= 2 s", agreed.Seconds(), "s", "slowest of three"})
	c.logMetric("bucketring_handover_keys_total")
	after := c.takeAll(rounds(20, keys, tenAnHour), nil)
	after.expectAnswers(t, "A1")
	after.expectOwners(t, "A1")
	expectExactly(t, "A2", "6 of 10 were left, every node was replaced, 20 more takes", after, keys, 6)
}

// From 3 nodes to 5 and back to 3, of which two are others than before. Some is
// spent in between: a counter must not go back to what an earlier holder knew.
func TestScale(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name   string
		atOnce bool
	}{{"one by one", false}, {"at once", true}} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			repeat(t, func(t *testing.T, _ int) { scale(t, v.atOnce) })
		})
	}
}

func scale(t *testing.T, atOnce bool) {
	c := startCluster(t, 3, patient()...)
	leavers := c.serving()[:2]
	keys := names("scale", manyKeys)
	spend(t, c, 4, keys, tenAnHour)
	underLoad(t, c, func() {
		if atOnce {
			c.startAll("n4", "n5")
		} else {
			c.start("n4")
			c.awaitAgreement()
			c.start("n5")
		}
		c.awaitAgreement()
	})
	joined := c.takeAll(rounds(3, keys, tenAnHour), nil)
	expectExactly(t, "A2", "6 of 10 were left, 3 nodes became 5, 3 more takes", joined, keys, 3)
	expectLeft(t, joined, keys, 3)
	var drained time.Duration
	underLoad(t, c, func() {
		if atOnce {
			drained = c.stop(leavers...)
		} else {
			drained = c.stop(leavers[0])
			c.awaitAgreement()
			drained = max(drained, c.stop(leavers[1]))
		}
		c.awaitAgreement()
	})
	show(t, figure{"F2", "SIGTERM to exit 0", "<= 10 s", drained.Seconds(), "s", "slowest of two"})
	left := c.takeAll(rounds(20, keys, tenAnHour), nil)
	left.expectAnswers(t, "A1")
	left.expectOwners(t, "A1")
	expectExactly(t, "A2", "3 of 10 were left, 5 nodes became 3, 20 more takes", left, keys, 3)
}

// expectLeft fails unless the answers said of every key that so much is left.
func expectLeft(t *testing.T, y *tally, keys []string, want int64) {
	t.Helper()
	least := map[string]int64{}
	for i := range y.all {
		o := &y.all[i]
		if left, ok := least[o.Key]; !ok || o.Remaining < left {
			least[o.Key] = o.Remaining
		}
	}
	wrong := 0
	for _, key := range keys {
		if least[key] != want {
			wrong++
		}
	}
	hold(t, 0, figure{"A2", "then left", fmt.Sprintf("%d of every key", want), float64(wrong), "keys wrong", ""})
}

// A node joins while the keys that move to it are asked for.
func TestJoinUnderLoad(t *testing.T) {
	t.Parallel()
	repeat(t, func(t *testing.T, _ int) { joinUnderLoad(t) })
}

func joinUnderLoad(t *testing.T) {
	const limit, perKey = "50/d", 50
	c := startCluster(t, 3, patient()...)
	keys := names("join", 60)
	spend(t, c, perKey/2, keys, limit)
	l := c.load(2*calm, keys, limit)
	time.Sleep(margin)
	c.start("n4")
	joined := c.awaitAgreement()
	time.Sleep(margin)
	during := l.stop()
	during.expectAnswers(t, "A1")
	during.expectOwners(t, "A1")
	show(t, figure{"F3", "ready to one ring", "<= 2 s", joined.Seconds(), "s", ""})
	after := c.takeAll(rounds(perKey, keys, limit), nil)
	after.expectAnswers(t, "A1")
	after.expectOwners(t, "A1")
	joint := &tally{all: slices.Concat(during.all, after.all)}
	expectBound(t, "A2", "over after a join under load", "0 %", audit(spentBefore(keys, limit, perKey/2), joint), none)
	expectExactly(t, "A2", fmt.Sprintf("%d of %d were left, a node joined meanwhile", perKey/2, perKey), joint, keys, perKey/2)
}

// spentBefore stands for takes that all passed.
func spentBefore(keys []string, limit string, cost int64) *tally {
	y := &tally{}
	for _, what := range once(keys, limit, cost) {
		y.add(outcome{take: what, answer: answer{Allowed: true}, begun: time.Now()})
	}
	return y
}
