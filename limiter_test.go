package bucketring_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
)

func TestRequestValidate(t *testing.T) {
	minute := bucketring.MustParse("10/m")
	eight := bucketring.MustParse("1/s, 1/2s, 1/3s, 1/4s, 1/5s, 1/6s, 1/7s, 1/8s")
	tests := []struct {
		name string
		r    bucketring.Request
		want string // the whole error, empty for none
	}{
		{"plain", bucketring.Request{Key: "k", Limits: minute, Cost: 1}, ""},
		{"cost 0 looks", bucketring.Request{Key: "k", Limits: minute}, ""},
		{"cost above capacity is denied, not refused", bucketring.Request{Key: "k", Limits: minute, Cost: math.MaxInt64}, ""},
		{"last verb", bucketring.Request{Verb: bucketring.VerbReset, Key: "k", Limits: minute}, ""},
		{"verb about ids", bucketring.Request{Verb: bucketring.VerbRenew, Key: "k", Limits: minute},
			"renew takes no key and limit: it is about ids, or about a namespace"},
		{"verb about a namespace", bucketring.Request{Verb: bucketring.VerbUsage, Key: "k", Limits: minute},
			"usage takes no key and limit: it is about ids, or about a namespace"},
		{"first unknown verb", bucketring.Request{Verb: 11, Key: "k", Limits: minute}, "unknown verb 11"},
		{"fraction of a token", bucketring.Request{Key: "k", Limits: minute, CostNanos: 1}, ""},
		{"negative fraction", bucketring.Request{Key: "k", Limits: minute, CostNanos: -1},
			"cost is 0, it must be 0 or more: use refund to give tokens back"},
		{"leases and a rate", bucketring.Request{Key: "k", Limits: bucketring.MustParse("10/m, 10 concurrent, 10/m@UTC")}, ""},
		{"leases twice", bucketring.Request{Key: "k", Limits: bucketring.MustParse("10 concurrent, 5 concurrent ttl=5m")},
			"limits 1 and 2 count the same window with the same algorithm: keep the smaller one"},
		{"one window in two zones", bucketring.Request{Key: "k", Limits: bucketring.MustParse("10/d@UTC, 10/d@Europe/Berlin")}, ""},
		{"unknown verb", bucketring.Request{Verb: 99, Key: "k", Limits: minute}, "unknown verb 99"},
		{"no key", bucketring.Request{Limits: minute},
			"key is missing: name whose tokens are meant, for example a user or an address"},
		{"longest key", bucketring.Request{Key: strings.Repeat("k", 512), Limits: minute}, ""},
		{"longer key", bucketring.Request{Key: strings.Repeat("k", 513), Limits: minute},
			"key has 513 bytes, at most 512 are allowed: send a hash of it"},
		{"a key is bytes, not letters", bucketring.Request{Key: strings.Repeat("ä", 257), Limits: minute},
			"key has 514 bytes, at most 512 are allowed: send a hash of it"},
		{"any bytes make a key", bucketring.Request{Key: "\x00\xff\n,", Limits: minute}, ""},
		{"negative cost", bucketring.Request{Key: "k", Limits: minute, Cost: -1},
			"cost is -1, it must be 0 or more: use refund to give tokens back"},
		{"no limit", bucketring.Request{Key: "k"}, "limit is missing: give one such as 100/m"},
		{"most limits", bucketring.Request{Key: "k", Limits: eight}, ""},
		{"more limits", bucketring.Request{Key: "k", Limits: append(eight[:8:8], minute...)},
			"9 limits in one call, at most 8 are allowed"},
		{"a bad limit", bucketring.Request{Key: "k", Limits: []bucketring.Limit{minute[0], {Name: "x"}}},
			`limit "x" has a window of 0s, it must be whole seconds from 1s to 366d`},
		{"two limits, one counter", bucketring.Request{Key: "k", Limits: bucketring.MustParse("10/h, 1/s, 20/60m burst=5")},
			"limits 1 and 3 count the same window with the same algorithm: keep the smaller one"},
		{"one window, two algorithms", bucketring.Request{Key: "k",
			Limits: bucketring.MustParse("10/m, 10/m algorithm=fixed_window, 10/m algorithm=sliding_window")}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.r.Validate()
			checkInvalid(t, err, tt.want)
			if err != nil && err.Error() != tt.want {
				t.Errorf("Validate() = %q, want %q", err, tt.want)
			}
		})
	}
}

func TestRequestValidateDoesNotAllocate(t *testing.T) {
	r := bucketring.Request{Key: "k", Limits: bucketring.MustParse("1/s, 1/m, 1/h"), Cost: 1}
	if got := testing.AllocsPerRun(100, func() {
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("Validate allocates %v times, want 0", got)
	}
}

func TestInvalidfIsErrInvalidAndNothingElse(t *testing.T) {
	err := fmt.Errorf("httpapi: %w", bucketring.Invalidf("key has %d bytes", 7))
	if got, want := err.Error(), "httpapi: key has 7 bytes"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if !errors.Is(err, bucketring.ErrInvalid) {
		t.Errorf("errors.Is(%v, ErrInvalid) = false, want true", err)
	}
	for _, other := range []error{bucketring.ErrNoPolicy, bucketring.ErrUnknownID, bucketring.ErrUnavailable} {
		if errors.Is(err, other) {
			t.Errorf("errors.Is(%v, %v) = true, want false", err, other)
		}
	}
}

func TestDecisionAll(t *testing.T) {
	// Callers must not need to know that a single limit has no list.
	a, b := bucketring.LimitState{Name: "a", Limit: 1}, bucketring.LimitState{Name: "b", Limit: 2}
	one := bucketring.Decision{LimitState: a}
	if diff := cmp.Diff([]bucketring.LimitState{a}, one.All()); diff != "" {
		t.Errorf("All() of one limit (-want +got):\n%s", diff)
	}
	none := bucketring.Decision{Limits: []bucketring.LimitState{}}
	if got := none.All(); len(got) != 0 {
		t.Errorf("All() of an empty list = %v, want none", got)
	}
	two := bucketring.Decision{LimitState: b, Limits: []bucketring.LimitState{a, b}}
	if diff := cmp.Diff([]bucketring.LimitState{a, b}, two.All()); diff != "" {
		t.Errorf("All() of two limits (-want +got):\n%s", diff)
	}
}

func TestNotOwnerIsUnavailable(t *testing.T) {
	tests := []struct{ hint, want string }{
		{"", "bucketring: not the owner of this key"},
		{"n2", "bucketring: not the owner of this key, ask n2"},
	}
	for _, tt := range tests {
		err := fmt.Errorf("transport: %w", &bucketring.NotOwner{Hint: tt.hint})
		if !errors.Is(err, bucketring.ErrUnavailable) || errors.Is(err, bucketring.ErrInvalid) {
			t.Errorf("NotOwner is not ErrUnavailable alone: %v", err)
		}
		var not *bucketring.NotOwner
		if !errors.As(err, &not) || not.Error() != tt.want {
			t.Errorf("NotOwner{%q}.Error() = %q, want %q", tt.hint, not, tt.want)
		}
	}
}
