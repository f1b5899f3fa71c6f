package bucketring_test

import (
	"errors"
	"testing"

	"github.com/bucketring/bucketring"
)

func TestNeeds(t *testing.T) {
	const take, adjust, read = bucketring.ScopeTake, bucketring.ScopeAdjust, bucketring.ScopeRead
	for verb, want := range map[bucketring.Verb]bucketring.Scope{
		bucketring.VerbTake: take, bucketring.VerbPeek: take | read, bucketring.VerbRefund: adjust,
		bucketring.VerbReset: adjust, bucketring.VerbRenew: take, bucketring.VerbRelease: take,
		bucketring.VerbSettle: take, bucketring.VerbAdd: take, bucketring.VerbSet: adjust,
		bucketring.VerbUsage: read, bucketring.VerbStep: take,
	} {
		req := bucketring.Request{Verb: verb, Cost: 1}
		if got := req.Needs(); got != want {
			t.Errorf("%v needs %v, want %v", verb, got, want)
		}
	}
	for _, lower := range []bucketring.Request{{Verb: bucketring.VerbAdd, Cost: -1}, {Verb: bucketring.VerbAdd, CostNanos: -1}} {
		if got := lower.Needs(); got != adjust {
			t.Errorf("lowering a level needs %v, want %v", got, adjust)
		}
	}
}

func TestParseScope(t *testing.T) {
	var all bucketring.Scope
	for _, name := range bucketring.ScopeNames() {
		s, err := bucketring.ParseScope(name)
		if err != nil || s.String() != name {
			t.Errorf("scope %q is read as %v, %v", name, s, err)
		}
		all |= s
	}
	if got, want := all.String(), "take or adjust or read or admin"; got != want {
		t.Errorf("all scopes are %q, want %q", got, want)
	}
	_, err := bucketring.ParseScope("adjst")
	if !errors.Is(err, bucketring.ErrInvalid) || err.Error() != `unknown scope "adjst": did you mean "adjust"?` {
		t.Errorf("a wrong scope is %v", err)
	}
}
