// socket.go counts what one connection may do, such as the messages of a WebSocket.

package client

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/policy"
)

// Sockets counts for the connections that this process holds. Limits of scope
// connection concern one of them each, so nobody else is asked: Allow takes less
// than a microsecond.
//
// A server has one Sockets for all its connections and policies; they share its
// table, whose counters are there while they are not full. A connection with two
// limits costs about 500 bytes; with a table of its own it would be four times that.
// Sockets is safe for concurrent use.
type Sockets struct {
	table    *bucket.Table
	began    time.Time
	count    atomic.Uint64 // of sockets so far: the name of the next one's counters
	sweeping sync.Mutex    // held by the one that sweeps
}

// socketParts are the parts of the table. Each opening and closing tidies one, so
// that neither has to look at all counters.
const socketParts = 256

// NewSockets returns one without connections.
func NewSockets() *Sockets {
	return &Sockets{table: bucket.New(bucket.Config{Partitions: socketParts}), began: time.Now()}
}

// Open begins to count for a connection whose handshake has these attributes, as
// the policy is now: a later one is for later connections. rows has lookup tables;
// it may be nil if the policy uses none. The error is ErrInvalid.
func (s *Sockets) Open(p *policy.Policy, rows policy.Rows, attributes map[string]string) (*Socket, error) {
	now := time.Now()
	allowed, err := p.Connection(rows, attributes, now)
	if err != nil {
		return nil, err
	}
	s.sweep()
	no := s.count.Add(1)
	return &Socket{
		sockets: s, part: uint32(no % socketParts), key: string(binary.AppendUvarint(nil, no)),
		opened: now, allowed: allowed,
	}, nil
}

// sweep drops unused counters of a part, unless another goroutine is at it.
func (s *Sockets) sweep() {
	if s.sweeping.TryLock() {
		defer s.sweeping.Unlock()
		s.table.Sweep(s.now(), 1)
	}
}

func (s *Sockets) now() bucket.Now {
	now := time.Now()
	return bucket.Now{Mono: int64(now.Sub(s.began)), Wall: now.UnixNano()}
}

// A Socket is what the policy allows one connection. It is safe for concurrent use.
type Socket struct {
	sockets *Sockets
	part    uint32
	key     string
	opened  time.Time
	allowed policy.Connection

	mu sync.Mutex // held while one call is counted, so that none sees half of another
}

// A CloseFrame says how to close a WebSocket (RFC 6455, section 5.5.1). The reason
// has at most 123 bytes.
type CloseFrame struct {
	Code   int
	Reason string
}

// policyViolation is the code for limits that name none (RFC 6455, section 7.4.1).
const policyViolation = 1008

// Allow charges all limits of the connection, or none: those that count bytes by
// bytes, all others by messages. Either may be 0. If there is no room, it returns
// how the first such limit in the policy's order closes the connection.
func (s *Socket) Allow(messages, bytes int64) (CloseFrame, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.sockets.now()
	for _, verb := range [...]bucketring.Verb{bucketring.VerbPeek, bucketring.VerbTake} {
		for i := range s.allowed.Limits {
			l := &s.allowed.Limits[i]
			n := charge(l, messages, bytes)
			if n > 0 && !s.doLocked(verb, l, now, n) { // only a peek denies: what it saw still holds
				return closing(l), false
			}
		}
	}
	return CloseFrame{}, true
}

func (s *Socket) doLocked(verb bucketring.Verb, l *policy.ConnectionLimit, now bucket.Now, n int64) bool {
	counter := bucket.Counter{Partition: s.part, Key: s.key, Limit: &l.Limit}
	return s.sockets.table.Do(verb, counter, now, n).Allowed
}

// charge is what a call costs a limit, in the limit's decimals.
func charge(l *policy.ConnectionLimit, messages, bytes int64) int64 {
	n := messages
	if l.Unit == "bytes" {
		n = bytes
	}
	scaled, err := bucketring.Scale(n, 0, l.Limit.Precision)
	if err != nil {
		return math.MaxInt64 // it does not fit, so it is more than any limit has
	}
	return scaled
}

func closing(l *policy.ConnectionLimit) CloseFrame {
	if l.CloseCode == 0 {
		return CloseFrame{policyViolation, "limit " + l.Limit.Name + " exceeded"}
	}
	return CloseFrame{l.CloseCode, l.CloseReason}
}

// Expires returns when the policy ends the connection, and how it is closed then.
// The time is zero if it may last as long as it likes.
func (s *Socket) Expires() (time.Time, CloseFrame) {
	if s.allowed.MaxAge == 0 {
		return time.Time{}, CloseFrame{}
	}
	return s.opened.Add(s.allowed.MaxAge), CloseFrame{s.allowed.AgeCode, s.allowed.AgeReason}
}

// Close forgets what was counted. Without it, counters go when they are unused
// again, which takes as long as their windows.
func (s *Socket) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.sockets.now()
	for i := range s.allowed.Limits {
		s.doLocked(bucketring.VerbReset, &s.allowed.Limits[i], now, 0)
	}
	s.sockets.sweep()
}
