// connection.go says what a policy allows one connection, such as a WebSocket: its
// limits are counted in the process that holds it.

package policy

import (
	"time"

	"github.com/bucketring/bucketring"
)

// A Connection is what a policy says of one connection.
type Connection struct {
	// Limits are those of scope connection that apply, in the policy's order.
	Limits []ConnectionLimit
	// TTL is that of the lease that the connection holds, which has to be renewed
	// that often; 0 if the policy knows none.
	TTL time.Duration
	// MaxAge is how long the connection may last, which the lease that it holds
	// says; 0 for as long as it likes. AgeCode and AgeReason close it then.
	MaxAge    time.Duration
	AgeCode   int
	AgeReason string
}

// A ConnectionLimit is one limit of a connection.
type ConnectionLimit struct {
	Limit bucketring.Limit
	Unit  string // what it counts, such as messages or bytes
	// CloseCode and CloseReason close the connection when the limit is exceeded; the
	// code is 0 where the policy names none.
	CloseCode   int
	CloseReason string
}

// Connection returns what the policy says of a connection whose opening has these
// attributes. The error is ErrInvalid.
func (p *Policy) Connection(rows Rows, sent map[string]string, now time.Time) (Connection, error) {
	if err := checkAttributes(sent); err != nil {
		return Connection{}, err
	}
	c := caller{now: now}
	c.read(p, sent)
	p.find(rows, nil, &c.attributes)
	var all Connection
	for i := range p.limits {
		l := &p.limits[i]
		if l.mode != modeEnforce || !l.when.matches(&c) {
			continue
		}
		v := l.valueFor(&c)
		switch {
		case v.kind == valueUnlimited:
		case l.scope == scopeConnection:
			all.Limits = append(all.Limits, ConnectionLimit{*v.limit, l.unit, l.deny.closeCode, l.deny.closeReason})
		case l.kind == bucketring.KindConcurrency:
			all.hold(l, v.limit)
		}
	}
	return all, nil
}

// hold takes over what a lease says, the shortest if there are several.
func (c *Connection) hold(l *limit, lease *bucketring.Limit) {
	if c.TTL == 0 || lease.TTL < c.TTL {
		c.TTL = lease.TTL
	}
	if l.deny.closeCode != 0 && lease.MaxAge > 0 && (c.MaxAge == 0 || lease.MaxAge < c.MaxAge) {
		c.MaxAge, c.AgeCode, c.AgeReason = lease.MaxAge, l.deny.closeCode, "session too long"
	}
}
