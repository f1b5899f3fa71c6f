package policy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/policy"
)

// A change is what Watch told.
type change struct {
	set *policy.Set
	err error
}

// A watched path tells its changes.
type watched struct {
	t       *testing.T
	changes chan change
	kick    chan chan<- error
}

// watch watches a path until the test ends.
func watch(t *testing.T, path string, known *policy.Set) *watched {
	return watchWith(t, path, policy.Options{Known: known})
}

func watchWith(t *testing.T, path string, opt policy.Options) *watched {
	w := &watched{t, make(chan change, 100), make(chan chan<- error)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- policy.Watch(ctx, path, opt, w.kick, func(s *policy.Set, err error) { w.changes <- change{s, err} })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch = %v, want nil", err)
		}
	})
	return w
}

// began waits until the watch looks at its files: it takes a kick only then.
func (w *watched) began() *watched {
	w.t.Helper()
	done := make(chan error, 1)
	w.kick <- done
	<-done
	<-w.changes
	return w
}

// next waits for a change that satisfies ok. An
// editor that writes in two steps may be seen between them.
func (w *watched) next(what string, ok func(change) bool) {
	w.t.Helper()
	start := time.Now()
	late := time.After(20 * time.Second)
	for {
		select {
		case c := <-w.changes:
			if ok(c) {
				if took := time.Since(start); took > time.Second {
					w.t.Logf("%s was seen after %v", what, took)
				}
				return
			}
		case <-late:
			w.t.Fatalf("%s was not seen", what)
		}
	}
}

// amountIs is true of a change after which namespace a has an amount.
func amountIs(want string) func(change) bool {
	return func(c change) bool {
		p, err := c.set.Policy("a")
		other, err2 := policy.Parse("", []byte(onePolicy("a", want)), policy.Options{})
		return c.err == nil && err == nil && err2 == nil && p.Hash() == other.Hash()
	}
}

func TestWatchFolder(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": onePolicy("a", "1")})
	w := watch(t, dir, nil).began()
	name := filepath.Join(dir, "a.yaml")
	put(t, name, onePolicy("a", "2"))
	w.next("a write in place", amountIs("2"))
	put(t, filepath.Join(dir, "a.yaml.tmp"), onePolicy("a", "3"))
	if err := os.Rename(name+".tmp", name); err != nil {
		t.Fatal(err)
	}
	w.next("a rename over", amountIs("3"))
	put(t, filepath.Join(dir, "b.yaml"), onePolicy("b", "1"))
	w.next("a new file", func(c change) bool { return c.err == nil && len(c.set.Policies()) == 2 })
	put(t, name, onePolicy("a", "-1"))
	w.next("a bad file", func(c change) bool { return c.err != nil && len(c.set.Policies()) == 1 })
	if err := os.Remove(filepath.Join(dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	w.next("a file that went away", func(c change) bool { return c.err != nil && len(c.set.Policies()) == 0 })
	put(t, name, onePolicy("a", "4"))
	w.next("a good file again", amountIs("4"))
}

func TestWatchFile(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": onePolicy("a", "1")})
	name := filepath.Join(dir, "a.yaml")
	w := watch(t, name, nil).began()
	put(t, name+".tmp", onePolicy("a", "2"))
	if err := os.Rename(name+".tmp", name); err != nil {
		t.Fatal(err)
	}
	w.next("a rename over", amountIs("2"))
	put(t, name, onePolicy("a", "3")) // the first file is gone: a watch on it would be deaf now
	w.next("a write after a rename", amountIs("3"))
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	w.next("a file that went away", func(c change) bool { return c.err != nil })
	put(t, name, onePolicy("a", "4"))
	w.next("a file that came back", amountIs("4"))
}

// link makes a link, in place of one that is there already, as Kubernetes does.
func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name+"_tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+"_tmp", name); err != nil {
		t.Fatal(err)
	}
}

// TestWatchConfigMap: files are links to ..data/NAME, ..data is a link to a folder,
// and a change swaps that link and removes the old folder.
func TestWatchConfigMap(t *testing.T) {
	for name, path := range map[string]string{"folder": "", "file": "a.yaml"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			version := func(n, amount string) {
				t.Helper()
				if err := os.Mkdir(filepath.Join(dir, "..v"+n), 0o700); err != nil {
					t.Fatal(err)
				}
				put(t, filepath.Join(dir, "..v"+n, "a.yaml"), onePolicy("a", amount))
				link(t, "..v"+n, filepath.Join(dir, "..data"))
			}
			version("1", "1")
			link(t, "..data/a.yaml", filepath.Join(dir, "a.yaml"))
			w := watch(t, filepath.Join(dir, path), nil).began()
			for _, n := range []string{"2", "3"} {
				version(n, n)
				w.next("swap "+n, amountIs(n))
			}
			if err := os.RemoveAll(filepath.Join(dir, "..v1")); err != nil {
				t.Fatal(err)
			}
			version("4", "4")
			w.next("swap 4", amountIs("4"))
		})
	}
}

// TestWatchLinkedFolder: the path is a link itself, and is swapped; what it leads
// to is written to.
func TestWatchLinkedFolder(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"1", "2"} {
		if err := os.Mkdir(filepath.Join(dir, "v"+n), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, "v"+n, "a.yaml"), onePolicy("a", n))
	}
	current := filepath.Join(dir, "current")
	link(t, "v1", current)
	w := watch(t, current, nil).began()
	link(t, "v2", current)
	w.next("a swap of the folder", amountIs("2"))
	put(t, filepath.Join(dir, "v2", "a.yaml"), onePolicy("a", "3"))
	w.next("a write behind the link", amountIs("3"))

	other := filepath.Join(folder(t, map[string]string{"other.yaml": onePolicy("a", "1")}), "other.yaml")
	link(t, other, filepath.Join(dir, "v2", "a.yaml"))
	w.next("a link to a file elsewhere", amountIs("1"))
	put(t, other, onePolicy("a", "2"))
	w.next("a write behind that link", amountIs("2"))
}

// TestWatchKick: a kick loads although nothing changed, and has the error.
func TestWatchKick(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": onePolicy("a", "-1")})
	w := watch(t, dir, nil)
	done := make(chan error)
	w.kick <- done
	err := <-done
	var all policy.Errors
	if c := <-w.changes; !errors.As(err, &all) || len(all) != 1 || c.err == nil {
		t.Errorf("kick = %v, and Watch told %v, want the error of the file twice", err, c.err)
	}
	put(t, filepath.Join(dir, "a.yaml"), onePolicy("a", "2"))
	w.kick <- done
	if err := <-done; err != nil {
		t.Errorf("kick = %v, want nil", err)
	}
	w.next("the kick", amountIs("2"))
}

// TestWatchKnown: what changed between a Load and Watch is a change, a write of the
// same is none.
func TestWatchKnown(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": onePolicy("a", "1")})
	known := load(t, dir)
	put(t, filepath.Join(dir, "a.yaml"), onePolicy("a", "2"))
	watch(t, dir, known).next("a change before the watch", amountIs("2"))

	w := watch(t, dir, load(t, dir)).began()
	put(t, filepath.Join(dir, "a.yaml"), onePolicy("a", "2"))
	put(t, filepath.Join(dir, "b.txt"), "x")
	put(t, filepath.Join(dir, "b.yaml"), onePolicy("b", "1"))
	c := <-w.changes // the first that it tells of
	var got []string
	for _, p := range c.set.Policies() {
		got = append(got, p.Namespace())
	}
	if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" {
		t.Errorf("first change (-want +got):\n%s", diff)
	}
}

// TestWatchWithoutEvents: where the system tells nothing, files are read again and
// again.
func TestWatchWithoutEvents(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": onePolicy("a", "1")})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctx, timeout := context.WithTimeout(ctx, 20*time.Second)
	defer timeout()
	known := load(t, dir)
	put(t, filepath.Join(dir, "a.yaml"), onePolicy("a", "2"))
	changes := 0
	err := policy.WatchEvery(ctx, 10*time.Millisecond, dir, known, func(s *policy.Set, err error) {
		if changes++; changes >= 3 {
			cancel()
		}
		put(t, filepath.Join(dir, "a.yaml"), onePolicy("a", string(rune('2'+changes))))
	})
	if err != nil || changes < 3 {
		t.Errorf("Watch = %v after %d changes, want nil after 3 or more", err, changes)
	}
}
