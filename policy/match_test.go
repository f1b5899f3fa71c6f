package policy_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring/policy"
)

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("test.yaml", []byte(text), policy.Options{})
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return p
}

// hundred is a policy with a hundred limits of many shapes; a call meets ten.
func hundred() string {
	var b strings.Builder
	b.WriteString("apiVersion: limits/v1\nnamespace: big\nlimits:\n")
	for i := range 100 {
		fmt.Fprintf(&b, "  - {name: l%d, key: [user], limit: {by: plan, values: {pro: %d}, default: 5}, per: 1m, when: {method: [GET, POST], path: [/v1/r%d/*/**], attr: {tier: \"a|b\", region: present}}}\n",
			i, i+1, i%10)
	}
	b.WriteString("overrides:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  - {match: {user: u%d}, limits: {l%d: 7}}\n", i, i%100)
	}
	return b.String()
}

var aCall = map[string]string{
	"method": "POST", "path": "/v1/r3/abc/def/ghi", "user": "u13", "plan": "pro", "tier": "b", "region": "eu",
}

func TestMatchingAllocatesNothing(t *testing.T) {
	p := parse(t, hundred())
	now := time.Unix(1704067200, 0)
	if limits, total := p.Meets(aCall, 3, now); limits != 10 || total != 30 {
		t.Fatalf("the call meets %d limits at a cost of %d, want 10 and 30", limits, total)
	}
	if got := testing.AllocsPerRun(200, func() { p.Meets(aCall, 3, now) }); got != 0 {
		t.Errorf("matching allocates %v times, want 0", got)
	}
}

func BenchmarkMatch100Limits(b *testing.B) {
	p := parse(b, hundred())
	now := time.Unix(1704067200, 0)
	b.ReportAllocs()
	for b.Loop() {
		p.Meets(aCall, 3, now)
	}
}

func TestPathPatterns(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no []string
	}{
		{"/v1/*", []string{"/v1/a", "/v1/a?x=/b", "/v1/./a", "/v1/b/../a", "/v1/%61"}, []string{"/v1", "/v1/", "/v1/a/", "/v1/a/b", "/V1/a", "v1/a"}},
		{"/v1/**", []string{"/v1", "/v1/", "/v1/a", "/v1/a/b/c/"}, []string{"/v2", "/v1a", "/", ""}},
		{"/**/end", []string{"/end", "/a/end", "/a/b/end", "/end/end"}, []string{"/a/end/", "/ending", "/a/bend"}},
		{"/a/**/b/**/c", []string{"/a/b/c", "/a/x/b/c", "/a/b/b/y/z/c", "/a/b/c/c"}, []string{"/a/c", "/a/b", "/a/b/c/"}},
		{"/a/**/b/*/c", []string{"/a/b/x/c", "/a/b/b/x/c", "/a/q/b/b/b/c"}, []string{"/a/b/c", "/a/b//c"}},
		{"/upload-tmp/", []string{"/upload-tmp/"}, []string{"/upload-tmp", "/upload-tmp/a", "/upload-tmp//"}},
		{"/", []string{"/", "/..", "/a/.."}, []string{"", "/a"}},
	}
	for _, tt := range tests {
		for want, paths := range map[bool][]string{true: tt.yes, false: tt.no} {
			for _, path := range paths {
				if got, err := policy.MatchPath(tt.pattern, path); got != want || err != nil {
					t.Errorf("pattern %q, path %q = %v, %v, want %v", tt.pattern, path, got, err, want)
				}
			}
		}
	}
	for _, bad := range []string{"", "v1/*", "/v1/a*", "/v1/***", "/a?b", "*"} {
		if _, err := policy.MatchPath(bad, "/"); err == nil {
			t.Errorf("pattern %q is accepted, want an error", bad)
		}
	}
}

func TestPathIsDecodedOnce(t *testing.T) {
	for path, want := range map[string]string{
		"/a%2525": "/a%25", "/a%zz": "/a%zz", "/a//b": "/a//b", "/a/./b/.": "/a/b/", "/../../a": "/a", "/a/b/..": "/a/", "/%2e%2e/a": "/a",
	} {
		if got := policy.CleanPath(path); got != want {
			t.Errorf("CleanPath(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestValuePatterns(t *testing.T) {
	for pattern, cases := range map[string]map[string]bool{
		"acct_*":   {"acct_": true, "acct_1": true, "xacct_1": false, "acct": false},
		"*":        {"": true, "anything": true},
		"a*b*c":    {"abc": true, "axbxc": true, "abcb": false, "ac": false, "aabbcc": true},
		"*mid*end": {"midend": true, "a mid b end": true, "mid en": false, "endmid": false},
		"aa*aa":    {"aaa": false, "aaaa": true},
	} {
		for value, want := range cases {
			if got, err := policy.MatchValue(pattern, value); got != want || err != nil {
				t.Errorf("pattern %q, value %q = %v, %v, want %v", pattern, value, got, err, want)
			}
		}
	}
}

func TestPathParams(t *testing.T) {
	for _, tt := range []struct{ pattern, path, want string }{
		{"/v1/dubs/{id}/**", "/v1/dubs/d1/generate", "d1"}, {"/v1/dubs/{id}/**", "/v1/dubs/d1", "d1"},
		{"/v1/{id}", "/v1/a%20b", "a b"}, {"/*/{x}/end", "/any/v/end", "v"},
	} {
		if got, ok, err := policy.FindParam(tt.pattern, tt.path); got != tt.want || !ok || err != nil {
			t.Errorf("FindParam(%q, %q) = %q, %v, %v, want %q", tt.pattern, tt.path, got, ok, err, tt.want)
		}
	}
	for _, path := range []string{"/v1/a/b", "/v2/a", "/v1"} {
		if got, ok, _ := policy.FindParam("/v1/{id}", path); ok {
			t.Errorf("FindParam(/v1/{id}, %q) = %q, want none", path, got)
		}
	}
}

// Two different lists of values never share a counter.
func TestCounterKeysAreApart(t *testing.T) {
	s := func(v string) *string { return &v }
	long := s(strings.Repeat("x", 300))
	lists := [][]*string{
		{nil}, {s("")}, {s("(none)")}, {s("x"), s("y")}, {s("xy")}, {s("x"), nil}, {nil, s("x")}, {s("x_child_y")},
		{s("x"), s("y"), s("")}, {s("\x02x"), s("y")}, {nil, nil}, {s("\x00")}, {long}, {long, s("y")}, {s("y"), long}, {},
	}
	seen := map[string]int{}
	for i, list := range lists {
		key := policy.CounterKey(list)
		if other, ok := seen[key]; ok {
			t.Errorf("lists %d and %d share the key %q", other, i, key)
		}
		if seen[key] = i; len(key) > 256 {
			t.Errorf("the key of list %d has %d bytes, want at most 256", i, len(key))
		}
	}
}

func FuzzCounterKey(f *testing.F) {
	f.Add("parent", "x", "parentx", "")
	f.Add("a", "b", "ab", "")
	f.Fuzz(func(t *testing.T, a1, a2, b1, b2 string) {
		same := a1 == b1 && a2 == b2
		if got := policy.CounterKey([]*string{&a1, &a2}) == policy.CounterKey([]*string{&b1, &b2}); got != same {
			t.Errorf("(%q,%q) and (%q,%q): keys alike = %v, want %v", a1, a2, b1, b2, got, same)
		}
		if policy.CounterKey([]*string{&a1, nil}) == policy.CounterKey([]*string{&a1, &b2}) {
			t.Errorf("an absent value and %q share a key", b2)
		}
	})
}

func TestParseCost(t *testing.T) {
	for _, tt := range []struct {
		text      string
		precision uint8
		want      int64
		ok        bool
	}{
		{"0", 0, 0, true}, {"45.2", 3, 45200, true}, {"45.2001", 3, 45201, true}, {"45.2000", 3, 45200, true}, {"0.0001", 0, 1, true},
		{"9223372036854775807", 0, math.MaxInt64, true}, {"9223372036854775808", 0, 0, false}, {"9223372036854775807", 1, 0, false},
		{"9223372036854775807.1", 0, 0, false}, {"", 0, 0, false}, {".5", 1, 0, false}, {"5.", 1, 0, false}, {"-1", 0, 0, false},
		{"+1", 0, 0, false}, {"1e3", 0, 0, false}, {"1,5", 1, 0, false}, {"1.2.3", 3, 0, false}, {" 1", 0, 0, false}, {"007", 0, 7, true},
	} {
		if got, ok := policy.ParseCost(tt.text, tt.precision); ok != tt.ok || ok && got != tt.want {
			t.Errorf("ParseCost(%q, %d) = %d, %v, want %d, %v", tt.text, tt.precision, got, ok, tt.want, tt.ok)
		}
	}
}
