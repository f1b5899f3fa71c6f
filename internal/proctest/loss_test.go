// loss_test.go loses packets: some of all, and all of one.

package proctest_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// A node that is cut off and dies sends no reset: its silence is all there is.
func TestSilentKill(t *testing.T) {
	repeat(t, func(t *testing.T, _ int) { silentKill(t) })
}

func silentKill(t *testing.T) {
	const limit, rate = "100/d", 500
	c := startApart(t)
	victim := c.serving()[2]
	keys, probes := names("silent", 500), c.keysOf(victim, names("probe", 60))
	before := c.takeAll(once(keys, limit, 96), nil) // leaves 4
	l := c.load(rate, keys, limit)
	time.Sleep(3 * time.Second) // of load, at one take of a key in a second
	victim.asked.Store(false)
	victim.dying.Store(true)
	c.net.split(victim.name)
	killed := time.Now()
	victim.kill()
	answered := c.awaitAnswers(probes, killed)
	c.awaitAgreement()
	during := l.stop()
	after := c.takeAll(rounds(12, keys, limit), nil)
	during.expectAnswers(t, "A1")
	after.expectAnswers(t, "A1")
	showTakeover(t, "silent death", answered, killed, during)
	expectBound(t, "A3", "over after one silent crash", "<= 5 %", audit(before, during, after),
		func(a *account) int64 { return a.crashBound(float64(rate) / float64(len(keys))) })
}

// One packet in ten is lost everywhere, and nobody is taken for dead.
func TestLoss(t *testing.T) {
	repeat(t, func(t *testing.T, _ int) { loseAndCount(t) })
}

func loseAndCount(t *testing.T) {
	const limit = "50/d"
	c := startApart(t)
	keys := names("loss", 100)
	spend(t, c, 10, keys, limit)
	calmly := c.loss(t, 0, 3*time.Second)
	lossy := c.loss(t, 10, length(20*time.Second, 10*time.Minute))
	c.net.lose(10)
	exact := c.takeAll(rounds(60, keys, limit), nil)
	c.net.heal()
	t.Logf("without loss: p99 %s ms, by source %v", number(calmly.latency(0.99)), calmly.sources())
	lossy.expectAnswers(t, "A9")
	exact.expectAnswers(t, "A9")
	share := 100 * float64(lossy.count(isDegraded)) / float64(max(len(lossy.all), 1))
	show(t, figure{"A9", "degraded answers", "<= 15 %", share, "%", fmt.Sprint("by source: ", lossy.sources())})
	show(t, figure{"A9", "p99", "<= 25 ms", lossy.latency(0.99), "ms", fmt.Sprintf("worst %s ms", number(lossy.latency(1)))})
	expectBound(t, "A9", "over with loss", "no figure", audit(spentBefore(keys, limit, 10), exact),
		func(*account) int64 { return math.MaxInt64 })
}

// loss sends load for a time while packets are lost, and fails if a node is taken
// for dead meanwhile.
func (c *cluster) loss(t *testing.T, percent int, how time.Duration) *tally {
	t.Helper()
	if percent > 0 {
		c.net.lose(percent)
		defer c.net.heal()
	}
	return c.watch(t, fmt.Sprintf("at %d %% loss", percent), how)
}

// watch sends load for a time, and fails if a node is taken for dead meanwhile.
func (c *cluster) watch(t *testing.T, when string, how time.Duration) *tally {
	t.Helper()
	l := c.load(calm, loadKeys(), loadLimit)
	deaths, seen := 0, map[string]bool{}
	for began := time.Now(); time.Since(began) < how; time.Sleep(100 * time.Millisecond) {
		for _, n := range c.serving() {
			m, err := n.members(context.Background())
			if err != nil {
				t.Errorf("members of %s: %v", n.name, err)
				continue
			}
			view := strings.Join(m.active(), " ")
			if view != "n1 n2 n3" && !seen[n.name+view] {
				deaths++
				t.Logf("%s sees only %q as active after %v", n.name, view, time.Since(began).Round(time.Second))
			}
			seen[n.name+view] = true
		}
	}
	y := l.stop()
	hold(t, 0, figure{"A7", "false deaths " + when, "0", float64(deaths), "", how.String()})
	return y
}
