// guard.go says what a caller may do, where a door asks who calls.

package bucketring

import (
	"context"
	"errors"
	"strings"
)

// A Scope is what a caller may do, or several of it: a set of bits. Zero is nothing.
type Scope uint8

const (
	// ScopeTake charges limits, looks at them, and ends or settles what a take handed out.
	ScopeTake Scope = 1 << iota
	// ScopeAdjust gives back what was charged: refund, reset, and levels that are set or
	// lowered.
	ScopeAdjust
	// ScopeRead looks: peek, usage, members, ring, explain and metrics.
	ScopeRead
	// ScopeAdmin operates a node: policies, drains and profiles.
	ScopeAdmin
)

// scopeNames are in the order of their bits.
var scopeNames = [...]string{"take", "adjust", "read", "admin"}

// ScopeNames returns the names of all scopes.
func ScopeNames() []string { return append([]string(nil), scopeNames[:]...) }

// ParseScope reads the name of one scope. The error is ErrInvalid and suggests one.
func ParseScope(name string) (Scope, error) {
	for i, known := range scopeNames {
		if name == known {
			return 1 << i, nil
		}
	}
	near := Suggest(name, scopeNames[:])
	if near == "" {
		near = ": the scopes are " + strings.Join(scopeNames[:], ", ")
	}
	return 0, Invalidf("unknown scope %q%s", name, near)
}

// Names returns the names of the scopes in s, in a fixed order.
func (s Scope) Names() (names []string) {
	for i, name := range scopeNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String joins the names by "or": of a call, any of them allows it.
func (s Scope) String() string { return strings.Join(s.Names(), " or ") }

// Needs returns the scopes of which a caller must have one to make the request. Of a step
// only its door knows what it does, so this is what most of them need, ScopeTake.
func (r *Request) Needs() Scope {
	switch r.Verb {
	case VerbPeek:
		return ScopeTake | ScopeRead
	case VerbUsage:
		return ScopeRead
	case VerbRefund, VerbReset, VerbSet:
		return ScopeAdjust
	case VerbAdd:
		if r.Cost < 0 || r.CostNanos < 0 {
			return ScopeAdjust // there is room again then, as after a refund
		}
	}
	return ScopeTake
}

// The errors of a Guard. Those returned wrap one of these and say what is missing, never
// what was shown.
var (
	// ErrUnauthenticated marks a call whose caller has not proven who it is.
	ErrUnauthenticated = errors.New("bucketring: unauthenticated")
	// ErrForbidden marks a call that its caller may not make.
	ErrForbidden = errors.New("bucketring: forbidden")
)

// A Guard knows callers by the tokens that they show. Doors that have one ask it; it is safe
// for concurrent use.
type Guard interface {
	// Admit returns a context that stands for whoever has the token. The error is
	// ErrUnauthenticated; an empty token is one that was not shown.
	Admit(ctx context.Context, token string) (context.Context, error)
	// Known reports whether the caller of ctx, whom Admit has made, is still known: a token
	// can end. The error is ErrUnauthenticated. It is cheap enough for each message.
	Known(ctx context.Context) error
	// May reports whether that caller is known and has one of the scopes, in a namespace.
	// None is named by calls that bring their limits along, or are about no counter at
	// all. The error is ErrUnauthenticated or ErrForbidden.
	May(ctx context.Context, of Scope, namespace string) error
	// Hide returns what that caller is told in place of the leases and the reservation of
	// a decision. What one tenant is told means nothing from another.
	Hide(ctx context.Context, leases []string, reservation string) ([]string, string)
	// Reveal returns the ids that Hide has hidden, if the caller may renew, release and
	// settle what these name. The error is one of May. Ids that are none, or were told to
	// another tenant, become others that nobody has made.
	Reveal(ctx context.Context, ids []string) ([]string, error)
}

// Permit asks a Guard whether the caller of ctx may make the request. Ids in it become those
// that a Limiter knows. A nil guard lets everybody make all of them. The error is one of May.
func (r *Request) Permit(ctx context.Context, g Guard) (err error) {
	if g == nil {
		return nil
	}
	if len(r.IDs) > 0 {
		r.IDs, err = g.Reveal(ctx, r.IDs)
		return err
	}
	return g.May(ctx, r.Needs(), r.Namespace)
}
