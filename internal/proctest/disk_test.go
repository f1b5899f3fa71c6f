// disk_test.go ends all nodes at once. What they knew is on their disks.

package proctest_test

import (
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Limit 10 a day, 4 spent, all nodes ended at once and started at once: exactly 6
// pass. A cut may lose what the last second brought, so it comes after 2 s of
// quiet.
func TestRestartAll(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name string
		end  func(c *cluster)
	}{
		{"SIGTERM", func(c *cluster) { c.stop(c.serving()...) }},
		{"kill", func(c *cluster) {
			time.Sleep(2 * time.Second)
			c.killAll()
		}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			repeat(t, func(t *testing.T, _ int) { restartAll(t, v.end) })
		})
	}
}

func restartAll(t *testing.T, end func(c *cluster)) {
	const limit = "10/d"
	c := newCluster(t, patient()...)
	disks := t.TempDir()
	for _, name := range []string{"n1", "n2", "n3"} {
		c.start(name, "--data-dir", filepath.Join(disks, name))
	}
	c.awaitAgreement()
	keys := names("disk", manyKeys)
	spend(t, c, 4, keys, limit)
	old := c.serving()
	end(c)
	began := time.Now()
	var ready time.Duration
	for _, n := range c.restartAll(old) {
		ready = max(ready, n.atLast.Sub(n.begun))
	}
	show(t, figure{"A11", "start until all are ready", "<= 5 s", ready.Seconds(), "s", "slowest of three"})
	c.awaitAgreement()
	show(t, figure{"A11", "start until one ring", "<= 5 s", time.Since(began).Seconds(), "s", ""})
	answered := c.awaitAnswers(names("probe", 60), began) // nodes may wait for what others have on their disks
	show(t, figure{"A11", "start until owners answer", "<= 5 s", slices.Max(answered).Seconds(), "s", "slowest of 60 keys"})
	after := c.takeAll(rounds(20, keys, limit), nil)
	after.expectAnswers(t, "A11")
	t.Logf("answers by source: %v", after.sources())
	expectExactly(t, "A11", "6 of 10 were left, all nodes ended at once, 20 more takes", after, keys, 6)
}

// killAll ends all nodes as a power cut would.
func (c *cluster) killAll() {
	var all sync.WaitGroup
	for _, n := range c.serving() {
		all.Go(n.kill)
	}
	all.Wait()
}
