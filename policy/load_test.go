package policy_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

// onePolicy is the text of a policy with one limit.
func onePolicy(namespace, amount string) string {
	return "apiVersion: limits/v1\nnamespace: " + namespace + "\nlimits: [{name: one, key: [user], limit: " + amount + ", per: 1m}]\n"
}

// oneTable is the text of a table with one row.
func oneTable(namespace, table, key, user string) string {
	return "apiVersion: limits-table/v1\nnamespace: " + namespace + "\ntable: " + table + "\nrows: {" + key + ": {user: " + user + "}}\n"
}

// folder makes a folder with files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	return dir
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load loads what must have no problem.
func load(t *testing.T, path string) *policy.Set {
	t.Helper()
	s, err := policy.Load(path, policy.Options{})
	if err != nil {
		t.Fatalf("Load(%s) = %v, want no error", path, err)
	}
	return s
}

func namespaces(s *policy.Set) (all []string) {
	for _, p := range s.Policies() {
		all = append(all, p.Namespace())
	}
	return all
}

func TestLoadFolder(t *testing.T) {
	dir := folder(t, map[string]string{
		"b.yaml": onePolicy("b", "1"), "a.yml": onePolicy("a", "1"), "t.yaml": oneTable("a", "keys", "k1", "u1"),
		".hidden.yaml": "bad", "README.md": "bad", "a.yaml.bak": "bad",
	})
	if err := os.Mkdir(filepath.Join(dir, "sub.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("b.yaml", filepath.Join(dir, ".linked")); err != nil {
		t.Fatal(err)
	}
	s := load(t, dir)
	if diff := cmp.Diff([]string{"a", "b"}, namespaces(s)); diff != "" {
		t.Errorf("Policies (-want +got):\n%s", diff)
	}
	if p, err := s.Policy("b"); err != nil || p.File() != filepath.Join(dir, "b.yaml") {
		t.Errorf("Policy(b) = %v, %v, want that of b.yaml", p, err)
	}
	if got := s.Row("a", "keys", "k1")["user"]; got != "u1" {
		t.Errorf("Row(k1) has the user %q, want u1", got)
	}
	for _, row := range [][3]string{{"a", "keys", "k2"}, {"a", "other", "k1"}, {"b", "keys", "k1"}} {
		if got := s.Row(row[0], row[1], row[2]); got != nil {
			t.Errorf("Row%v = %v, want nil", row, got)
		}
	}
	one := load(t, filepath.Join(dir, "b.yaml"))
	if diff := cmp.Diff([]string{"b"}, namespaces(one)); diff != "" {
		t.Errorf("Policies of one file (-want +got):\n%s", diff)
	}
}

// TestLoadTable: values are texts, whatever YAML takes them for.
func TestLoadTable(t *testing.T) {
	s := load(t, "testdata/good/table.yaml")
	want := map[string]string{"user": "u1", "plan": "pro", "number": "7"}
	if diff := cmp.Diff(want, s.Row("anchors", "credentials", "k1")); diff != "" {
		t.Errorf("Row(k1) (-want +got):\n%s", diff)
	}
	if got := s.Row("anchors", "credentials", "k2"); got == nil || len(got) != 0 {
		t.Errorf("Row(k2) = %#v, want an empty row", got)
	}
}

// TestLoadProblems: what is bad is reported, what is good is there.
func TestLoadProblems(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.yaml": onePolicy("a", "1"), "bad.yaml": onePolicy("bad", "-1"),
		"c1.yaml": onePolicy("c", "1"), "c2.yaml": onePolicy("c", "2"),
		"large.yaml": onePolicy("large", "1") + "#" + strings.Repeat("x", 1<<20),
		"t1.yaml":    oneTable("a", "keys", "k", "u"), "t2.yaml": oneTable("a", "keys", "k", "v"),
	})
	if err := os.Symlink("nowhere", filepath.Join(dir, "broken.yaml")); err != nil {
		t.Fatal(err)
	}
	s, err := policy.Load(dir, policy.Options{})
	want := strings.Join([]string{
		`bad.yaml:3:42: limit of limit "one": -1 is negative: the least is 0`,
		`broken.yaml: cannot be read: no such file or directory`,
		`c2.yaml:2:12: namespace "c" is in c1.yaml already: keep one of them`,
		`large.yaml: file is larger than 1048576 bytes (1 MiB): split it into namespaces`,
		`t2.yaml:2:12: table "keys" of namespace "a" is in t1.yaml already: keep one of them`,
	}, "\n")
	if err == nil || strings.ReplaceAll(err.Error(), dir+"/", "") != want {
		t.Errorf("Load = %v, want\n%s", err, want)
	}
	if diff := cmp.Diff([]string{"a"}, namespaces(s)); diff != "" {
		t.Errorf("Policies (-want +got):\n%s", diff)
	}
	if row := s.Row("a", "keys", "k"); row != nil {
		t.Errorf("Row of a table that is there twice = %v, want nil", row)
	}
	s, err = policy.Load(filepath.Join(dir, "missing"), policy.Options{})
	var all policy.Errors
	if !errors.As(err, &all) || len(all) != 1 || s == nil || all[0].Error() != dir+"/missing: cannot be read: no such file or directory" {
		t.Errorf("Load of nothing = %v, %v, want a set and one error", s, err)
	}
	if _, err := policy.Parse("t.yaml", []byte(oneTable("a", "t", "k", "u")), policy.Options{}); err == nil {
		t.Error("Parse of a table = nil, want an error")
	}
}

// TestReloadInvalidKeepsOld: a bad file never replaces a good one, the others
// change.
func TestReloadInvalidKeepsOld(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.yaml": onePolicy("a", "1"), "b.yaml": onePolicy("b", "1"), "c.yaml": onePolicy("c", "1"),
		"gone.yaml": onePolicy("gone", "1"), "t.yaml": oneTable("a", "keys", "k", "u"), "u.yaml": oneTable("a", "users", "k", "u"),
	})
	old := load(t, dir)
	put(t, filepath.Join(dir, "a.yaml"), onePolicy("a", "-2"))
	put(t, filepath.Join(dir, "b.yaml"), onePolicy("b", "2"))
	put(t, filepath.Join(dir, "c.yaml"), "{") // not even its namespace can be read
	put(t, filepath.Join(dir, "t.yaml"), "rows: 5")
	for _, name := range []string{"gone.yaml", "u.yaml"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	next, err := policy.Load(dir, policy.Options{})
	if err == nil {
		t.Fatal("Load = nil, want errors")
	}
	got := old.Reload(next)
	if diff := cmp.Diff([]string{"a", "b", "c"}, namespaces(got)); diff != "" {
		t.Errorf("Policies (-want +got):\n%s", diff)
	}
	for namespace, kept := range map[string]bool{"a": true, "b": false, "c": true} {
		before, _ := old.Policy(namespace)
		after, _ := got.Policy(namespace)
		if (before == after) != kept {
			t.Errorf("policy %s was kept: %v, want %v", namespace, before == after, kept)
		}
	}
	if got.Row("a", "keys", "k")["user"] != "u" || got.Row("a", "users", "k") != nil {
		t.Errorf("rows = %v and %v, want that of the bad file, not that of the file that is gone",
			got.Row("a", "keys", "k"), got.Row("a", "users", "k"))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	next, _ = policy.Load(dir, policy.Options{})
	if diff := cmp.Diff([]string{"a", "b", "c"}, namespaces(got.Reload(next))); diff != "" {
		t.Errorf("Policies after the whole folder went away (-want +got):\n%s", diff)
	}
}

func TestUnknownNamespace(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": onePolicy("voicedub", "1")})
	var none *policy.Set
	tests := []struct {
		set       *policy.Set
		namespace string
		want      string
	}{
		{load(t, dir), "voicedup", `there is no namespace "voicedup": did you mean "voicedub"?`},
		{load(t, dir), "x", `there is no namespace "x"`},
		{load(t, dir), strings.Repeat("n", 1e6), `there is no namespace "` + strings.Repeat("n", 64) + `..."`},
		{none, "x", `there is no namespace "x": this node has no policies, start it with --policies or give key and limit`},
		{&policy.Set{}, "x", `there is no namespace "x": this node has no policies, start it with --policies or give key and limit`},
	}
	for _, tt := range tests {
		_, err := tt.set.Policy(tt.namespace)
		if !errors.Is(err, bucketring.ErrNoPolicy) || err.Error() != "bucketring: no such policy: "+tt.want {
			t.Errorf("Policy(%.20s) = %v, want %s", tt.namespace, err, tt.want)
		}
	}
}
