package policy_test

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

type rows = map[string]map[string]string

// TestRows: rows that were put stand in front of those of the file.
func TestRows(t *testing.T) {
	s := load(t, folder(t, map[string]string{"t.yaml": oneTable("a", "keys", "k1", "u1")}))
	user := func(s *policy.Set, key string) string { return s.Row("a", "keys", key)["user"] }
	more := s.WithRows("a", "keys", rows{"k2": {"user": "u2"}}, false)
	if user(more, "k1") != "u1" || user(more, "k2") != "u2" || s.Row("a", "keys", "k2") != nil {
		t.Errorf("after k2 was put k1 = %q, k2 = %q, and before %v, want u1, u2, nil", user(more, "k1"), user(more, "k2"), s.Row("a", "keys", "k2"))
	}
	less := more.WithRows("a", "keys", rows{"k1": nil}, false)
	if less.Row("a", "keys", "k1") != nil || user(less, "k2") != "u2" {
		t.Errorf("after k1 was deleted k1 = %v, k2 = %q, want nil, u2", less.Row("a", "keys", "k1"), user(less, "k2"))
	}
	whole := less.WithRows("a", "keys", rows{"k3": {"user": "u3"}, "k4": nil}, true)
	if whole.Row("a", "keys", "k1") != nil || whole.Row("a", "keys", "k2") != nil || user(whole, "k3") != "u3" {
		t.Error("after the table was replaced it has other rows than k3")
	}
	gone := whole.WithRows("a", "keys", rows{"k3": nil}, false)
	if gone.Row("a", "keys", "k3") != nil {
		t.Error("k3 was deleted and is still there")
	}
	reloaded := less.Reload(load(t, folder(t, map[string]string{"t.yaml": "apiVersion: limits-table/v1\nnamespace: a\ntable: keys\nrows: {k1: {user: x}, k9: {user: u9}}\n"})))
	if reloaded.Row("a", "keys", "k1") != nil || user(reloaded, "k2") != "u2" || user(reloaded, "k9") != "u9" {
		t.Error("a reload must keep what was put, and bring what is new in the file")
	}
	mine := rows{"k": {"user": "u"}}
	kept := s.WithRows("b", "t", mine, true)
	mine["k"]["user"] = "changed"
	if got := kept.Row("b", "t", "k")["user"]; got != "u" {
		t.Errorf("row that its owner changed later = %q, want u", got)
	}
}

// TestManyRows: every row is found, whatever part of the table it is in.
func TestManyRows(t *testing.T) {
	all := rows{}
	for i := range 5000 {
		all[strconv.Itoa(i)] = map[string]string{"n": strconv.Itoa(i)}
	}
	s := (*policy.Set)(nil).WithRows("a", "t", all, true)
	for key := range all {
		if got := s.Row("a", "t", key)["n"]; got != key {
			t.Fatalf("Row(%s) = %q", key, got)
		}
	}
	if got := testing.AllocsPerRun(100, func() { s.Row("a", "t", "77") }); got != 0 {
		t.Errorf("Row allocates %v times, want 0", got)
	}
}

// overridden lists a policy's overrides of a limit per minute: who, and what kind
// of value and amount.
func overridden(t *testing.T, s *policy.Set, namespace string) (lines []string) {
	t.Helper()
	p, err := s.Policy(namespace)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(p.Dump()) {
		if _, rest, ok := strings.Cut(line, "  override exact="); ok {
			lines = append(lines, rest[:strings.Index(rest, " globs")]+rest[strings.LastIndex(rest, ": ")+1:strings.Index(rest, "/m")])
		}
	}
	return lines
}

const withOverride = "overrides: [{match: {user: a}, limits: {one: 5}}]\n"

// TestOverrides: what is put comes beside the file's, and replaces what was put.
func TestOverrides(t *testing.T) {
	dir := folder(t, map[string]string{"x.yaml": onePolicy("x", "1") + withOverride})
	s := load(t, dir)
	put1, err := s.WithOverrides("x", []byte(`[{"match": {"user": "b"}, "limits": {"one": 7}}]`))
	if err != nil {
		t.Fatal(err)
	}
	put2, err := put1.WithOverrides("x", []byte("- match: {user: c}\n  limits: {one: 9}\n"))
	if err != nil {
		t.Fatal(err)
	}
	none, err := put2.WithOverrides("x", []byte("[]"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "x.yaml"), onePolicy("x", "2")+withOverride)
	next := load(t, dir)
	for _, tt := range []struct {
		name string
		set  *policy.Set
		want []string
	}{
		{"the file alone", s, []string{"[{5 a}] 1, 5"}},
		{"one put", put1, []string{"[{5 a}] 1, 5", "[{5 b}] 1, 7"}},
		{"another put", put2, []string{"[{5 a}] 1, 5", "[{5 c}] 1, 9"}},
		{"none put", none, []string{"[{5 a}] 1, 5"}},
		{"a reload", put2.Reload(next), []string{"[{5 a}] 1, 5", "[{5 c}] 1, 9"}},
	} {
		if diff := cmp.Diff(tt.want, overridden(t, tt.set, "x")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if s.Hash() == put1.Hash() || put1.Hash() == put2.Hash() || s.Hash() != none.Hash() || put2.Hash() == put2.Reload(next).Hash() {
		t.Error("Hash must change with overrides that are put, and with the file")
	}
	// What a new file has no use for is left out, and comes back with the limit.
	put(t, filepath.Join(dir, "x.yaml"), strings.ReplaceAll(onePolicy("x", "2"), "name: one", "name: other"))
	without := put2.Reload(load(t, dir))
	if got := overridden(t, without, "x"); got != nil {
		t.Errorf("overrides of a limit that is gone = %v, want none", got)
	}
	if got := overridden(t, without.Reload(next), "x"); len(got) != 2 {
		t.Errorf("overrides when the limit is back = %v, want both", got)
	}
}

func TestBadOverrides(t *testing.T) {
	s := load(t, folder(t, map[string]string{"x.yaml": onePolicy("x", "1")}))
	for text, want := range map[string]string{
		`[{"match": {}, "limits": {"one": 7}}]`:               "overrides:1:12: match of override 1 is empty: leave it out, or give at least 1",
		`[{"match": {"user": "b"}, "limits": {"ones": 7}}]`:   `overrides:1:38: override names the unknown limit "ones": did you mean "one"?`,
		`[{"match": {"user": "b"}, "limits": {"one": 1.5}}]`:  `overrides:1:45: limit "one": 1.5 is not a whole number: give the limit a precision to keep decimals`,
		`[{"match": {"user": "b"}, "limits": {"one": "10"`:    `overrides:1:1: file is no YAML: did not find expected ',' or '}': look at indentation and brackets from here on`,
		`{"match": {"user": "b"}}`:                            "overrides:1:1: the list must be a list, found a mapping",
		`[{"match": {"user": "b"}, "limit": {"one": 1}}]`:     "overrides:1:2: override 1 needs the key \"limits\"\noverrides:1:27: unknown key \"limit\" in override 1: did you mean \"limits\"?",
		`[{"match": {"user": "b"}, "limits": {"one": 1}}, 5]`: "overrides:1:50: override 2 must be a mapping, found the number 5",
	} {
		next, err := s.WithOverrides("x", []byte(text))
		if next != nil || err == nil || err.Error() != want || !errors.Is(err, bucketring.ErrInvalid) {
			t.Errorf("WithOverrides(%s) = %v, want\n%s", text, err, want)
		}
	}
	if _, err := s.WithOverrides("y", []byte("[]")); !errors.Is(err, bucketring.ErrNoPolicy) {
		t.Errorf("WithOverrides of an unknown namespace = %v, want ErrNoPolicy", err)
	}
}

// TestWithPolicy: a policy that was put stands in front of its file, also over a
// reload.
func TestWithPolicy(t *testing.T) {
	dir := folder(t, map[string]string{"x.yaml": onePolicy("x", "1"), "y.yaml": onePolicy("y", "1")})
	s := load(t, dir)
	p := mustParse(t, onePolicy("x", "50"))
	with := s.WithPolicy(p).WithPolicy(mustParse(t, onePolicy("z", "1")))
	if got, _ := with.Policy("x"); got != p {
		t.Error("Policy(x) is not the one that was put")
	}
	if got, _ := s.Policy("x"); got == p {
		t.Error("WithPolicy changed the set that it was called on")
	}
	put(t, filepath.Join(dir, "x.yaml"), onePolicy("x", "2"))
	again := with.Reload(load(t, dir))
	if got, _ := again.Policy("x"); got != p {
		t.Error("Policy(x) after a reload is not the one that was put")
	}
	if diff := cmp.Diff([]string{"x", "y", "z"}, namespaces(again)); diff != "" {
		t.Errorf("Policies (-want +got):\n%s", diff)
	}
	over, err := again.WithOverrides("x", []byte("[{match: {user: q}, limits: {one: 3}}]"))
	if err != nil || len(overridden(t, over, "x")) != 1 {
		t.Errorf("WithOverrides of a policy that was put = %v, want one override", err)
	}
}

// TestSetHash: nodes compare it, so it must not depend on order or on files.
func TestSetHash(t *testing.T) {
	a, b := mustParse(t, onePolicy("a", "1")), mustParse(t, onePolicy("b", "1"))
	var none *policy.Set
	if none.Hash() != 0 || none.Policies() != nil || none.Row("a", "b", "c") != nil {
		t.Error("the nil set has something")
	}
	s := none.WithPolicy(a).WithPolicy(b)
	files := load(t, folder(t, map[string]string{"1.yaml": onePolicy("b", "1"), "2.yaml": onePolicy("a", "1")}))
	if other := none.WithPolicy(b).WithPolicy(a); s.Hash() != other.Hash() || s.Hash() != files.Hash() {
		t.Errorf("Hash = %x, %x, %x, want one for the same policies", s.Hash(), other.Hash(), files.Hash())
	}
	if s.Hash() == none.WithPolicy(a).Hash() || s.Hash() != s.WithRows("a", "t", rows{"k": {}}, true).Hash() {
		t.Error("Hash must depend on the policies, and not on rows")
	}
}
