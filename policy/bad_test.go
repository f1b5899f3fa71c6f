package policy_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

var update = flag.Bool("update", false, "rewrite the goldens of bad files")

// environment is what the files of testdata are filled with.
func environment(name string) (string, bool) {
	values := map[string]string{
		"NAMESPACE": "from-env", "LIMIT": "25", "WORD": "many", "EMPTY": "", "DOLLAR": "$", "HINT": "no ${variable}",
	}
	value, ok := values[name]
	return value, ok
}

// TestBadFiles: every problem is reported, all at once, with its place. The goldens
// are what `bucketring policy check` prints.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("Glob found %d bad files, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Parse(filepath.Base(name), text, policy.Options{Env: environment})
		var all policy.Errors
		if p != nil || !errors.As(err, &all) || len(all) == 0 || !errors.Is(err, bucketring.ErrInvalid) {
			t.Errorf("Parse(%s) = %v, %v, want no policy and Errors", name, p, err)
			continue
		}
		checkPlaces(t, string(text), all)
		golden := strings.TrimSuffix(name, ".yaml") + ".err"
		got := err.Error() + "\n"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Errorf("%v: run go test -update, and read what it wrote", err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("Parse(%s) has other problems (-want +got):\n%s", name, diff)
		}
	}
}

// checkPlaces: errors are sorted, and their excerpts are the lines they name.
func checkPlaces(t *testing.T, text string, all policy.Errors) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for i, e := range all {
		if i > 0 && (e.Line < all[i-1].Line || e.Line == all[i-1].Line && e.Column < all[i-1].Column) {
			t.Errorf("%v comes behind %v", e, all[i-1])
		}
		if e.Line == 0 {
			continue
		}
		if e.Line > len(lines) {
			t.Errorf("%v is behind the end of the file", e)
		} else if want := lines[e.Line-1]; e.Excerpt != want && !strings.HasPrefix(want, strings.TrimSuffix(e.Excerpt, "...")) {
			t.Errorf("%v has excerpt %q, want %q", e, e.Excerpt, want)
		} else if e.Column < 1 || e.Column > len(want)+1 {
			t.Errorf("%v is outside its line %q", e, want)
		}
	}
}

// policyWith is a policy with something in it.
func policyWith(what string) []byte {
	return []byte("apiVersion: limits/v1\nnamespace: x\nlimits: [{name: one, limit: 1, per: 1m}]\n" + what)
}

func TestBadEncodingAndSize(t *testing.T) {
	tests := []struct {
		name string
		text []byte
		want string
	}{
		{"latin1", policyWith("metrics: {labels: [ab\xe4]}"), "f.yaml:4:22: file is not UTF-8: save it in that encoding"},
		{"utf16", []byte("\xff\xfea\x00"), "f.yaml:1:1: file is not UTF-8: save it in that encoding"},
		{"too large", policyWith("#" + strings.Repeat("x", 1<<20)), "f.yaml: file is larger than 1048576 bytes (1 MiB): split it into namespaces"},
		{"control character", policyWith("charge: \x01"), "f.yaml:4:1: file is no YAML: control characters are not allowed"},
	}
	for _, tt := range tests {
		_, err := policy.Parse("f.yaml", tt.text, policy.Options{})
		if err == nil || err.Error() != tt.want {
			t.Errorf("Parse of %s = %v, want %s", tt.name, err, tt.want)
		}
	}
	exact := policyWith("#")
	exact = append(exact, strings.Repeat("x", 1<<20-len(exact))...)
	if _, err := policy.Parse("f.yaml", exact, policy.Options{}); err != nil {
		t.Errorf("Parse of exactly 1 MiB = %v, want a policy", err)
	}
}

// TestConfigBomb: what would be large once it is written out is refused quickly,
// with one error.
func TestConfigBomb(t *testing.T) {
	wide := "responses:\n  bodies:\n    a: &a [" + strings.Repeat("x,", 400) + "]\n    b: [" + strings.Repeat("*a,", 400) + "]\n"
	tests := map[string]string{
		"aliases":     wide,
		"nesting":     "responses: {bodies: {a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}}",
		"block":       "responses:\n  bodies:\n    a:\n" + strings.Repeat(" ", 5) + strings.Repeat("- ", 9000) + "x\n",
		"many values": "metrics: {labels: [" + strings.Repeat("a,", 100_000) + "]}",
		"braces":      "responses: " + strings.Repeat("{", 500_000),
		"digits":      "overrides: [{match: {a: b}, limits: {one: " + strings.Repeat("9", 500_000) + "}}]",
		"anchors":     "responses: {bodies: {a: [" + strings.Repeat("&a x,", 90_000) + "]}}",
	}
	for name, text := range tests {
		start := time.Now()
		_, err := policy.Parse("f.yaml", policyWith(text), policy.Options{})
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("Parse of a bomb of %s took %v", name, took)
		}
		if name == "anchors" {
			continue // harmless
		}
		var all policy.Errors
		if !errors.As(err, &all) || len(all) != 1 || len(err.Error()) > 400 {
			t.Errorf("Parse of a bomb of %s = %.400v, want one short error", name, err)
		}
	}
}

// TestManyProblems: a file of nothing but problems does not become a longer list.
func TestManyProblems(t *testing.T) {
	text := policyWith("responses: {bodies: {" + strings.Repeat("? [] : 1, ", 20_000) + "}}")
	_, err := policy.Parse("f.yaml", text, policy.Options{})
	var all policy.Errors
	if !errors.As(err, &all) || len(all) > 1001 || !strings.Contains(err.Error(), "f.yaml: more than 1000 problems: the others are not listed") {
		t.Errorf("Parse = %d problems, want 1000 and that there are more", len(all))
	}
}

func TestManyLimits(t *testing.T) {
	limits := func(n int) []byte {
		var b strings.Builder
		b.WriteString("apiVersion: limits/v1\nnamespace: x\nlimits:\n")
		for i := range n {
			b.WriteString("- {name: l" + strconv.Itoa(i) + ", limit: 1, per: 1s}\n")
		}
		return []byte(b.String())
	}
	if _, err := policy.Parse("f.yaml", limits(10_000), policy.Options{}); err != nil {
		t.Errorf("Parse of 10,000 limits = %.200v, want a policy", err)
	}
	_, err := policy.Parse("f.yaml", limits(10_001), policy.Options{})
	if want := "f.yaml:4:1: limits has 10001 elements, at most 10000 are allowed"; err == nil || err.Error() != want {
		t.Errorf("Parse of 10,001 limits = %.200v, want %s", err, want)
	}
}
