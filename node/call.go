// call.go carries out one call on one table: all of its charges, or none.

package node

import (
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// A call is one request on one table at one moment. It has its own copies of what
// it needs: a pointer would move every request to the heap.
type call struct {
	table *bucket.Table
	clock *clock
	now   bucket.Now // of the decision
	part  uint32
	verb  bucketring.Verb
	each  bool

	key     string
	cost    int64
	limits  []bucketring.Limit
	charges []bucketring.Charge // in place of the three above
	version int64
	steps   bucketring.Steps
	args    []int64 // of a step

	spent func(bucketring.Charge) int64 // what a new counter lacks; nil for nothing

	undid bool // gave back what it had charged
	away  bool // the partition was not there: nothing counts that the call has said
}

// callOf returns the call of a request, without table, clock and time.
func callOf(req *bucketring.Request) call {
	return call{
		verb: req.Verb, each: req.Each, key: req.Key, cost: req.Cost, limits: req.Limits,
		charges: req.Charges, version: req.Version, args: req.Args,
	}
}

// len returns how many limits the call has.
func (c *call) len() int {
	if c.charges != nil {
		return len(c.charges)
	}
	return len(c.limits)
}

// at returns one limit's part in the call.
func (c *call) at(i int) bucketring.Charge {
	if c.charges != nil {
		return c.charges[i]
	}
	return bucketring.Charge{Limit: &c.limits[i], Key: c.key, Cost: c.cost}
}

// do carries out a verb for the i-th limit, at its cost, into s.
func (c *call) do(s *bucketring.LimitState, verb bucketring.Verb, i int) {
	charge := c.at(i)
	c.apply(s, verb, &charge)
}

func (c *call) apply(s *bucketring.LimitState, verb bucketring.Verb, charge *bucketring.Charge) {
	counter := bucket.Counter{Partition: c.part, Key: charge.Key, Limit: charge.Limit}
	if c.spent != nil {
		counter.Spent = c.spent(*charge)
	}
	op := bucket.Op{Verb: verb, N: charge.Cost, ID: charge.ID, Window: charge.Window, Version: c.version, Force: charge.Force}
	res := c.table.Apply(op, counter, c.now)
	if res.Away {
		c.away = true
		return
	}
	show(s, charge.Limit, &res, c.now)
}

// show writes what a counter said.
func show(s *bucketring.LimitState, l *bucketring.Limit, res *bucket.Result, now bucket.Now) {
	s.Name, s.Kind, s.Precision, s.Limit = l.Name, l.Kind, l.Precision, l.Capacity()
	s.Allowed, s.Remaining, s.Used = res.Allowed, res.Remaining, res.Used
	s.Window, s.Repeated = res.Window, res.Repeated
	s.ResetAfter, s.RetryAfter, s.NextAfter, s.ResetAt = res.Reset, res.Retry, res.Next, 0
	if resets(l, res.Reset) {
		s.ResetAt = unixUp(now.Wall + int64(res.Reset))
	}
}

// resets reports whether the state has a moment of reset: leases and levels have
// none, and neither has a window that nobody has opened.
func resets(l *bucketring.Limit, after time.Duration) bool {
	return l.Kind == bucketring.KindRate && (l.Align != bucketring.AlignFirstRequest || after > 0)
}

// free shows what the i-th limit has without the call.
func (c *call) free(s *bucketring.LimitState, i int) {
	charge := c.at(i)
	charge.Cost, charge.ID = 0, bucketring.ID{}
	c.apply(s, bucketring.VerbPeek, &charge)
}

// decide decides the call into d, which is empty: nearly every call has one limit.
func (c *call) decide(d *bucketring.Decision) {
	if c.verb == bucketring.VerbStep {
		c.step(d)
		return
	}
	if c.len() != 1 {
		*d = c.all()
		return
	}
	c.do(&d.LimitState, c.verb, 0)
	d.Allowed = d.LimitState.Allowed || c.charges != nil && c.charges[0].Shadow
}

// all decides a call with several limits.
func (c *call) all() bucketring.Decision {
	states := make([]bucketring.LimitState, c.len())
	switch {
	case c.verb == bucketring.VerbTake && c.each:
		c.takeEach(states)
	case c.verb == bucketring.VerbTake:
		c.takeAll(states)
	case c.verb == bucketring.VerbPeek && c.each:
		c.lookEach(states)
	case c.verb == bucketring.VerbPeek:
		c.look(states)
	default:
		for i := range states {
			c.do(&states[i], c.verb, i)
		}
	}
	if c.charges == nil {
		return describe(states, c.cost)
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
		c.do(&states[i], verb, i)
		denied = denied || !states[i].Allowed && !c.at(i).Shadow
	}
	for i := range states {
		switch {
		case !leased(i) || !states[i].Allowed:
		case denied:
			c.free(&states[i], i)
		default:
			c.do(&states[i], bucketring.VerbTake, i)
		}
	}
}

// lookEach shows what takeEach would.
func (c *call) lookEach(states []bucketring.LimitState) {
	for i := range states {
		c.do(&states[i], bucketring.VerbPeek, i)
	}
	if !c.anyDenied(states) {
		return
	}
	for i := range states {
		if states[i].Allowed && states[i].Kind == bucketring.KindConcurrency {
			c.free(&states[i], i)
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
		c.do(&states[i], bucketring.VerbPeek, i)
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
			c.free(&states[i], i)
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
		c.do(&states[i], bucketring.VerbTake, i)
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
		if states[i].Allowed && !states[i].Repeated && !cameBack(&back, states[i].ResetAfter, now.Mono-charged.Mono) {
			var s bucketring.LimitState
			c.apply(&s, bucketring.VerbRefund, &back)
			c.undid = true
		}
	}
}

// cameBack reports whether time alone has given back what was charged: a refund
// would give what others have taken since.
func cameBack(c *bucketring.Charge, reset time.Duration, since int64) bool {
	return c.Limit.Kind == bucketring.KindRate && since >= int64(reset)
}

// looks reports whether the call only wants to know what was used: it admits nothing.
func (c *call) looks() bool {
	if c.verb != bucketring.VerbPeek {
		return false
	}
	for i := range c.len() {
		if c.at(i).Cost != 0 {
			return false
		}
	}
	return true
}

func (c *call) anyStrict() bool {
	if c.charges == nil {
		for i := range c.limits {
			if c.limits[i].Accuracy == bucketring.Strict {
				return true
			}
		}
		return false
	}
	for i := range c.charges {
		if l := c.charges[i].Limit; l.Accuracy == bucketring.Strict || l.Kind != bucketring.KindRate {
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
	if byID(req.Verb) {
		stampSettled(d, received)
		return
	}
	c := callOf(req)
	for i := range c.len() {
		s := &d.LimitState
		if d.Limits != nil {
			s = &d.Limits[i]
		}
		described := *s == d.LimitState
		if l := c.at(i).Limit; resets(l, s.ResetAfter) {
			s.ResetAt = resetAt(l, received.Wall+int64(s.ResetAfter))
		}
		if described {
			d.ResetAt = s.ResetAt
		}
	}
}

// onTheWay is more than an answer takes: a window of the clock that ends at a whole
// second must not seem to end a second later.
const onTheWay = 100 * time.Millisecond

// stampSettled is stamp for settlements, of which the asker knows an id and not the
// limits.
func stampSettled(d *bucketring.Decision, received bucket.Now) {
	for i := range d.Limits {
		if s := &d.Limits[i]; s.Kind == bucketring.KindRate && s.ResetAfter > 0 {
			s.ResetAt = unixUp(received.Wall + int64(s.ResetAfter-onTheWay))
		}
	}
}

// resetAt returns the Unix second of a reset that was seen at a moment.
func resetAt(l *bucketring.Limit, at int64) int64 {
	grid := int64(0)
	switch {
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
