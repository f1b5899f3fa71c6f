package policy_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/policy"
)

// mustParse parses a policy that is good.
func mustParse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("test.yaml", []byte(text), policy.Options{Env: environment})
	if err != nil {
		t.Fatalf("Parse = %v, want a policy of\n%s", err, text)
	}
	return p
}

// TestGoodFiles: what good files are compiled to is in the goldens beside them.
func TestGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("Glob found %d good files, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "table.yaml") {
			continue // load_test.go reads it
		}
		got := mustParse(t, string(text)).Dump()
		golden := strings.TrimSuffix(name, ".yaml") + ".model"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("Parse(%s) is another policy (-want +got):\n%s", name, diff)
		}
	}
}

// TestFivePolicies: the policies of the five services load.
func TestFivePolicies(t *testing.T) {
	limits := map[string]int{"aionvision": 10, "lesan": 8, "plaud": 7, "uberduck": 3, "voicedub": 4}
	for namespace, want := range limits {
		text, err := os.ReadFile("testdata/" + namespace + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		p := mustParse(t, string(text))
		ids, same := p.IDs()
		if p.Namespace() != namespace || p.File() != "test.yaml" || p.Hash() == 0 || len(ids) != want || !same {
			t.Errorf("%s: namespace %q of %q, hash %x, %d limits with the same id: %v, want %d limits",
				namespace, p.Namespace(), p.File(), p.Hash(), len(ids), same, want)
		}
		seen := map[uint64]bool{0: true}
		for _, id := range ids {
			if seen[id] && id != 0 { // an unlimited plan has no counter
				t.Errorf("%s has the id %x twice", namespace, id)
			}
			seen[id] = true
		}
	}
}

func TestAmounts(t *testing.T) {
	tests := []struct {
		text      string
		precision uint8
		want      int64
	}{
		{"0", 0, 0}, {"0", 6, 0}, {"10", 0, 10}, {"45.2", 3, 45_200}, {"45.20", 1, 452}, {"0.000001", 6, 1},
		{"25MB", 0, 25_000_000}, {"1MiB", 0, 1 << 20}, {"1.5MB", 0, 1_500_000}, {"1.5kB", 0, 1500}, {"1.5KB", 2, 150_000},
		{"0.5GiB", 0, 1 << 29}, {"1TB", 0, 1e12}, {"2TiB", 0, 2 << 40}, {"9PB", 0, 9e15}, {"8PiB", 0, 8 << 50},
		{"9223372036854775807", 0, math.MaxInt64}, {"9223372036854.775807", 6, math.MaxInt64},
		{"0.0000000000000000000000000000000000000000", 0, 0},
	}
	for _, tt := range tests {
		if got, wrong := policy.Scaled(tt.text, tt.precision); got != tt.want || wrong != "" {
			t.Errorf("amount %s with %d decimals = %d, %q, want %d", tt.text, tt.precision, got, wrong, tt.want)
		}
	}
	for _, text := range []string{"", "-0", "1e3", "1.", ".1", "1,5", "01", "1 MB", "1mb", "1M", "٣", "9223372036854775808", "0x1"} {
		if got, wrong := policy.Scaled(text, 0); wrong == "" {
			t.Errorf("amount %q = %d, want none", text, got)
		}
	}
}

// TestEnvironment: values are filled in before they are typed, and bodies do not
// take them for variables.
func TestEnvironment(t *testing.T) {
	text, err := os.ReadFile("testdata/good/environment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := mustParse(t, string(text))
	if got, want := p.Body("one"), `{"hint":"no ${variable}","text":"${ENV:LIMIT} <policy>","number":"25"}`; got != want {
		t.Errorf("body = %s, want %s", got, want)
	}
	same := strings.NewReplacer("${ENV:NAMESPACE}", "from-env", "${ENV:LIMIT:-10}\n", "25\n", "# x", "").Replace(string(text))
	if other := mustParse(t, same); other.Hash() != p.Hash() {
		t.Errorf("Hash with values in place = %x, want %x as with the environment", other.Hash(), p.Hash())
	}
	if other, err := policy.Parse("x", []byte(strings.ReplaceAll(string(text), "${ENV:NAMESPACE}", "from-env")), policy.Options{}); err != nil || other.Hash() == p.Hash() {
		t.Errorf("Parse without an environment = %v, want the defaults and another hash", err)
	}
}

// TestHash: comments and layout are not the policy, everything else is.
func TestHash(t *testing.T) {
	base := "apiVersion: limits/v1\nnamespace: x\nlimits: [{name: one, limit: 1, per: 1m}]\n"
	p := mustParse(t, base)
	laidOut := "# comment\nnamespace: \"x\" # here\nlimits:\n  - name: one\n    limit: 1\n    per: 1m\n"
	laidOut = "apiVersion: limits/v1\n" + laidOut
	if other := mustParse(t, laidOut); other.Hash() != p.Hash() {
		t.Errorf("Hash with a comment and another layout = %x, want %x", other.Hash(), p.Hash())
	}
	for _, other := range []string{
		strings.Replace(base, "limit: 1", "limit: 2", 1), strings.Replace(base, "namespace: x", "namespace: y", 1), base + "charge: each\n",
	} {
		if mustParse(t, other).Hash() == p.Hash() {
			t.Errorf("Hash of\n%s= that of\n%s", other, base)
		}
	}
}

// TestIDs: a counter goes on while its limit's amount, place, window or mode
// changes, and is another one with another name, unit, key or namespace.
func TestIDs(t *testing.T) {
	const base = "apiVersion: limits/v1\nnamespace: x\nlimits:\n- {name: one, key: [a, b], limit: 1, per: 1m}\n"
	id := func(text string) uint64 {
		ids, _ := mustParse(t, text).IDs()
		return ids[len(ids)-1]
	}
	want := id(base)
	for _, change := range [][2]string{
		{"limit: 1", "limit: 20"}, {"per: 1m", "per: 1h"}, {"per: 1m", "per: 1m, mode: shadow"}, {"limits:\n", "limits:\n- {name: zero, limit: 1, per: 1m}\n"},
	} {
		if got := id(strings.Replace(base, change[0], change[1], 1)); got != want {
			t.Errorf("id with %q = %x, want %x as before", change[1], got, want)
		}
	}
	for _, change := range [][2]string{
		{"name: one", "name: two"}, {"[a, b]", "[b, a]"}, {"[a, b]", "[ab]"}, {"limit: 1", "limit: 1, unit: bytes"}, {"namespace: x", "namespace: y"},
	} {
		if got := id(strings.Replace(base, change[0], change[1], 1)); got == want {
			t.Errorf("id with %q = %x as before, want another", change[1], got)
		}
	}
}

// TestShard: limits of one caller live together by what their keys share.
func TestShard(t *testing.T) {
	tests := []struct{ name, rest, want, placed string }{
		{"first shared", "limits:\n- {name: a, key: [x, y, z], limit: 1, per: 1m}\n- {name: b, key: [z, y], limit: 1, per: 1m}", "[y]", "true true"},
		{"empty keys apart", "limits:\n- {name: a, limit: 1, per: 1m}\n- {name: b, key: [y], limit: 1, per: 1m}", "[y]", "false true"},
		{"nothing shared", "limits:\n- {name: a, key: [x], limit: 1, per: 1m}\n- {name: b, key: [y], limit: 1, per: 1m}", "[]", "false false"},
		{"no keys", "limits:\n- {name: a, limit: 1, per: 1m}", "[]", "false"},
		{"caps and nodes apart", "limits:\n- {name: a, key: [x], limit: 1, per: 1m}\n- {name: b, kind: cap, key: [y], limit: 1}\n- {name: c, scope: node, key: [y], limit: 1, per: 1m}", "[x]", "true false false"},
		{"given", "shard_by: [y, x]\nlimits:\n- {name: a, key: [x, y], limit: 1, per: 1m}\n- {name: b, key: [x], limit: 1, per: 1m}", "[y x]", "true false"},
		{"given none", "shard_by: []\nlimits:\n- {name: a, key: [x], limit: 1, per: 1m}", "[]", "false"},
	}
	placed := regexp.MustCompile(`placed=(\w+)`)
	for _, tt := range tests {
		dump := mustParse(t, "apiVersion: limits/v1\nnamespace: x\n"+tt.rest).Dump()
		if want := " shard=" + tt.want + " "; !strings.Contains(dump, want) {
			t.Errorf("%s: want%sin\n%s", tt.name, want, dump)
		}
		var got []string
		for _, m := range placed.FindAllStringSubmatch(dump, -1) {
			got = append(got, m[1])
		}
		if fmt.Sprint(got) != "["+tt.placed+"]" {
			t.Errorf("%s: placed = %v, want %s", tt.name, got, tt.placed)
		}
	}
}

// TestDefaultStatus: a cap answers 413 unless its own deny says otherwise.
func TestDefaultStatus(t *testing.T) {
	dump := mustParse(t, `
apiVersion: limits/v1
namespace: x
access: [{name: a}]
limits:
- {name: rate, limit: 1, per: 1m}
- {name: cap, kind: cap, limit: 1}
- {name: own, kind: cap, limit: 1, deny: {status: 422}}
responses: {deny: {status: 430}}
`).Dump()
	var got []string
	for _, m := range regexp.MustCompile(`deny=\{(\d+)`).FindAllStringSubmatch(dump, -1) {
		got = append(got, m[1])
	}
	if want := "[403 430 413 422]"; fmt.Sprint(got) != want {
		t.Errorf("statuses = %v, want %s", got, want)
	}
}
