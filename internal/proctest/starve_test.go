// starve_test.go leaves nodes little of a processor.

package proctest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Every node has a fifth of a processor, and nobody is taken for dead.
func TestStarved(t *testing.T) {
	if !*cutting && !*long {
		t.Skip("skipped: bounds what nodes may use, which -net or -long asks for")
	}
	repeat(t, func(t *testing.T, _ int) {
		c := startCluster(t, 3)
		for _, n := range c.serving() {
			c.starve(n, 20)
		}
		y := c.watch(t, "at 20 % of a processor", length(20*time.Second, 10*time.Minute))
		y.expectAnswers(t, "A1")
		t.Logf("answers by source: %v", y.sources())
	})
}

// starve bounds what a node may use of a processor, by a control group.
func (c *cluster) starve(n *node, percent int) {
	t := c.t
	t.Helper()
	const period = 100_000 // µs
	quota := strconv.Itoa(percent * period / 100)
	root, file := "/sys/fs/cgroup/cpu", "cpu.cfs_quota_us" // version 1
	if _, err := os.Stat(root); err != nil {
		root, file, quota = "/sys/fs/cgroup", "cpu.max", quota+" "+strconv.Itoa(period)
	}
	group := filepath.Join(root, fmt.Sprintf("bucketring-test-%d", n.cmd.Process.Pid))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("skipped: no control groups for processors here: %v", err)
	}
	t.Cleanup(func() {
		if n.running() {
			n.kill()
		}
		if err := os.Remove(group); err != nil {
			t.Errorf("remove control group: %v", err)
		}
	})
	for name, text := range map[string]string{file: quota, "cgroup.procs": strconv.Itoa(n.cmd.Process.Pid)} {
		if err := os.WriteFile(filepath.Join(group, name), []byte(text), 0o644); err != nil {
			t.Skipf("skipped: processors cannot be bounded here: %v", err)
		}
	}
}
