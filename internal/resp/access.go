// access.go asks a Guard whether the client of a connection may.

package resp

import (
	"errors"

	"github.com/bucketring/bucketring"
)

// needs are the scopes of which one allows an operation. What takes a counter back is more
// than a take. When a counter ends its client says, so EXPIRE in the future is a take.
func (k *counting) needs() bucketring.Scope {
	switch {
	case k.op == opGet, k.op == opLook:
		return bucketring.ScopeTake | bucketring.ScopeRead
	case k.op == opAdd && k.number >= 0,
		k.op == opSet && k.flags&ifAbsent != 0,
		k.op == opExpire && k.time > 0:
		return bucketring.ScopeTake
	}
	return bucketring.ScopeAdjust
}

// mayNot returns the error for a client that has none of these scopes, "" if it has. A
// client whose token has ended is a stranger again. Keys have no namespaces: whoever
// names one shares it.
func (c *conn) mayNot(of bucketring.Scope) (problem string) {
	if c.server.cfg.Guard == nil {
		return ""
	}
	return c.refusal(c.server.cfg.Guard.May(c.caller, of, ""))
}

// permit is mayNot for a request with a namespace or ids. These become those that the
// Limiter knows.
func (c *conn) permit(req *bucketring.Request) (problem string) {
	return c.refusal(req.Permit(c.caller, c.server.cfg.Guard))
}

// isKnown reports whether the client may say more than who it is: it needs no token, or has
// sent one that has not ended. One that has makes it a stranger.
func (c *conn) isKnown() bool {
	switch guard := c.server.cfg.Guard; {
	case guard == nil:
		return true
	case !c.stranger:
		return c.refusal(guard.Known(c.caller)) == ""
	default:
		caller, err := guard.Admit(c.server.ctx, "") // some are let in without
		if err == nil {
			c.stranger, c.caller = false, caller
		}
		return err == nil
	}
}

func (c *conn) refusal(err error) (problem string) {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, bucketring.ErrUnauthenticated):
		c.stranger, c.caller = true, nil
		return errNoToken
	}
	return "NOPERM " + err.Error()
}
