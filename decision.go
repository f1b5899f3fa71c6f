// decision.go is what a Limiter answers.

package bucketring

import (
	"fmt"
	"math"
	"time"
)

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
	// Window tells windows of a counter apart, for refunds; those of a level begin with each
	// set. It is 0 for what has none.
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
	// Values are what a Step has answered.
	Values []int64
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
