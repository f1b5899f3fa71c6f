package access_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/access"
)

// put adds a token to a file and returns it.
func put(t *testing.T, path string, g access.Grant) string {
	t.Helper()
	token, err := access.Add(path, g)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func open(t *testing.T, path string) *access.Tokens {
	t.Helper()
	tokens, err := access.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func reload(t *testing.T, tokens *access.Tokens, want bool) {
	t.Helper()
	if changed, err := tokens.Reload(); err != nil || changed != want {
		t.Fatalf("reload says %v, %v, want %v", changed, err, want)
	}
}

func TestAddAndRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	first := put(t, path, access.Grant{ID: "app", Scopes: bucketring.ScopeTake, Namespaces: []string{"api"}})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	noted := strings.Replace(string(text), "id: app", "id: app # of the shop", 1)
	if err := os.WriteFile(path, []byte(noted), 0o600); err != nil {
		t.Fatal(err)
	}
	second := put(t, path, access.Grant{ID: "ops", Scopes: bucketring.ScopeAdmin | bucketring.ScopeRead, Expires: time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)})
	if first == second || len(first) != 43 {
		t.Errorf("the tokens have %d and %d bytes, or are the same", len(first), len(second))
	}
	if text, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(first))
	for _, want := range []string{"# of the shop", hex.EncodeToString(sum[:]), "namespaces: [api]", "scopes: [read, admin]", "2100-01-02T03:04:05Z"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the file lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), first) || strings.Contains(string(text), second) {
		t.Errorf("the file has a token:\n%s", text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v, want 0600", info.Mode(), err)
	}
	if err := access.Remove(path, "apps"); err == nil || !strings.Contains(err.Error(), `did you mean "app"?`) {
		t.Errorf("removing an unknown token: %v", err)
	}
	if err := access.Remove(path, "app"); err != nil {
		t.Fatal(err)
	}
	all, err := access.List(path)
	if err != nil || len(all) != 1 || all[0].ID != "ops" || all[0].Expires.Year() != 2100 {
		t.Errorf("what is left is %v, %v", all, err)
	}
	if _, err := access.Add(path, access.Grant{ID: "ops", Scopes: bucketring.ScopeTake}); err == nil {
		t.Error("two tokens have one id")
	}
}

// Callers without a token may do what the file says, and a wrong token is still wrong.
func TestAnonymous(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(path, []byte("anonymous: [take] # for now\ntokens: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	token := put(t, path, access.Grant{ID: "app", Scopes: bucketring.ScopeAdjust})
	tokens := open(t, path)
	anybody, err := tokens.Admit(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	app, err := tokens.Admit(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tokens.May(anybody, bucketring.ScopeTake, "a"), tokens.May(app, bucketring.ScopeAdjust, "a")); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		ctx context.Context
		of  bucketring.Scope
	}{{anybody, bucketring.ScopeAdjust}, {app, bucketring.ScopeTake}} {
		if err := tokens.May(c.ctx, c.of, "a"); !errors.Is(err, bucketring.ErrForbidden) {
			t.Errorf("%v: %v, want it to be forbidden", c.of, err)
		}
	}
	if _, err := tokens.Admit(t.Context(), "wrong"); !errors.Is(err, bucketring.ErrUnauthenticated) {
		t.Errorf("a wrong token: %v", err)
	}
	if err := os.WriteFile(path, []byte("tokens: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reload(t, tokens, true)
	if err := tokens.Known(anybody); !errors.Is(err, bucketring.ErrUnauthenticated) {
		t.Errorf("when that has ended: %v", err)
	}
}

// A caller keeps its context over reloads, and what it may follows the file.
func TestCallerFollowsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	token := put(t, path, access.Grant{ID: "app", Scopes: bucketring.ScopeTake})
	tokens := open(t, path)
	ctx, err := tokens.Admit(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, want error) {
		t.Helper()
		if err := tokens.May(ctx, bucketring.ScopeTake, "api"); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: May says %v, want %v", what, err, want)
		}
	}
	check("at first", nil)
	reload(t, tokens, false)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rewrite := func(from, to string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rewrite("scopes: [take]", "scopes: [read]")
	reload(t, tokens, true)
	check("with another scope", bucketring.ErrForbidden)
	rewrite("scopes: [take]", "scopes: [tke]")
	if _, err := tokens.Reload(); err == nil || !strings.Contains(err.Error(), `tokens.yaml:6: unknown scope "tke"`) {
		t.Errorf("a bad file: %v", err)
	}
	check("after a bad file", bucketring.ErrForbidden)
	rewrite("", "")
	reload(t, tokens, true)
	check("with the first file", nil)
	if err := access.Remove(path, "app"); err != nil {
		t.Fatal(err)
	}
	reload(t, tokens, true)
	check("when it is removed", bucketring.ErrUnauthenticated)
	if err := tokens.Known(ctx); !errors.Is(err, bucketring.ErrUnauthenticated) {
		t.Errorf("a caller whose token is removed is known: %v", err)
	}
	if _, err := tokens.Admit(t.Context(), token); !errors.Is(err, bucketring.ErrUnauthenticated) {
		t.Errorf("a removed token admits: %v", err)
	}
}

func TestStrangers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	token := put(t, path, access.Grant{ID: "app", Scopes: bucketring.ScopeTake})
	tokens := open(t, path)
	for _, shown := range []string{"", "x", token[1:], token + "=", strings.ToUpper(token)} {
		_, err := tokens.Admit(t.Context(), shown)
		if !errors.Is(err, bucketring.ErrUnauthenticated) || shown != "" && len(shown) > 1 && strings.Contains(err.Error(), shown) {
			t.Errorf("a stranger is told %v", err)
		}
	}
	if err := tokens.May(t.Context(), bucketring.ScopeTake, ""); !errors.Is(err, bucketring.ErrUnauthenticated) {
		t.Errorf("who was not admitted is told %v", err)
	}
	if err := tokens.Known(t.Context()); !errors.Is(err, bucketring.ErrUnauthenticated) {
		t.Errorf("who was not admitted is told %v", err)
	}
	ctx, err := tokens.Admit(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if err := tokens.May(ctx, bucketring.ScopeAdmin, ""); !errors.Is(err, bucketring.ErrForbidden) {
		t.Errorf("who may not operate is told %v", err)
	}
	if strangers, forbidden := tokens.Refused(); strangers != 7 || forbidden != 1 {
		t.Errorf("%d strangers and %d without the scope were counted, want 7 and 1", strangers, forbidden)
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "tokens.yaml")
		token := put(t, path, access.Grant{ID: "app", Scopes: bucketring.ScopeTake, Expires: time.Now().Add(time.Hour)})
		tokens := open(t, path)
		ctx, err := tokens.Admit(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Second)
		if err := errors.Join(tokens.Known(ctx), tokens.May(ctx, bucketring.ScopeTake, "")); err != nil {
			t.Errorf("a second before its end: %v", err)
		}
		time.Sleep(time.Second)
		for what, err := range map[string]error{"known": tokens.Known(ctx), "may": tokens.May(ctx, bucketring.ScopeTake, "")} {
			if !errors.Is(err, bucketring.ErrUnauthenticated) || !strings.Contains(err.Error(), "expired") {
				t.Errorf("%s at its end: %v", what, err)
			}
		}
		if _, err := tokens.Admit(t.Context(), token); !errors.Is(err, bucketring.ErrUnauthenticated) {
			t.Errorf("an expired token admits: %v", err)
		}
	})
}

func TestNamespaces(t *testing.T) {
	g := access.Grant{ID: "app", Scopes: bucketring.ScopeTake | bucketring.ScopeRead, Namespaces: []string{"a", "b"}}
	for _, c := range []struct {
		of        bucketring.Scope
		namespace string
		want      error
		says      string
	}{
		{bucketring.ScopeTake, "a", nil, ""},
		{bucketring.ScopeRead, "b", nil, ""},
		{bucketring.ScopeTake | bucketring.ScopeAdmin, "b", nil, ""},
		{bucketring.ScopeTake, "c", bucketring.ErrForbidden, "token app is not for this namespace, but for a, b"},
		{bucketring.ScopeTake, "", bucketring.ErrForbidden, "counters without a namespace belong to everybody"},
		{bucketring.ScopeAdjust, "a", bucketring.ErrForbidden, "it needs the scope adjust, and has take, read"},
	} {
		err := g.Allows(c.of, c.namespace, time.Time{})
		if !errors.Is(err, c.want) || c.want == nil && err != nil || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v in %q: %v, want %v, %q", c.of, c.namespace, err, c.want, c.says)
		}
	}
}

func TestBadFiles(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	good := func(more string) string {
		return "tokens:\n- {id: a, sha256: " + sum + ", scopes: [take]" + more + "}\n"
	}
	for name, c := range map[string]struct{ text, says string }{
		"empty":            {"", "a tokens file is"},
		"a list":           {"- a", "a tokens file is"},
		"no yaml":          {"tokens: [", "f:"},
		"unknown top":      {"tokns: []", `f:1: unknown field "tokns"`},
		"two tops":         {good("") + "more: 1\n", `f:3: unknown field "more"`},
		"unknown field":    {good(", expire: x"), `f:2: unknown field "expire": did you mean "expires"?`},
		"twice":            {good(", id: b"), "f:2: id is given twice"},
		"no scopes":        {"tokens:\n- {id: a, sha256: " + sum + "}", "f:2: scopes is missing"},
		"empty scopes":     {strings.Replace(good(""), "[take]", "[]", 1), "f:2: scopes is empty"},
		"bad scope":        {strings.Replace(good(""), "[take]", "[root]", 1), "the scopes are take, adjust, read, admin"},
		"bad hex":          {strings.Replace(good(""), sum, "xyz", 1), "f:2: sha256 is not 64 hexadecimal digits"},
		"short hex":        {strings.Replace(good(""), sum, "abab", 1), "f:2: sha256 is not 64 hexadecimal digits"},
		"bad id":           {strings.Replace(good(""), "id: a", "id: a b", 1), "f:2: an id has"},
		"bad expiry":       {good(", expires: 90d"), "f:2: expires is no time such as"},
		"no namespaces":    {good(", namespaces: []"), "leave it out for a token of all namespaces"},
		"empty namespace":  {good(`, namespaces: [""]`), "a namespace has 1 to 512 bytes"},
		"one namespace":    {good(", namespaces: a"), "leave it out for a token of all namespaces"},
		"many namespaces":  {good(", namespaces: [" + strings.Repeat("x,", 100) + "x]"), "101 namespaces, at most 100"},
		"same id":          {good("") + "- {id: a, sha256: " + strings.Repeat("cd", 32) + ", scopes: [take]}", "f:3: id a is that of line 2, too"},
		"same hash":        {good("") + "- {id: b, sha256: " + sum + ", scopes: [take]}", "f:3: this sha256 is that of line 2, too"},
		"a word":           {"tokens: [x]", "f:1: a token is a list of fields"},
		"many":             {"tokens: [" + strings.Repeat("x,", 10_000) + "x]", "10001 tokens, at most 10000"},
		"anonymous admin":  {"anonymous: [admin]\ntokens: []", "f:1: anonymous callers cannot have the scope admin"},
		"anonymous id":     {strings.Replace(good(""), "id: a", "id: anonymous", 1), "id anonymous is that of"},
		"hash of nothing":  {strings.Replace(good(""), sum, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 1), "or of nothing"},
		"anonymous alone":  {"anonymous: [take]", "a tokens file is"},
		"two at once, one": {strings.Replace(good(", expires: x"), sum, "x", 1), "sha256 is not"},
		"two at once, two": {strings.Replace(good(", expires: x"), sum, "x", 1), "expires is no time"},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := access.Parse("f", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, %v, want an error with %q", all, err, c.says)
			}
		})
	}
	if _, err := access.Parse("f", []byte(good(", namespaces: [x], expires: 2030-01-01T00:00:00Z"))); err != nil {
		t.Errorf("a good file: %v", err)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	if _, err := access.Open(path, nil); err == nil || !strings.Contains(err.Error(), "bucketring token add "+path) {
		t.Errorf("a file that is not there: %v", err)
	}
	put(t, path, access.Grant{ID: "app", Scopes: bucketring.ScopeTake})
	if err := os.Chmod(path, 0o602); err != nil {
		t.Fatal(err)
	}
	if _, err := access.Open(path, nil); err == nil || !strings.Contains(err.Error(), "chmod o-w "+path) {
		t.Errorf("a file that others write: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	tokens := open(t, path) // it has no secret
	if err := os.WriteFile(path, fmt.Appendf(nil, "#%s", strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Reload(); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("a file that is too large: %v", err)
	}
	if len(tokens.Grants()) != 1 {
		t.Errorf("%d tokens are left after a bad file, want 1", len(tokens.Grants()))
	}
}

// What a tenant was told is its own: from another one, or from another cluster, it is an id
// that nobody has made. Nodes of one cluster agree about it.
func TestIDsAreHidden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	shown := map[string]string{
		"a":       put(t, path, access.Grant{ID: "a", Scopes: bucketring.ScopeTake, Namespaces: []string{"x", "y"}}),
		"a again": put(t, path, access.Grant{ID: "a2", Scopes: bucketring.ScopeTake, Namespaces: []string{"y", "x"}}),
		"b":       put(t, path, access.Grant{ID: "b", Scopes: bucketring.ScopeTake, Namespaces: []string{"xy"}}),
		"all":     put(t, path, access.Grant{ID: "all", Scopes: bucketring.ScopeTake}),
		"looks":   put(t, path, access.Grant{ID: "looks", Scopes: bucketring.ScopeRead, Namespaces: []string{"x", "y"}}),
	}
	nodes := map[string]*access.Tokens{}
	for name, secret := range map[string]string{"n1": "one cluster's own", "n2": "one cluster's own", "far": "another cluster's"} {
		tokens, err := access.Open(path, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		nodes[name] = tokens
	}
	as := func(node, who string) context.Context {
		ctx, err := nodes[node].Admit(t.Context(), shown[who])
		if err != nil {
			t.Fatal(err)
		}
		return ctx
	}
	id := bucketring.ID{1, 2, 3}.Text(77)
	leases, reservation := nodes["n1"].Hide(as("n1", "a"), []string{id}, id+"."+id)
	if _, part, err := bucketring.ParseID(leases[0]); err != nil || part != 77 || leases[0] == id || reservation != leases[0]+"."+leases[0] {
		t.Fatalf("the tenant is told %v and %q, %v of partition %d", leases, reservation, err, part)
	}
	for _, c := range []struct {
		node, who string
		own       bool
	}{{"n1", "a", true}, {"n2", "a", true}, {"n2", "a again", true}, {"n1", "b", false}, {"n1", "all", false}, {"far", "a", false}} {
		got, err := nodes[c.node].Reveal(as(c.node, c.who), []string{leases[0], reservation, "none"})
		if err != nil || (got[0] == id) != c.own || (got[1] == id+"."+id) != c.own || got[2] != "none" {
			t.Errorf("%s at %s: %v, %v, want its own to be %v", c.who, c.node, got, err, c.own)
		}
	}
	if got, none := nodes["n1"].Hide(as("n1", "all"), []string{id}, ""); got[0] != id || none != "" {
		t.Errorf("who has all namespaces is told %v, %q", got, none)
	}
	if _, err := nodes["n1"].Reveal(as("n1", "looks"), []string{id}); !errors.Is(err, bucketring.ErrForbidden) {
		t.Errorf("without the scope take: %v", err)
	}
	if _, err := nodes["n1"].Reveal(t.Context(), []string{id}); !errors.Is(err, bucketring.ErrUnauthenticated) {
		t.Errorf("nobody: %v", err)
	}
	if got, _ := nodes["n1"].Hide(t.Context(), []string{id}, ""); got != nil {
		t.Errorf("nobody is told %v", got)
	}
}

// BenchmarkMay is what a message on a stream costs.
func BenchmarkMay(b *testing.B) {
	path := filepath.Join(b.TempDir(), "tokens.yaml")
	token, err := access.Add(path, access.Grant{ID: "app", Scopes: bucketring.ScopeTake})
	if err != nil {
		b.Fatal(err)
	}
	tokens, err := access.Open(path, nil)
	if err != nil {
		b.Fatal(err)
	}
	ctx, err := tokens.Admit(b.Context(), token)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := tokens.May(ctx, bucketring.ScopeTake, ""); err != nil {
			b.Fatal(err)
		}
	}
}
