package envoyrls_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/envoyrls"
	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
	"github.com/bucketring/bucketring/policy"
)

// A porter is a Guard with one caller: of a scope, in all namespaces or the one behind an at
// sign. Empty it is of somebody whom nobody knows.
type porter string

func (porter) Admit(ctx context.Context, _ string) (context.Context, error) { return ctx, nil }

func (p porter) Known(context.Context) error {
	if p == "" {
		return fmt.Errorf("%w: show a token", bucketring.ErrUnauthenticated)
	}
	return nil
}

func (p porter) May(ctx context.Context, of bucketring.Scope, namespace string) error {
	if err := p.Known(ctx); err != nil {
		return err
	}
	name, only, bound := strings.Cut(string(p), "@")
	scope, _ := bucketring.ParseScope(name)
	if scope&of == 0 || bound && only != namespace {
		return fmt.Errorf("%w: it needs %v", bucketring.ErrForbidden, of)
	}
	return nil
}

// Who may not make a call charges nothing with it, whether its domain is there or not.
func TestCallsNeedScopes(t *testing.T) {
	set, err := policy.Parse("d.yaml", []byte("domain: d\ndescriptors:\n- {key: k, rate_limit: {unit: hour, requests_per_unit: 10}}\n"), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	entries := []*rls.RateLimitDescriptor_Entry{{Key: "k", Value: "v"}}
	calls := map[string]*rls.RateLimitDescriptor{
		"take": {Entries: entries},
		"look": {Entries: entries, HitsAddend: wrapperspb.UInt64(0)},
		"back": {Entries: entries, IsNegativeHits: true},
	}
	for token, may := range map[porter]string{"take": "take look", "read": "look", "adjust": "back", "admin": "", "take@d": "take look", "take@e": "", "": ""} {
		for name, descriptor := range calls {
			for _, domain := range []string{"d", "nobody's"} {
				behind := newCounters()
				s := envoyrls.New(envoyrls.Config{Limiter: behind, Policies: func() *policy.Set { return (&policy.Set{}).WithPolicy(set) }, Guard: token})
				_, err := s.ShouldRateLimit(t.Context(), &rls.RateLimitRequest{Domain: domain, Descriptors: []*rls.RateLimitDescriptor{descriptor}})
				want := codes.PermissionDenied
				switch {
				case strings.Contains(may, name) && (domain == "d" || !strings.Contains(string(token), "@")):
					want = codes.OK
				case token == "":
					want = codes.Unauthenticated
				}
				if status.Code(err) != want || want != codes.OK && len(behind.seen) > 0 {
					t.Errorf("%s of %s with %q: %v after %d questions, want %v", name, domain, token, err, len(behind.seen), want)
				}
			}
		}
	}
}

func (porter) Hide(_ context.Context, leases []string, reservation string) ([]string, string) {
	return leases, reservation
}

func (porter) Reveal(_ context.Context, ids []string) ([]string, error) {
	return ids, nil
}
