package policy_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

// domainOf parses a file in Envoy's dialect.
func domainOf(t testing.TB, text string) *policy.Domain {
	t.Helper()
	d := parse(t, text).Domain()
	if d == nil {
		t.Fatalf("no domain in\n%s", text)
	}
	return d
}

// entriesOf reads "key=value key=value".
func entriesOf(text string) (all []policy.Entry) {
	for part := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(part, "=")
		all = append(all, policy.Entry{Key: key, Value: value})
	}
	return all
}

const tree = `
domain: tree
descriptors:
  - {key: leaf, rate_limit: {unit: hour, requests_per_unit: 1}}
  - {key: leaf, value: vip, rate_limit: {unit: hour, requests_per_unit: 2}}
  - {key: leaf_vip, value: x, rate_limit: {unit: hour, requests_per_unit: 3}}
  - {key: leaf, value: "v*", rate_limit: {unit: hour, requests_per_unit: 4}}
  - {key: leaf, value: "vi*", rate_limit: {unit: hour, requests_per_unit: 5}}
  - key: parent
    rate_limit: {unit: hour, requests_per_unit: 6}
    descriptors:
      - {key: child, rate_limit: {unit: hour, requests_per_unit: 7}}
      - {key: child, value: "*mid*end", rate_limit: {unit: hour, requests_per_unit: 8}}
  - {key: parent, value: stop}
  - key: parent
    value: only
    descriptors:
      - {key: other, rate_limit: {unit: hour, requests_per_unit: 9}}
  - {key: star, value: "*", rate_limit: {unit: hour, requests_per_unit: 10}}
  - {key: star, rate_limit: {unit: hour, requests_per_unit: 11}}
`

func TestMatch(t *testing.T) {
	d := domainOf(t, tree)
	tests := []struct {
		descriptor string
		want       uint32 // requests of the rule; 0 for none
	}{
		{"leaf=a", 1}, {"leaf=", 1}, {"leaf=vip", 2}, {"leaf=vx", 4}, {"leaf=vix", 4}, // in the file's order
		{"leaf=v*", 4}, {"leaf=vi*", 5}, // exact, as it is written
		{"leaf_vip=x", 3}, {"leaf_vip=vip", 0}, {"leaf_vip=", 0},
		{"other=a", 0}, {"=a", 0}, {"", 0},
		{"parent=x", 6}, {"parent=x child=y", 7}, {"parent=x_child_y", 6}, {"child=y", 0},
		{"parent=x child=mid-end", 8}, {"parent=x child=a-mid-b-end", 8}, {"parent=x child=mid-end-", 7}, {"parent=x child=miend", 7},
		{"parent=x child=y more=z", 0}, {"leaf=a more=z", 0},
		{"parent=stop", 0}, {"parent=stop child=y", 0}, // no second try
		{"parent=only", 0}, {"parent=only child=y", 0}, {"parent=only other=y", 9},
		{"star=", 10}, {"star=anything", 10},
	}
	for _, tt := range tests {
		got := uint32(0)
		if r := d.Match(entriesOf(tt.descriptor)); r != nil {
			got = r.Requests
		}
		if got != tt.want {
			t.Errorf("Match(%s) is the rule of %d requests, want %d", tt.descriptor, got, tt.want)
		}
	}
}

// TestShared: a pattern stands for the value where it says so, at each level.
func TestShared(t *testing.T) {
	d := domainOf(t, `
domain: shared
descriptors:
  - key: a
    value: s/*
    share_threshold: true
    rate_limit: {unit: hour, requests_per_unit: 1}
    descriptors:
      - {key: b, value: "x*", rate_limit: {unit: hour, requests_per_unit: 1}}
      - {key: c, value: "y*", share_threshold: true, rate_limit: {unit: hour, requests_per_unit: 1}}
`)
	for descriptor, want := range map[string][]string{"a=s/1": {"s/*"}, "a=s/1 b=x1": {"s/*", ""}, "a=s/1 c=y1": {"s/*", "y*"}} {
		r := d.Match(entriesOf(descriptor))
		for i, pattern := range want {
			if got, ok := r.Shared(i); got != pattern || ok != (pattern != "") {
				t.Errorf("Shared(%d) of %s = %q, %v, want %q", i, descriptor, got, ok, pattern)
			}
		}
	}
}

func TestLabels(t *testing.T) {
	d := domainOf(t, `
domain: labels
descriptors:
  - key: a
    value: "v.*"
    rate_limit: {unit: hour}
    descriptors:
      - {key: plain, rate_limit: {unit: hour}}
      - {key: value, value_to_metric: true, rate_limit: {unit: hour}}
      - {key: all, detailed_metric: true, rate_limit: {unit: hour}}
      - key: deep
        descriptors: [{key: deeper, detailed_metric: true, rate_limit: {unit: hour}}]
  - key: shared
    value: s*
    share_threshold: true
    value_to_metric: true
    detailed_metric: true
    rate_limit: {unit: hour}
`)
	for descriptor, want := range map[string][2]string{
		"a=v.1": {"a_v.*", ""}, "a=v.1 plain=x": {"a_v.*", "plain"}, "a=v.1 value=x.y": {"a_v.*", "value_x.y"}, "a=v.1 value=": {"a_v.*", "value"},
		"a=v.1 all=x": {"a_v.1", "all_x"}, "a=v.1 deep=x deeper=y": {"a_v.1", "deep_x"}, "shared=sx": {"shared_s*", ""},
	} {
		entries := entriesOf(descriptor)
		key1, key2 := d.Match(entries).Labels(entries)
		if got := [2]string{key1, key2}; got != want {
			t.Errorf("Labels of %s = %q, want %q", descriptor, got, want)
		}
	}
}

func TestReplaced(t *testing.T) {
	d := domainOf(t, `
domain: replaces
descriptors:
  - {key: base, rate_limit: {name: base, unit: hour}}
  - {key: boost, rate_limit: {name: boost, unit: hour, replaces: [{name: base}, {name: nobody}]}}
  - {key: open, rate_limit: {name: open, unlimited: true, replaces: [{name: boost}]}}
  - {key: plain, rate_limit: {unit: hour}}
`)
	for descriptors, want := range map[string]string{
		"base": "", "base boost": "base", "boost base base": "base base", "boost plain none": "",
		"base boost open": "base boost", // what is taken out still takes out
		"open base":       "",
	} {
		var rules []*policy.Rule
		words := strings.Fields(descriptors)
		for _, key := range words {
			rules = append(rules, d.Match(entriesOf(key)))
		}
		var got []string
		for i, out := range policy.Replaced(rules) {
			if out {
				got = append(got, words[i])
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("Replaced(%s) = %v, want %s", descriptors, got, want)
		}
	}
}

func TestMergeMetadata(t *testing.T) {
	type m = map[string]any
	one, two := m{"a": m{"x": 1.0}, "b": "first", "c": m{"y": 1.0}}, m{"a": m{"x": 2.0, "z": m{}}, "b": m{"no": true}, "c": 5.0, "d": []any{}}
	want := m{"a": m{"x": 1.0, "z": m{}}, "b": "first", "c": m{"y": 1.0}, "d": []any{}}
	if diff := cmp.Diff(want, policy.MergeMetadata(one, two)); diff != "" {
		t.Errorf("MergeMetadata (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(m{"a": m{"x": 1.0}, "b": "first", "c": m{"y": 1.0}}, one); diff != "" {
		t.Errorf("MergeMetadata changed its first argument (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(one, policy.MergeMetadata(nil, one)); diff != "" {
		t.Errorf("MergeMetadata with nothing (-want +got):\n%s", diff)
	}
}

// TestDomainIsNoPolicy: who asks otherwise than Envoy does is told so.
func TestDomainIsNoPolicy(t *testing.T) {
	p := parse(t, tree)
	_, err := p.Resolve(&bucketring.Request{Namespace: "tree", Cost: 1}, policy.Facts{})
	if !errors.Is(err, bucketring.ErrInvalid) || !strings.Contains(err.Error(), "Envoy") {
		t.Errorf("Resolve = %v, want that only Envoy's service answers", err)
	}
	if _, err := set(t, tree).WithOverrides("tree", []byte("[{match: {user: a}, limits: {one: 1}}]")); !errors.Is(err, bucketring.ErrInvalid) {
		t.Errorf("WithOverrides = %v, want an error", err)
	}
	if parse(t, onePolicy("x", "1")).Domain() != nil {
		t.Error("a policy in limits/v1 has a domain")
	}
}

// FuzzMatch: whatever a file in Envoy's dialect and a descriptor have, matching ends with a
// rule whose path has the descriptor's length.
func FuzzMatch(f *testing.F) {
	golden, err := os.ReadFile("testdata/good/dialect-golden.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, descriptor := range []string{"leaf=a", "parent=x child=zero", "shared=s/a", "wild=pre"} {
		f.Add(golden, descriptor)
		f.Add([]byte(tree), descriptor)
	}
	f.Fuzz(func(t *testing.T, text []byte, descriptor string) {
		p, err := policy.Parse("f", text, policy.Options{})
		if err != nil || p.Domain() == nil {
			return
		}
		entries := entriesOf(descriptor)
		r := p.Domain().Match(entries)
		if r == nil {
			return
		}
		for i := range entries {
			if pattern, ok := r.Shared(i); ok && !strings.Contains(pattern, "*") {
				t.Errorf("Shared(%d) = %q, want a pattern", i, pattern)
			}
		}
		if key1, _ := r.Labels(entries); !strings.HasPrefix(key1, entries[0].Key) {
			t.Errorf("Labels begin with %q, want %q", key1, entries[0].Key)
		}
	})
}
