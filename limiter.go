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
	// VerbStep has the Step of a register change it and say something. See StepRequest.
	VerbStep
	numVerbs
)

var verbNames = [...]string{"take", "peek", "refund", "reset", "renew", "release", "settle", "add", "set", "usage", "step"}

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
	// Args are what VerbStep tells the Step, at most MaxNumbers. With a Namespace two of them
	// are an amount and seconds, which a take puts in the place of every rate of the policy.
	// Only doors have them: the public API carries none.
	Args []int64
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

// Durable reports whether the call has to be known to a second node before it is answered: it
// takes from a durable limit, or changes a durable level.
func (r *Request) Durable() bool {
	if r.Verb != VerbTake && r.Verb != VerbAdd && r.Verb != VerbSet {
		return false
	}
	for i := range r.Charges {
		if c := &r.Charges[i]; c.Limit.Durable && !c.Force && (c.Cost != 0 || r.Verb == VerbSet) {
			return true
		}
	}
	return false
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
	case r.Verb > VerbReset && r.Verb != VerbStep:
		return Invalidf("%v takes no key and limit: it is about ids, or about a namespace", r.Verb)
	case r.Key == "":
		return Invalidf("key is missing: name whose tokens are meant, for example a user or an address")
	case len(r.Key) > MaxKeyLen:
		return Invalidf("key has %d bytes, at most %d are allowed: send a hash of it", len(r.Key), MaxKeyLen)
	case r.Verb == VerbStep:
		return r.validateStep()
	case r.Cost < 0 || r.CostNanos < 0:
		return Invalidf("cost is %d, it must be 0 or more: use refund to give tokens back", r.Cost)
	case len(r.Limits) == 0:
		return Invalidf("limit is missing: give one such as 100/m")
	case len(r.Limits) > MaxLimits:
		return Invalidf("%d limits in one call, at most %d are allowed", len(r.Limits), MaxLimits)
	}
	for i := range r.Limits {
		if r.Limits[i].Kind == KindRegister {
			return Invalidf("limit %q is a register, which has no tokens to %v", r.Limits[i].Name, r.Verb)
		}
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
