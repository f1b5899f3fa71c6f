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
		case l.kind == bucketring.KindConcurrency && l.deny.closeCode != 0 && v.limit.MaxAge > 0 &&
			(all.MaxAge == 0 || v.limit.MaxAge < all.MaxAge):
			all.MaxAge, all.AgeCode, all.AgeReason = v.limit.MaxAge, l.deny.closeCode, "session too long"
		}
	}
	return all, nil
}
