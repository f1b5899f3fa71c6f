// call.go carries out one call on one table: all of its charges, or none.

package node

import (
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// A call is one request on one table at one moment.
type call struct {
	table *bucket.Table
	clock *clock
	now   bucket.Now // of the decision
	part  uint32
	req   bucketring.Request            // a copy: a pointer would move every request to the heap
	spent func(bucketring.Charge) int64 // what a new counter lacks; nil for nothing
}

// len returns how many limits the call has.
func (c *call) len() int {
	if c.req.Charges != nil {
		return len(c.req.Charges)
	}
	return len(c.req.Limits)
}

// at returns one limit's part in the call.
func (c *call) at(i int) bucketring.Charge {
	if c.req.Charges != nil {
		return c.req.Charges[i]
	}
	return bucketring.Charge{Limit: &c.req.Limits[i], Key: c.req.Key, Cost: c.req.Cost}
}

// do carries out a verb for the i-th limit, at its cost.
func (c *call) do(verb bucketring.Verb, i int) bucketring.LimitState {
	charge := c.at(i)
	return c.apply(verb, &charge)
}

func (c *call) apply(verb bucketring.Verb, charge *bucketring.Charge) bucketring.LimitState {
	counter := bucket.Counter{Partition: c.part, Key: charge.Key, Limit: charge.Limit}
	if c.spent != nil {
		counter.Spent = c.spent(*charge)
	}
	op := bucket.Op{Verb: verb, N: charge.Cost, ID: charge.ID, Window: charge.Window, Version: c.req.Version}
	return c.state(charge.Limit, c.table.Apply(op, counter, c.now))
}

func (c *call) state(limit *bucketring.Limit, res bucket.Result) bucketring.LimitState {
	s := bucketring.LimitState{
		Name: limit.Name, Allowed: res.Allowed, Limit: limit.Capacity(), Remaining: res.Remaining,
		ResetAfter: res.Reset, RetryAfter: res.Retry, Used: res.Used, NextAfter: res.Next, Window: res.Window,
		Kind: limit.Kind, Precision: limit.Precision,
	}
	if limit.Kind == bucketring.KindRate {
		s.ResetAt = unixUp(c.now.Wall + int64(res.Reset))
	}
	return s
}

// free shows what the i-th limit has without the call.
func (c *call) free(i int) bucketring.LimitState {
	charge := c.at(i)
	charge.Cost, charge.ID = 0, bucketring.ID{}
	return c.apply(bucketring.VerbPeek, &charge)
}

func (c *call) decide() bucketring.Decision {
	if c.len() == 1 {
		return c.one()
	}
	return c.all()
}

// one decides a call with one limit, which is nearly every call.
func (c *call) one() bucketring.Decision {
	s := c.do(c.req.Verb, 0)
	return bucketring.Decision{Allowed: s.Allowed || c.at(0).Shadow, LimitState: s}
}

// all decides a call with several limits.
func (c *call) all() bucketring.Decision {
	states := make([]bucketring.LimitState, c.len())
	switch {
	case c.req.Verb == bucketring.VerbTake && c.req.Each:
		c.takeEach(states)
	case c.req.Verb == bucketring.VerbTake:
		c.takeAll(states)
	case c.req.Verb == bucketring.VerbPeek:
		c.look(states)
	default:
		for i := range states {
			states[i] = c.do(c.req.Verb, i)
		}
	}
	if c.req.Charges == nil {
		return describe(states, c.req.Cost)
	}
	return bucketring.Decision{Allowed: !c.anyDenied(states), Limits: states} // the policy describes it
}

// anyDenied reports whether a limit denies that may.
func (c *call) anyDenied(states []bucketring.LimitState) bool {
	for i := range states {
		if !states[i].Allowed && !c.at(i).Shadow {
			return true
		}
	}
	return false
}

// takeEach charges every limit that has room, even if another one denies; but a
// lease is only handed out with a call that goes ahead.
func (c *call) takeEach(states []bucketring.LimitState) {
	leased := func(i int) bool { return c.at(i).Limit.Kind == bucketring.KindConcurrency }
	denied := false
	for i := range states {
		verb := bucketring.VerbTake
		if leased(i) {
			verb = bucketring.VerbPeek
		}
		states[i] = c.do(verb, i)
		denied = denied || !states[i].Allowed && !c.at(i).Shadow
	}
	for i := range states {
		switch {
		case !leased(i) || !states[i].Allowed:
		case denied:
			states[i] = c.free(i)
		default:
			states[i] = c.do(bucketring.VerbTake, i)
		}
	}
}

// takeAll looks at all limits first, so that a call that cannot pass changes
// nothing. If another call is faster between the look and the charge, what was
// charged is given back and it looks again; after a few times the denial stands
// that the last charge met.
func (c *call) takeAll(states []bucketring.LimitState) {
	const attempts = 4
	for range attempts {
		if !c.look(states) || c.charge(states) {
			return
		}
	}
	c.uncharged(states)
}

// look reports whether all limits have room. If not, states has them uncharged.
func (c *call) look(states []bucketring.LimitState) bool {
	for i := range states {
		states[i] = c.do(bucketring.VerbPeek, i)
	}
	if c.anyDenied(states) {
		c.uncharged(states)
		return false
	}
	return true
}

// uncharged makes the limits that had room show what they have without the call.
func (c *call) uncharged(states []bucketring.LimitState) {
	for i := range states {
		if states[i].Allowed {
			states[i] = c.free(i)
		}
	}
}

// charge takes from all limits or from none, the scarcest first: it is the one
// that a race would fail. If one does, states has its denial. A limit in shadow
// that has no room stays as it is.
func (c *call) charge(states []bucketring.LimitState) bool {
	scarcest := 0
	for i := range states {
		if states[i].Remaining < states[scarcest].Remaining {
			scarcest = i
		}
	}
	for step := range states {
		i := (scarcest + step) % len(states)
		states[i] = c.do(bucketring.VerbTake, i)
		if states[i].Allowed || c.at(i).Shadow {
			continue
		}
		c.undo(states, scarcest, step)
		return false
	}
	return true
}

// undo gives back what the first steps of a charge have taken.
func (c *call) undo(states []bucketring.LimitState, first, steps int) {
	now := c.clock.now()
	charged := c.now
	c.now = now
	for step := range steps {
		i := (first + step) % len(states)
		back := c.at(i)
		back.Window = states[i].Window
		cameBack := back.Limit.Kind == bucketring.KindRate && now.Mono-charged.Mono >= int64(states[i].ResetAfter)
		if states[i].Allowed && !cameBack {
			c.apply(bucketring.VerbRefund, &back)
		}
	}
}

func (c *call) anyStrict() bool {
	if c.req.Charges == nil {
		for i := range c.req.Limits {
			if c.req.Limits[i].Accuracy == bucketring.Strict {
				return true
			}
		}
		return false
	}
	for i := range c.req.Charges {
		if l := c.req.Charges[i].Limit; l.Accuracy == bucketring.Strict || l.Kind != bucketring.KindRate {
			return true // leases and levels are strict by themselves
		}
	}
	return false
}

// describe picks the limit that an answer describes. Allowed: the one with the
// fewest further calls like this, then the later reset. Denied: of the violated
// ones the one that is free again last. Ties go to the earlier limit.
func describe(states []bucketring.LimitState, cost int64) bucketring.Decision {
	d := bucketring.Decision{Allowed: true, Limits: states}
	for i := range states {
		d.Allowed = d.Allowed && states[i].Allowed
	}
	best := -1
	for i := range states {
		if !d.Allowed && states[i].Allowed {
			continue
		}
		if best < 0 || before(&states[i], &states[best], d.Allowed, max(cost, 1)) {
			best = i
		}
	}
	d.LimitState = states[best]
	return d
}

func before(a, b *bucketring.LimitState, allowed bool, cost int64) bool {
	if !allowed {
		return a.RetryAfter > b.RetryAfter
	}
	if x, y := a.Remaining/cost, b.Remaining/cost; x != y {
		return x < y
	}
	return a.ResetAfter > b.ResetAfter
}

// stamp writes the moments of reset into an answer from another node, which
// carries durations only: the two nodes' clocks may differ. Windows of the clock
// and the calendar end at known moments, so the nearest one is meant. Others are
// counted from when the answer was received: a little late, never early.
func stamp(d *bucketring.Decision, received bucket.Now, req *bucketring.Request) {
	c := call{req: *req}
	for i := range c.len() {
		s := &d.LimitState
		if d.Limits != nil {
			s = &d.Limits[i]
		}
		described := *s == d.LimitState
		if s.ResetAt = resetAt(c.at(i).Limit, received.Wall+int64(s.ResetAfter)); described {
			d.ResetAt = s.ResetAt
		}
	}
}

// resetAt returns the Unix second of a reset that was seen at a moment.
func resetAt(l *bucketring.Limit, at int64) int64 {
	grid := int64(0)
	switch {
	case l.Kind != bucketring.KindRate:
		return 0
	case l.Algorithm == bucketring.FixedWindow && l.Align == bucketring.AlignEpoch:
		grid = int64(l.Per)
	case l.Align == bucketring.AlignCalendar:
		grid = int64(time.Minute) // at which all of the calendar's windows begin
	}
	if grid > 0 {
		at = (at + grid/2) / grid * grid
	}
	return unixUp(at)
}

// unixUp rounds Unix nanoseconds up to seconds.
func unixUp(ns int64) int64 {
	return (ns + int64(time.Second) - 1) / int64(time.Second)
}
