package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/policy"
	"github.com/bucketring/bucketring/ring"
)

// A Local decides from this node's own counters and never forwards. It is the
// bucketring.Limiter that peers reach.
type Local struct {
	name     string
	placer   ring.Placer
	policies policy.Set
	ring     atomic.Pointer[ring.Ring] // never nil
	table    *bucket.Table
	clock    *clock
	strict   [1024]sync.Mutex // by entity: keeps strict calls with several limits apart
}

var _ bucketring.Limiter = (*Local)(nil)

func newLocal(cfg Config, r *ring.Ring) *Local {
	l := &Local{
		name: cfg.Name, placer: cfg.Placer, clock: newClock(),
		table: bucket.New(bucket.Config{
			Partitions: ring.Partitions, MaxKeys: cfg.MaxKeys, MaxBytes: cfg.MaxBytes,
		}),
	}
	l.ring.Store(r)
	return l
}

// Take decides a call whose limits are named, if this node owns the key. Else
// the error is a NotOwner with the name of the member that does.
func (l *Local) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	if err := l.policies.Resolve(&req); err != nil {
		return bucketring.Decision{}, err
	}
	hash := l.placer.Key(l.policies.Placement(&req))
	r := l.ring.Load()
	if !r.OwnedBySelf(ring.Partition(hash)) {
		owner, _ := r.Owner(ring.Partition(hash))
		return bucketring.Decision{}, &bucketring.NotOwner{Hint: owner.Name}
	}
	return l.decide(hash, &req), nil
}

// decide carries out a resolved call on this node's counters.
func (l *Local) decide(hash uint64, req *bucketring.Request) bucketring.Decision {
	c := call{table: l.table, clock: l.clock, part: ring.Partition(hash), req: *req}
	strict, several := c.anyStrict(), len(req.Limits) > 1
	var d bucketring.Decision
	if !strict || !several {
		c.now = l.clock.now()
		d = c.decide()
	}
	if strict && (several || !d.Allowed) {
		d = l.apart(hash, &c)
	}
	d.Source, d.Node, d.Owner = bucketring.SourceOwner, l.name, l.name
	return d
}

// apart decides while no strict call with several limits of the same entity is
// under way, so that no charge that it would undo causes a denial. It reads the
// clock then: an undone charge can leave the bucket full as of when it was made.
func (l *Local) apart(hash uint64, c *call) bucketring.Decision {
	mu := &l.strict[hash%uint64(len(l.strict))]
	mu.Lock()
	defer mu.Unlock()
	c.now = l.clock.now()
	return c.decide()
}

// A call is one request on one table at one moment.
type call struct {
	table *bucket.Table
	clock *clock
	now   bucket.Now // of the decision
	part  uint32
	req   bucketring.Request            // a copy: a pointer would move every request to the heap
	spent func(*bucketring.Limit) int64 // what a new counter lacks; nil for nothing
}

func (c *call) do(verb bucketring.Verb, limit *bucketring.Limit, n int64) bucketring.LimitState {
	counter := bucket.Counter{Partition: c.part, Key: c.req.Key, Limit: limit}
	if c.spent != nil {
		counter.Spent = c.spent(limit)
	}
	res := c.table.Do(verb, counter, c.now, n)
	return bucketring.LimitState{
		Name: limit.Name, Allowed: res.Allowed, Limit: limit.Capacity(), Remaining: res.Remaining,
		ResetAfter: res.Reset, RetryAfter: res.Retry, ResetAt: unixUp(c.now.Wall + int64(res.Reset)),
	}
}

func (c *call) decide() bucketring.Decision {
	if len(c.req.Limits) == 1 {
		return c.one()
	}
	return c.all()
}

// one decides a call with one limit, which is nearly every call.
func (c *call) one() bucketring.Decision {
	s := c.do(c.req.Verb, &c.req.Limits[0], c.req.Cost)
	return bucketring.Decision{Allowed: s.Allowed, LimitState: s}
}

// all decides a call with several limits: all are charged or none.
func (c *call) all() bucketring.Decision {
	states := make([]bucketring.LimitState, len(c.req.Limits))
	switch c.req.Verb {
	case bucketring.VerbTake:
		c.takeAll(states)
	case bucketring.VerbPeek:
		c.look(states)
	default:
		for i := range states {
			states[i] = c.do(c.req.Verb, &c.req.Limits[i], c.req.Cost)
		}
	}
	return describe(states, c.req.Cost)
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
	fits := true
	for i := range states {
		states[i] = c.do(bucketring.VerbPeek, &c.req.Limits[i], c.req.Cost)
		fits = fits && states[i].Allowed
	}
	if !fits {
		c.uncharged(states)
	}
	return fits
}

// uncharged makes the limits that had room show what they have without the call.
func (c *call) uncharged(states []bucketring.LimitState) {
	for i := range states {
		if states[i].Allowed {
			states[i] = c.do(bucketring.VerbPeek, &c.req.Limits[i], 0)
		}
	}
}

// charge takes from all limits or from none, the scarcest first: it is the one
// that a race would fail. If one does, states has its denial.
func (c *call) charge(states []bucketring.LimitState) bool {
	scarcest := 0
	for i := range states {
		if states[i].Remaining < states[scarcest].Remaining {
			scarcest = i
		}
	}
	for step := range states {
		i := (scarcest + step) % len(states)
		states[i] = c.do(bucketring.VerbTake, &c.req.Limits[i], c.req.Cost)
		if states[i].Allowed {
			continue
		}
		now := c.clock.now()
		for back := range step {
			j := (scarcest + back) % len(states)
			if now.Mono-c.now.Mono < int64(states[j].ResetAfter) { // else it came back by itself
				c.do(bucketring.VerbRefund, &c.req.Limits[j], c.req.Cost)
			}
		}
		c.now = now
		return false
	}
	return true
}

func (c *call) anyStrict() bool {
	for i := range c.req.Limits {
		if c.req.Limits[i].Accuracy == bucketring.Strict {
			return true
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
// carries durations only: the two nodes' clocks may differ. Epoch windows end at
// known moments, so the nearest one is meant. Others are counted from when the
// answer was received: a little late, never early.
func stamp(d *bucketring.Decision, received bucket.Now, limits []bucketring.Limit) {
	for i := range limits {
		s := &d.LimitState
		if d.Limits != nil {
			s = &d.Limits[i]
		}
		described := *s == d.LimitState
		at := received.Wall + int64(s.ResetAfter)
		if per := int64(limits[i].Per); limits[i].Algorithm == bucketring.FixedWindow && limits[i].Align == bucketring.AlignEpoch {
			at = (at + per/2) / per * per
		}
		s.ResetAt = unixUp(at)
		if described {
			d.ResetAt = s.ResetAt
		}
	}
}

// unixUp rounds Unix nanoseconds up to seconds.
func unixUp(ns int64) int64 {
	return (ns + int64(time.Second) - 1) / int64(time.Second)
}
