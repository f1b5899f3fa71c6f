package policy_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/bucketring/bucketring/policy"
)

// FuzzParse: whatever a file has, Parse answers a policy or errors with places, in
// bounded memory.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, err := policy.Parse("f", text, policy.Options{Env: environment})
		runtime.ReadMemStats(&after)
		// A node of a tree is some 200 bytes, an alias writes up to 100,000 of them.
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20+uint64(len(text))*2000 {
			t.Errorf("Parse of %d bytes allocated %d", len(text), used)
		}
		if err == nil {
			again, err := policy.Parse("f", text, policy.Options{Env: environment})
			if err != nil || again.Hash() != p.Hash() || again.Dump() != p.Dump() {
				t.Errorf("Parse of the same text again = %v, want the same policy", err)
			}
			return
		}
		var all policy.Errors
		if p != nil || !errors.As(err, &all) || len(all) == 0 {
			t.Fatalf("Parse = %v, %v, want either a policy or Errors", p, err)
		}
		for i, e := range all {
			if e.Text == "" || e.Line < 0 || e.Line > 0 && e.Column < 1 {
				t.Errorf("problem %d is %#v", i, e)
			}
		}
	})
}

// FuzzOverrides: a list that was accepted is also good for a reload.
func FuzzOverrides(f *testing.F) {
	for _, text := range []string{
		"[]", `[{"match": {"user": "b"}, "limits": {"one": 7}}]`, "- match: {a: x*y}\n  limits: {one: unlimited}\n  until: 2030-01-01T00:00:00Z\n",
		"[{match: {user: [a]}, limits: {two: 1}}]", "&a [*a]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := policy.Parse("f", []byte(onePolicy("x", "1")), policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := (*policy.Set)(nil).WithPolicy(p)
		next, err := s.WithOverrides("x", text)
		if err != nil {
			return
		}
		again := next.Reload(&policy.Set{})
		if again.Hash() != next.Hash() {
			t.Errorf("Hash after a reload = %x, want %x", again.Hash(), next.Hash())
		}
	})
}
