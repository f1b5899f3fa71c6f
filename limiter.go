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
	// not an error. The error wraps ErrInvalid, ErrNoPolicy, ErrUnknownID
	// or ErrUnavailable, or is the context's. The Decision is meaningless beside an error.
	Take(ctx context.Context, req Request) (Decision, error)
}

// A Waiter waits for the decision on a call that was begun, without a goroutine. Answered
// is called once, from any goroutine, perhaps before the call that began it returns. It must
// not block. d is good until it returns; beside an error it is meaningless.
type Waiter interface {
	Answered(d *Decision, err error)
}

// The errors of a Limiter. Those returned wrap one of these and say what to do.
var (
	// ErrInvalid marks a request that can never succeed as it stands.
	ErrInvalid = errors.New("bucketring: invalid request")
	// ErrNoPolicy marks a request for a namespace that nobody configured.
	ErrNoPolicy = errors.New("bucketring: no such policy")
	// ErrUnknownID marks a reservation that nobody made, or that is forgotten.
	ErrUnknownID = errors.New("bucketring: no such reservation")
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
	Gen  uint64 // of the handover that the hint is from; 0 if it is a guess by the ring
	// Soon, if set, is closed when the node that was asked may have got the key: it is
	// on its way there.
	Soon <-chan struct{}
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
	// VerbRenew makes the leases in IDs last another TTL.
	VerbRenew
	// VerbRelease ends the leases in IDs.
	VerbRelease
	// VerbSettle replaces what the reservation in IDs reserved by Cost, in the
	// window of the reserve. The first settlement wins.
	VerbSettle
	// VerbAdd changes a level by Cost: what is added is checked like a take, what
	// is taken off stops at 0.
	VerbAdd
	// VerbSet makes Cost the level, unchecked, unless Version is not above that of
	// the last set.
	VerbSet
	// VerbUsage shows every limit of a caller and charges nothing. It needs a
	// Namespace.
	VerbUsage
	numVerbs
)

var verbNames = [...]string{"take", "peek", "refund", "reset", "renew", "release", "settle", "add", "set", "usage"}

// String returns the verb's name as it appears in the API.
func (v Verb) String() string {
	if v < numVerbs {
		return verbNames[v]
	}
	return fmt.Sprintf("verb(%d)", uint8(v))
}

// Bounds of a Request. What is larger is refused, never truncated.
const (
	MaxKeyLen = 512 // bytes of a key
	MaxLimits = 8   // limits in one call
)

// A Request says whom it concerns and what to do. Either it brings its limits
// along, in Key and Limits, or a policy has them, which Namespace names.
type Request struct {
	Verb Verb
	// CostNanos are billionths of a token to add to Cost, with its sign. Only
	// policies have limits with decimals; what such a limit does not keep is
	// rounded up.
	CostNanos int32
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
	// IDs are the leases to renew or release, or the reservation to settle.
	IDs []string
	// Token makes the leases of a take the same when it is repeated: random, 16 to
	// MaxTokenLen bytes. Empty means new ones each time.
	Token string
	// Version orders VerbSet; 0 is above every earlier one.
	Version int64
	// Charges are what a node has resolved a call with a policy to; callers leave
	// it nil. All charges of one Request are counted at one node. With Each, every
	// limit that has room is charged even if another one denies.
	Charges []Charge
	Each    bool
	// Partition is where Charges are counted.
	Partition uint32
	// Hinted is NotOwner.Gen, where a node was asked because another one named it.
	Hinted uint64
}

// A Charge is one limit's part in a resolved call.
type Charge struct {
	Limit *Limit
	Key   string // of the counter
	Cost  int64  // in 10^-Precision of the limit
	// Window, if not 0, is the LimitState.Window that a refund is for; what it gives
	// back to a window that is over is lost.
	Window int64
	// ID names the lease that a take of a concurrency limit makes, or the
	// reservation of a rate limit whose cost is settled later; zero for none.
	ID ID
	// Shadow is evaluated and charged and never denies.
	Shadow bool
	// Force charges a rate even if there is no room: the call went ahead without it
	// being asked. Window is the one that it counts in then.
	Force bool
}

// MaxTokenLen bounds Request.Token, in bytes.
const MaxTokenLen = 64

// Validate reports whether the request is within bounds. Its error is
// ErrInvalid. It does not look at Namespace and Attributes: a policy does.
func (r *Request) Validate() error {
	switch {
	case r.Verb >= numVerbs:
		return Invalidf("unknown verb %d", r.Verb)
	case r.Verb > VerbReset:
		return Invalidf("%v takes no key and limit: it is about ids, or about a namespace", r.Verb)
	case r.Key == "":
		return Invalidf("key is missing: name whose tokens are meant, for example a user or an address")
	case len(r.Key) > MaxKeyLen:
		return Invalidf("key has %d bytes, at most %d are allowed: send a hash of it", len(r.Key), MaxKeyLen)
	case r.Cost < 0 || r.CostNanos < 0:
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
	// ResetAt is the moment of reset in Unix seconds, rounded up; 0 if the limit
	// has none, as leases, levels and caps.
	ResetAt int64
	// Used is what is taken, leased out or stored: Limit - Remaining, or more where
	// a limit was lowered or a settlement went beyond it.
	Used int64
	// NextAfter is the time until there is one token more than Remaining; 0 if
	// nothing is used or no time brings one.
	NextAfter time.Duration
	// Window tells windows of a counter apart, for refunds; 0 for what has none.
	Window int64
	// Repeated says that a take with a Token found its lease or reservation made
	// already: it is not this take's to give back.
	Repeated bool
	// Kind and Precision are the limit's: Limit, Remaining and Used count in
	// 10^-Precision.
	Kind      Kind
	Precision uint8
	// Unit is the policy's word for a token, such as requests; empty for limits
	// that came with the call.
	Unit string
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
	// Leases are the ids of the leases that a take handed out, or of those that a
	// renewal or release has reached; Reservation is the id to settle.
	Leases      []string
	Reservation string
	// Response is what the application may pass on to its own caller. It is nil
	// for limits that came with the call.
	Response *Response
}

// A Response is how a policy answers a call over HTTP.
type Response struct {
	Status int // 200 if allowed
	// Headers are the rate headers, Retry-After, and the Content-Type of Body.
	Headers []Header
	Body    []byte // JSON; nil if there is none
	// CloseCode and CloseReason, if the code is not 0, close a WebSocket.
	CloseCode   int
	CloseReason string
	// Violated are the names of the limits that deny, in the policy's order, or
	// that of the access rule.
	Violated []string
}

// A Header is one header field.
type Header struct{ Name, Value string }

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
