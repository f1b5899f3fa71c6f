package access_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/access"
)

func idsIn(t *testing.T, path string) []string {
	t.Helper()
	all, err := access.List(path)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, g := range all {
		ids = append(ids, g.ID)
	}
	slices.Sort(ids)
	return ids
}

// Of many who change a file at once, each is told the truth: what was added is there at the
// end, and what was removed is not. Who is refused tries again.
func TestEditsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	const editors, each = 8, 6
	var want []string
	for i := range editors * each {
		put(t, path, access.Grant{ID: fmt.Sprint("old", i), Scopes: bucketring.ScopeTake})
		want = append(want, fmt.Sprint("new", i))
	}
	until := func(done func() error) {
		for err := done(); err != nil; err = done() {
			if !strings.Contains(err.Error(), "tokens.yaml.new exists: somebody is changing the file right now") {
				t.Error(err)
				return
			}
			runtime.Gosched()
		}
	}
	var all sync.WaitGroup
	for first := range editors {
		all.Go(func() {
			for i := first; i < editors*each; i += editors {
				until(func() error {
					_, err := access.Add(path, access.Grant{ID: fmt.Sprint("new", i), Scopes: bucketring.ScopeTake})
					return err
				})
				until(func() error { return access.Remove(path, fmt.Sprint("old", i)) })
			}
		})
	}
	all.Wait()
	slices.Sort(want)
	if diff := cmp.Diff(want, idsIn(t, path)); diff != "" {
		t.Errorf("the file does not have what those were told who changed it (-want +got):\n%s", diff)
	}
}

// Who changes the file keeps all others out, until it is done or fails; what an interrupted
// one left keeps them out until somebody looks.
func TestOneEditAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	refused := func(when string) {
		t.Helper()
		_, err := access.Add(path, access.Grant{ID: "late", Scopes: bucketring.ScopeTake})
		for what, err := range map[string]error{"add": err, "remove": access.Remove(path, "app")} {
			if err == nil || !strings.Contains(err.Error(), "tokens.yaml.new exists: somebody is changing the file right now") {
				t.Errorf("%s %s: %v", what, when, err)
			}
		}
	}
	during := func() ([]byte, error) {
		refused("while another one changes the file")
		return nil, os.ErrDeadlineExceeded
	}
	if err := access.Replace(path, during); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the error of who changes a file became %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after an error there is a file: %v", err)
	}
	put(t, path, access.Grant{ID: "app", Scopes: bucketring.ScopeTake})
	if err := access.Replace(path, during); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the error of who changes a file became %v", err)
	}
	if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("beside what was left")
	if got := idsIn(t, path); !slices.Equal(got, []string{"app"}) {
		t.Errorf("the file has %v, want app as before", got)
	}
}

// A link to the file stays one, and the file behind it changes. A link to nothing is left.
func TestEditBehindLink(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "tokens.yaml"), filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Skip("no links here: ", err)
	}
	if _, err := access.Add(link, access.Grant{ID: "app", Scopes: bucketring.ScopeTake}); err == nil || !strings.Contains(err.Error(), "a link to a file that does not exist") {
		t.Errorf("a link to nothing: %v", err)
	}
	put(t, path, access.Grant{ID: "app", Scopes: bucketring.ScopeTake})
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	put(t, link, access.Grant{ID: "ops", Scopes: bucketring.ScopeAdmin})
	if err := access.Remove(link, "app"); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != path {
		t.Errorf("the link leads to %q, %v, want %q", to, err, path)
	}
	if got := idsIn(t, path); !slices.Equal(got, []string{"ops"}) {
		t.Errorf("the file behind the link has %v, want ops", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file has mode %v, %v, want 0640 as before", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("beside the file there is %v, %v", left, err)
	}
}

// byHand is a file whose fields are in an order that a cut file would suffer from.
const byHand = `# ours
tokens:
  - scopes: [take, read] # not admin
    # a tenant
    namespaces: [orders, api]
    id: scopes
    expires: 2100-01-31T00:00:00Z
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  - {id: b, sha256: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752, scopes: [read], namespaces: [b]}
  - id: c
    sha256: fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13
    scopes:
      - take
    expires: 2100-01-31T00:00:00Z
    namespaces:
      - c
`

// A file that is cut anywhere, when it is copied perhaps, is bad, or nobody may more by it
// than by the whole file.
func TestCutFileIsNotWider(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(path, []byte(byHand), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := access.List(path) // fields are good in any order
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, access.Grant{ID: "made", Scopes: bucketring.ScopeTake | bucketring.ScopeAdmin, Namespaces: []string{"a", "b"}, Expires: time.Date(2100, 1, 2, 0, 0, 0, 0, time.UTC)})
	put(t, path, access.Grant{ID: "brief", Scopes: bucketring.ScopeTake, Expires: time.Date(2100, 1, 2, 0, 0, 0, 0, time.UTC)})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	after, err := access.Parse("f", text)
	if err != nil || len(after) != len(before)+2 {
		t.Fatalf("%d tokens, %v, want 2 more than %d:\n%s", len(after), err, len(before), text)
	}
	whole := map[string]string{}
	for i, g := range after {
		if i < len(before) && told(g) != told(before[i]) {
			t.Errorf("another edit made %s of %s", told(g), told(before[i]))
		}
		whole[g.ID] = told(g)
	}
	for _, want := range []string{"# ours", "# not admin", "# a tenant"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the comment %q is lost:\n%s", want, text)
		}
	}
	good := 0
	for n := range text {
		all, err := access.Parse("f", text[:n])
		if err != nil {
			continue
		}
		good++
		for _, g := range all {
			full := after[slices.IndexFunc(after, func(w *access.Grant) bool { return w.ID == g.ID })]
			if g.Scopes &^= full.Scopes; g.Scopes != 0 {
				t.Errorf("cut at byte %d, %s has the scopes %v more", n, g.ID, g.Scopes)
			}
			if g.Scopes = full.Scopes; told(g) != whole[g.ID] {
				t.Errorf("cut at byte %d: %s", n, cmp.Diff(whole[g.ID], told(g)))
			}
		}
	}
	if good == 0 || good == len(text) {
		t.Errorf("%d of %d cut files are good, want some", good, len(text))
	}
}

func told(g *access.Grant) string {
	return fmt.Sprintf("%s %x %v %q %v", g.ID, g.Sum, g.Scopes.Names(), g.Namespaces, g.Expires)
}
