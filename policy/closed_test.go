//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/policy"
)

var closed = policy.Options{Closed: true}

func chmod(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// TestLoadClosed: what others could change is refused, and only that.
func TestLoadClosed(t *testing.T) {
	const sticky = os.ModeSticky
	tests := []struct {
		name               string
		above, folder, one os.FileMode // modes of what holds the folder, of it, and of a.yaml
		path               string      // that is loaded
		refused            string      // empty for nothing
	}{
		{"all is mine", 0o755, 0o755, 0o644, "in", ""},
		{"my group may write", 0o775, 0o775, 0o664, "in", ""},
		{"a file", 0o755, 0o755, 0o646, "in", "in/a.yaml"},
		{"a file by its name", 0o755, 0o755, 0o646, "in/a.yaml", "in/a.yaml"},
		{"the folder", 0o755, 0o757, 0o644, "in", "in"},
		{"the folder of a file", 0o755, 0o757, 0o644, "in/a.yaml", "in"},
		{"a sticky folder, to which others could add", 0o755, 0o757 | sticky, 0o644, "in", "in"},
		{"a sticky folder of a file", 0o755, 0o757 | sticky, 0o644, "in/a.yaml", ""},
		{"what holds the folder", 0o757, 0o755, 0o644, "in", "."},
		{"what holds the folder, sticky", 0o757 | sticky, 0o755, 0o644, "in", ""},
		{"a link", 0o755, 0o755, 0o644, "link", ""},
		{"a link in a folder of others", 0o757, 0o755, 0o644, "link", "."},
		{"a link to a file of others", 0o755, 0o755, 0o646, "link", "in/a.yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			top, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			in := filepath.Join(top, "in")
			if err := os.Mkdir(in, 0o700); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(in, "a.yaml"), onePolicy("a", "1"))
			put(t, filepath.Join(in, "b.yaml"), onePolicy("b", "1"))
			link(t, filepath.Join("in", "a.yaml"), filepath.Join(top, "link"))
			chmod(t, filepath.Join(in, "a.yaml"), tt.one)
			chmod(t, in, tt.folder)
			chmod(t, top, tt.above)
			path := filepath.Join(top, tt.path)
			if _, err := policy.Load(path, policy.Options{}); err != nil {
				t.Fatalf("Load that does not care = %v, want nil", err)
			}
			_, err = policy.Load(path, closed)
			if tt.refused == "" {
				if err != nil {
					t.Errorf("Load = %v, want nil", err)
				}
				return
			}
			bad := filepath.Join(top, tt.refused)
			if tt.path == "link" && tt.refused == "in/a.yaml" {
				bad = path // a file is called as it was named
			}
			if want := bad + ": can be written by others: run: chmod o-w " + bad; err == nil || err.Error() != want {
				t.Errorf("Load = %v, want %s", err, want)
			}
		})
	}
}

// TestReloadClosed: a file that others may write now keeps its old policy, a folder that they
// may write all of them.
func TestReloadClosed(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": onePolicy("a", "1"), "b.yaml": onePolicy("b", "1")})
	old, err := policy.Load(dir, closed)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "a.yaml"), onePolicy("a", "2"))
	put(t, filepath.Join(dir, "b.yaml"), onePolicy("b", "2"))
	kept := func(s *policy.Set) (names []string) {
		for _, p := range s.Policies() {
			if before, _ := old.Policy(p.Namespace()); before == p {
				names = append(names, p.Namespace())
			}
		}
		return names
	}
	chmod(t, filepath.Join(dir, "a.yaml"), 0o602)
	next, err := policy.Load(dir, closed)
	if err == nil || !strings.Contains(err.Error(), "a.yaml: can be written by others") {
		t.Errorf("Load = %v, want a.yaml refused", err)
	}
	if diff := cmp.Diff([]string{"a"}, kept(old.Reload(next))); diff != "" {
		t.Errorf("policies kept beside a file of others (-want +got):\n%s", diff)
	}
	chmod(t, filepath.Join(dir, "a.yaml"), 0o600)
	chmod(t, dir, 0o702)
	if next, err = policy.Load(dir, closed); err == nil {
		t.Error("Load of a folder of others = nil, want an error")
	}
	if diff := cmp.Diff([]string{"a", "b"}, kept(old.Reload(next))); diff != "" {
		t.Errorf("policies kept in a folder of others (-want +got):\n%s", diff)
	}
}

// TestWatchClosed: that others may write is a change as any other, and so is that they no
// longer may.
func TestWatchClosed(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": onePolicy("a", "1")})
	w := watchWith(t, dir, closed).began()
	name := filepath.Join(dir, "a.yaml")
	chmod(t, name, 0o602)
	w.next("a file of others", func(c change) bool { return c.err != nil })
	put(t, name, onePolicy("a", "2"))
	chmod(t, name, 0o600)
	w.next("a file that is mine again", amountIs("2"))
}
