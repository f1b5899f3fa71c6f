package policy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bucketring/bucketring/policy"
)

// onMount names the folder over which this test binary, run anew, shall mount one.
const onMount = "POLICY_TEST_MOUNT"

// TestLoadClosedReadOnly: Kubernetes lets all write the folder that it makes of a ConfigMap,
// and mounts it to be read only. Such a folder is as good as closed.
func TestLoadClosedReadOnly(t *testing.T) {
	if path := os.Getenv(onMount); path != "" {
		loadFromMount(t, path)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestLoadClosedReadOnly$", "-test.v")
	cmd.Env = append(os.Environ(), onMount+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, // what it mounts is seen by it alone
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	switch {
	case cmd.ProcessState == nil:
		t.Skip("this system gives no namespaces: ", err)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skip(string(out))
	case err != nil || !strings.Contains(string(out), "--- PASS: TestLoadClosedReadOnly"):
		t.Errorf("in a namespace: %v:\n%s", err, out)
	}
}

func loadFromMount(t *testing.T, path string) {
	if err := syscall.Mount("none", path, "tmpfs", 0, "mode=0777"); err != nil {
		t.Skip("nothing can be mounted here: ", err)
	}
	name := filepath.Join(path, "a.yaml")
	put(t, name, onePolicy("a", "1"))
	chmod(t, name, 0o666)
	if _, err := policy.Load(path, closed); err == nil {
		t.Error("Load of what others can write = nil, want an error")
	}
	if err := syscall.Mount("none", path, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Load(path, closed); err != nil {
		t.Errorf("Load of what is mounted to be read only = %v, want nil", err)
	}
}
