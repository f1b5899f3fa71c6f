package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

// limits parses limits.
func limits(t testing.TB, text string) []bucketring.Limit {
	t.Helper()
	all, err := bucketring.Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q) = %v, want limits", text, err)
	}
	return all
}

func TestResolve(t *testing.T) {
	const notYet = ", and policies from files are not supported yet: give key and limit"
	l, attributes := limits(t, "10/m, 100/h"), map[string]string{"user": "a"}
	tests := []struct {
		name string
		req  bucketring.Request
		want error // nil if it resolves
		text string
	}{
		{"inline", bucketring.Request{Key: "k", Limits: l, Cost: 1}, nil, ""},
		{"inline without cost", bucketring.Request{Verb: bucketring.VerbReset, Key: "k", Limits: l}, nil, ""},
		{"empty attributes", bucketring.Request{Key: "k", Limits: l, Attributes: map[string]string{}}, nil, ""},
		{"nothing", bucketring.Request{}, bucketring.ErrInvalid,
			"key is missing: name whose tokens are meant, for example a user or an address"},
		{"no limit", bucketring.Request{Key: "k"}, bucketring.ErrInvalid, "limit is missing: give one such as 100/m"},
		{"namespace", bucketring.Request{Namespace: "api", Attributes: attributes}, bucketring.ErrNoPolicy,
			`bucketring: no such policy: there is no namespace "api"` + notYet},
		{"strange namespace", bucketring.Request{Namespace: "a\n\"b"}, bucketring.ErrNoPolicy,
			`bucketring: no such policy: there is no namespace "a\n\"b"` + notYet},
		{"namespace of 64 bytes", bucketring.Request{Namespace: strings.Repeat("n", 64)}, bucketring.ErrNoPolicy,
			`bucketring: no such policy: there is no namespace "` + strings.Repeat("n", 64) + `"` + notYet},
		{"long namespace", bucketring.Request{Namespace: strings.Repeat("n", 1e6)}, bucketring.ErrNoPolicy,
			`bucketring: no such policy: there is no namespace "` + strings.Repeat("n", 64) + `..."` + notYet},
		{"namespace and key", bucketring.Request{Namespace: "api", Key: "k"}, bucketring.ErrInvalid,
			"give either namespace or key and limit, not both"},
		{"namespace and limit", bucketring.Request{Namespace: "api", Limits: l}, bucketring.ErrInvalid,
			"give either namespace or key and limit, not both"},
		{"attributes without namespace", bucketring.Request{Key: "k", Limits: l, Attributes: attributes}, bucketring.ErrInvalid,
			"attributes need a namespace: give key and limit instead"},
	}
	var set policy.Set
	for _, tt := range tests {
		req := tt.req
		err := set.Resolve(&req)
		if !errors.Is(err, tt.want) || err != nil && err.Error() != tt.text {
			t.Errorf("Resolve of %s = %v, want %v with %q", tt.name, err, tt.want, tt.text)
		}
		if errors.Is(err, bucketring.ErrInvalid) && errors.Is(err, bucketring.ErrNoPolicy) {
			t.Errorf("Resolve of %s = %v, want only one kind of error", tt.name, err)
		}
		if diff := cmp.Diff(tt.req, req); diff != "" {
			t.Errorf("Resolve of %s changed the request (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestPlacement: what is counted together has one place, whatever the limits.
func TestPlacement(t *testing.T) {
	var set policy.Set
	for _, text := range []string{"10/m", "10/m, 100/h", "5/d algorithm=fixed_window"} {
		req := bucketring.Request{Key: "user:alice", Limits: limits(t, text), Cost: 3}
		if namespace, value := set.Placement(&req); namespace != "" || value != "user:alice" {
			t.Errorf("Placement with %s = %q, %q, want the key alone", text, namespace, value)
		}
	}
}

func TestResolveDoesNotAllocate(t *testing.T) {
	var set policy.Set
	req := bucketring.Request{Key: "k", Limits: limits(t, "10/m, 100/h"), Cost: 1}
	if got := testing.AllocsPerRun(100, func() {
		if err := set.Resolve(&req); err != nil {
			t.Error(err)
		}
		set.Placement(&req)
	}); got != 0 {
		t.Errorf("Resolve and Placement allocate %v times, want 0", got)
	}
}
