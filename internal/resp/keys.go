// keys.go decides CL.THROTTLE, and whatever else can be decided at once.

package resp

import (
	"context"

	"github.com/bucketring/bucketring"
)

// runThrottle decides one CL.THROTTLE: here and now if that can be, else beside the
// connection.
func (c *conn) runThrottle(words [][]byte) {
	t, problem := parseThrottle(words[1:])
	if problem != "" {
		c.fail(problem)
		return
	}
	verb, cost := t.verb()
	c.request = bucketring.Request{Verb: verb, Key: string(words[1]), Cost: cost, Limits: c.limitsOf(&t.cells)}
	if problem = c.mayNot(c.request.Needs()); problem != "" {
		c.fail(problem)
		return
	}
	if c.server.counters.has(c.request.Key) || !c.decideNow() {
		c.beside(0, &job{key: c.request.Key, task: &throttling{t, c.request}})
		return
	}
	c.out = t.appendReply(c.out, &c.decision)
}

// decideNow decides c.request into c.decision if that needs no other node and
// nothing before it is still to be done on its key. Else nothing has happened.
func (c *conn) decideNow() bool {
	if c.server.now == nil || c.isBusy(c.request.Key) {
		return false
	}
	if c.shared--; c.shared <= 0 {
		c.now, c.shared = c.server.now.Now(), sameMoment
	}
	c.decision = bucketring.Decision{}
	return c.server.now.TakeNow(c.now, &c.request, &c.decision)
}

// ask decides req if that can be done now.
func (c *conn) ask(_ context.Context, req bucketring.Request) (*bucketring.Decision, error) {
	if c.request = req; !c.decideNow() || isAway(&c.decision) {
		return nil, errLater
	}
	return &c.decision, nil
}

// sameMoment is how many commands that came together share a reading of the clock: more
// would make decisions of a node that is paused among them too old.
const sameMoment = 8

// keptLimits is how many limits a connection remembers: few applications throttle by
// more than this many.
const keptLimits = 4

// A keptLimit is a limit as requests want it, with the parameters it was made of.
type keptLimit struct {
	cells
	limits []bucketring.Limit
}

// limitsOf returns the limit of p. What it returned is never changed, as a job may
// still read it; it is made anew when the connection no longer remembers it.
func (c *conn) limitsOf(p *cells) []bucketring.Limit {
	for i := range c.kept {
		if k := &c.kept[i]; k.cells == *p && k.limits != nil {
			return k.limits
		}
	}
	limits := []bucketring.Limit{p.limit(c.server.cfg.Unavailable)}
	c.kept[c.oldest] = keptLimit{*p, limits}
	c.oldest = (c.oldest + 1) % keptLimits
	return limits
}
