// Package bucketring is the vocabulary of a distributed rate limiter that needs
// no database: nodes discover each other by gossip, own key ranges on a
// consistent-hash ring, decide in memory and forward what they do not own.
//
// The package holds the words that every other one speaks and nothing else.
// One idea carries the system: four things implement [Limiter], and forwarding
// is calling the same method somewhere else.
//
//   - node.Local decides from this node's own buckets and never forwards.
//   - A peer of transport.Pool decides at another node, over gRPC.
//   - node.Node chooses between the two by the ring.
//   - client.Client asks any node from outside, with failover.
//
// Read next: limit.go, then node/node.go, node/local.go and bucket/bucket.go.
package bucketring

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// A Limiter decides calls. Implementations are safe for concurrent use.
type Limiter interface {
	// Take carries out req and reports the decision. A denial is a Decision,
	// not an error. The error wraps ErrInvalid, ErrNoPolicy or ErrUnavailable,
	// or is the context's. The Decision is meaningless beside an error.
	Take(ctx context.Context, req Request) (Decision, error)
}

// The errors of a Limiter. Those returned wrap one of these and say what to do.
var (
	// ErrInvalid marks a request that can never succeed as it stands.
	ErrInvalid = errors.New("bucketring: invalid request")
	// ErrNoPolicy marks a request for a namespace that nobody configured.
	ErrNoPolicy = errors.New("bucketring: no such policy")
	// ErrUnavailable marks a request that no node could decide in time.
	ErrUnavailable = errors.New("bucketring: unavailable")
)

// invalid is an ErrInvalid whose text is for the person who sent the request.
type invalid struct{ text string }

func (e *invalid) Error() string        { return e.text }
func (e *invalid) Is(target error) bool { return target == ErrInvalid }

// Invalidf returns an error that is ErrInvalid and reads as the formatted text,
// which should say what to change.
func Invalidf(format string, args ...any) error {
	return &invalid{fmt.Sprintf(format, args...)}
}

// NotOwner is the error of a node that was asked to decide a key that, as it
// sees the ring, belongs to another. It is ErrUnavailable.
type NotOwner struct {
	Hint string // name of the member to ask instead; empty if unknown
}

// Error names the member to ask, if it is known.
func (e *NotOwner) Error() string {
	if e.Hint == "" {
		return "bucketring: not the owner of this key"
	}
	return "bucketring: not the owner of this key, ask " + e.Hint
}

// Is makes a NotOwner an ErrUnavailable.
func (e *NotOwner) Is(target error) bool { return target == ErrUnavailable }

// A Verb says what a Request wants done. The zero value takes.
type Verb uint8

const (
	// VerbTake takes Cost tokens from every limit, or from none.
	VerbTake Verb = iota
	// VerbPeek answers what a take would get and changes nothing.
	VerbPeek
	// VerbRefund gives Cost tokens back to every limit, never above full.
	VerbRefund
	// VerbReset forgets what was used.
	VerbReset
	numVerbs
)

// String returns the verb's name as it appears in the API.
func (v Verb) String() string {
	if v < numVerbs {
		return [...]string{"take", "peek", "refund", "reset"}[v]
	}
	return fmt.Sprintf("verb(%d)", uint8(v))
}

// Bounds of a Request. What is larger is refused, never truncated.
const (
	MaxKeyLen = 512 // bytes of a key
	MaxLimits = 8   // limits in one call
)

// A Request names a key, the limits that apply to it, and what to do.
type Request struct {
	Verb Verb
	// Key says whose counters are meant: 1 to MaxKeyLen bytes, any bytes.
	Key string
	// Limits all apply to Key; a take charges all of them or none. 1 to
	// MaxLimits, each for another window. Parse makes them from text. They are
	// read only, so one slice can serve any number of concurrent requests.
	Limits []Limit
	// Cost is the number of tokens; 0 only looks and is always allowed. A cost
	// above a limit's capacity is denied, for ever.
	Cost int64
	// Namespace names a policy instead of Key and Limits; empty means none.
	Namespace string
	// Attributes are what a policy matches on.
	Attributes map[string]string
}

// Validate reports whether the request is within bounds. Its error is
// ErrInvalid. It does not look at Namespace and Attributes: a policy does.
func (r *Request) Validate() error {
	switch {
	case r.Verb >= numVerbs:
		return Invalidf("unknown verb %d", r.Verb)
	case r.Key == "":
		return Invalidf("key is missing: name whose tokens are meant, for example a user or an address")
	case len(r.Key) > MaxKeyLen:
		return Invalidf("key has %d bytes, at most %d are allowed: send a hash of it", len(r.Key), MaxKeyLen)
	case r.Cost < 0:
		return Invalidf("cost is %d, it must be 0 or more: use refund to give tokens back", r.Cost)
	case len(r.Limits) == 0:
		return Invalidf("limit is missing: give one such as 100/m")
	case len(r.Limits) > MaxLimits:
		return Invalidf("%d limits in one call, at most %d are allowed", len(r.Limits), MaxLimits)
	}
	for i := range r.Limits {
		if err := r.Limits[i].Validate(); err != nil {
			return err
		}
		for j := range i {
			if r.Limits[i].SameCounter(&r.Limits[j]) {
				return Invalidf("limits %d and %d count the same window with the same algorithm: keep the smaller one", j+1, i+1)
			}
		}
	}
	return nil
}

// Never is the RetryAfter of a denial that waiting cannot cure.
const Never = time.Duration(math.MaxInt64)

// A LimitState is what one limit said in a decision.
type LimitState struct {
	// Name is the limit's name, "inline" for limits that came with the call.
	Name string
	// Allowed says whether this limit had room.
	Allowed bool
	// Limit is the capacity and Remaining what is left of it after the call,
	// rounded down, at least 0.
	Limit, Remaining int64
	// ResetAfter is the time until the limit is wholly unused again.
	ResetAfter time.Duration
	// RetryAfter is the time until the same call would be allowed if nothing
	// else came: 0 when allowed, Never when waiting cannot help.
	RetryAfter time.Duration
	// ResetAt is the moment of reset in Unix seconds, rounded up.
	ResetAt int64
}

// A Decision is the answer to a Request.
type Decision struct {
	// Allowed says whether the call may go ahead.
	Allowed bool
	// LimitState describes the most restrictive limit; on a denial the violated
	// one that is free again last.
	LimitState
	// Limits has every limit in the request's order. It is nil when there is
	// only one; All hides the difference.
	Limits []LimitState
	// Source says who answered, Degraded that it was not an exact authority.
	Source   Source
	Degraded bool
	// Node took the call from the caller; Owner decided it. Both are names of
	// members, empty where there is no cluster.
	Node, Owner string
}

// All returns the state of every limit in the request's order.
func (d *Decision) All() []LimitState {
	if d.Limits == nil {
		return []LimitState{d.LimitState}
	}
	return d.Limits
}

// A Source says who answered a call. The zero value is SourceOwner.
type Source uint8

const (
	SourceOwner          Source = iota // the key's owner, exact
	SourceReplica                      // its successor, acting for it
	SourceLease                        // a slice lent by the owner
	SourceDeniedCache                  // a denial that still holds
	SourceFallbackShare                // owner away: this node's share of the limit
	SourceFallbackOpen                 // owner away: allowed unseen
	SourceFallbackClosed               // owner away: refused
	numSources
)

// Sources lists every source, for tables that need one row each.
func Sources() []Source {
	all := make([]Source, numSources)
	for i := range all {
		all[i] = Source(i)
	}
	return all
}

// String returns the source's name as it appears in answers and metrics.
func (s Source) String() string {
	if s < numSources {
		return [...]string{"owner", "replica", "lease", "denied_cache",
			"fallback_share", "fallback_open", "fallback_closed"}[s]
	}
	return fmt.Sprintf("source(%d)", uint8(s))
}
