// keys.go has the commands on keys: CL.THROTTLE, DEL and EXISTS.

package resp

import "github.com/bucketring/bucketring"

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
	if !c.decideNow() {
		c.beside(0, &job{request: c.request, throttle: t})
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

func (c *conn) runDel(words [][]byte)    { c.runCount(words[1:], true) }
func (c *conn) runExists(words [][]byte) { c.runCount(words[1:], false) }

// runCount counts the keys whose buckets are not full, and makes those full that it
// is to remove. Each key is a matter of its own, as each may live on another node.
func (c *conn) runCount(keys [][]byte, remove bool) {
	for _, key := range keys {
		if problem := keyProblem(key); problem != "" {
			c.fail(problem)
			return
		}
	}
	// A bucket is found by its key alone, so any parameters will do.
	limits := c.limitsOf(&cells{maxBurst: 0, count: 1, period: 1})
	var total int64
	var jobs []*job
	for _, key := range keys {
		c.request = bucketring.Request{Verb: bucketring.VerbPeek, Key: string(key), Limits: limits}
		peek := c.request
		if n, done := c.countNow(remove); done {
			total += n
			continue
		}
		jobs = append(jobs, &job{request: peek, counts: true, remove: remove})
	}
	if len(jobs) > 0 {
		c.beside(total, jobs...)
		return
	}
	c.out = appendInt(c.out, total)
}

// countNow does for the key of c.request what a job does, if that can be done now.
func (c *conn) countNow(remove bool) (n int64, done bool) {
	switch {
	case !c.decideNow() || isAway(&c.decision):
		return 0, false
	case c.decision.ResetAfter <= 0:
		return 0, true
	case remove:
		c.request.Verb = bucketring.VerbReset
		return 1, c.decideNow() && !isAway(&c.decision)
	}
	return 1, true
}
