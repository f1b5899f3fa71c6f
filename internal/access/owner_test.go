//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package access_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/access"
)

// node is the user and the group of files in these tests; other is somebody else.
const node, other = 54321, 54322

// owned makes a file with a token, in a folder that everybody writes, and gives it to node.
func owned(t *testing.T) (dir, path string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir, err := os.MkdirTemp("", "owner") // that of a test is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "tokens.yaml")
	put(t, path, access.Grant{ID: "app", Scopes: bucketring.ScopeTake})
	if err := errors.Join(os.Chmod(dir, 0o777), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, node, node); err != nil {
		t.Skip("this root gives no files away: ", err)
	}
	return dir, path
}

// checkOwned fails if the file is no longer node's, or has other tokens.
func checkOwned(t *testing.T, path string, ids ...string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if of := info.Sys().(*syscall.Stat_t); of.Uid != node || of.Gid != node || info.Mode().Perm() != 0o644 {
		t.Errorf("the file belongs to %d:%d with mode %v, want %d:%[4]d and 0644 as before", of.Uid, of.Gid, info.Mode(), node)
	}
	if got := strings.Join(idsIn(t, path), " "); got != strings.Join(ids, " ") {
		t.Errorf("the file has the tokens %s, want %v", got, ids)
	}
}

// What root changes the node still reads.
func TestOwnerStays(t *testing.T) {
	_, path := owned(t)
	put(t, path, access.Grant{ID: "ops", Scopes: bucketring.ScopeAdmin})
	checkOwned(t, path, "app", "ops")
	if err := access.Remove(path, "app"); err != nil {
		t.Fatal(err)
	}
	checkOwned(t, path, "ops")
}

// asOther names the file that this test binary, run as another user, shall change.
const asOther = "ACCESS_TEST_CHANGE"

// Who cannot leave the file to its owner does not change it.
func TestOwnerCannotStay(t *testing.T) {
	if path := os.Getenv(asOther); path != "" {
		_, err := access.Add(path, access.Grant{ID: "ops", Scopes: bucketring.ScopeAdmin})
		if err == nil || !strings.Contains(err.Error(), "must stay its owner's: change it as that user, or as root") {
			t.Errorf("another user's change: %v", err)
		}
		return
	}
	dir, path := owned(t)
	cmd := exec.Command(copyOfSelf(t, dir), "-test.run=^TestOwnerCannotStay$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), asOther+"="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: other, Gid: other}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestOwnerCannotStay") {
		t.Errorf("as another user: %v:\n%s", err, out)
	}
	checkOwned(t, path, "app")
	if _, err := os.Stat(path + ".new"); !os.IsNotExist(err) {
		t.Errorf("what was not finished is left: %v", err)
	}
}

// copyOfSelf puts this test binary where other users can run it.
func copyOfSelf(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(dir, "self"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return to.Name()
}
