// full_test.go fills the disk under a node.

package proctest_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	diskOK    = "bucketring_data_dir_ok"
	diskSize  = "4m"
	diskFills = 5 << 20 // bytes, more than the disk has
)

// smallDisk mounts a small file system in memory, which takes root.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+diskSize, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("skipped: a small disk needs root and mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// TestDiskFull: no call fails while the disk is full, an alarm says so, and what was
// counted meanwhile is on disk soon after there is room (A13).
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t)
	c := startCluster(t, 1, "--data-dir", filepath.Join(dir, "counters"))
	n := c.serving()[0]
	c.awaitThat(patience(), n.diskIs(1))
	l := c.load(calm, names("disk", 2000), "1000000/d")
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, bytes.Repeat([]byte{1}, diskFills), 0o600); err == nil {
		t.Fatal("the disk has more room than it should")
	}
	alarm := c.awaitThat(20*time.Second, n.diskIs(0))
	show(t, figure{"A13", "disk full until the alarm", "<= 1 s", alarm.Seconds(), "s", ""})
	keys := names("late", 20)
	spend(t, c, 4, keys, "10/d")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	normal := c.awaitThat(20*time.Second, n.diskIs(1))
	show(t, figure{"A13", "room until all is normal", "<= 5 s", normal.Seconds(), "s", ""})
	l.stop().expectAnswers(t, "A13")
	n.kill()
	c.restart(n)
	c.awaitAgreement()
	after := c.takeAll(rounds(20, keys, "10/d"), nil)
	expectExactly(t, "A13", "4 of 10 spent while the disk was full, killed when it was not, 20 more takes", after, keys, 6)
}

// diskIs waits for what a node says of its disk.
func (n *node) diskIs(want float64) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := n.metrics(ctx, diskOK)
		if err == nil && got[diskOK] != want {
			err = fmt.Errorf("%s is %v, want %v", diskOK, got[diskOK], want)
		}
		return err
	}
}
