// borrow.go gives out tokens that this node has borrowed, without a lock and without asking
// anybody.

package node

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

const (
	accountLines  = 16384
	accountsOfOne = 4 // of a line
)

// accounts are the bundles that callers of this node ask for often, and that others hold.
// A bundle has its line; one that finds no room there goes on asking for each token. The
// zero value is empty.
type accounts struct {
	count atomic.Int64
	low   atomic.Pointer[account] // those to look at soon, linked by next
	lines [accountLines]struct {
		last atomic.Uint64 // the bundle that was asked for last
		of   [accountsOfOne]atomic.Pointer[account]
	}
}

// An account is one bundle and what this node has borrowed of it.
type account struct {
	bundle  uint64
	part    uint32
	charges []bucketring.Charge // copies; their costs are of no meaning

	slices    [2]atomic.Pointer[slice] // the older one first
	forwarded atomic.Int64             // tokens that were asked for one by one, since the last look
	cost      atomic.Int64             // of a call
	isLow     atomic.Bool              // it is on the list
	next      *account                 // on the list

	lent lent // belongs to the mover
}

// A slice is tokens that are charged already.
type slice struct {
	tokens  atomic.Int64
	size    int64 // at first
	until   int64 // when its life is over, monotonic ns
	sent    int64 // when it was asked for
	at      int64 // when it came
	owner   string
	states  []bucketring.LimitState // what its owner said then
	counted int64                   // tokens that were left at the last look; belongs to the mover
}

// take spends tokens, if there are so many.
func (s *slice) take(cost, now int64) (left int64, ok bool) {
	if s == nil || now >= s.until {
		return 0, false
	}
	for {
		left = s.tokens.Load()
		if left < cost {
			return 0, false
		}
		if s.tokens.CompareAndSwap(left, left-cost) {
			return left - cost, true
		}
	}
}

// borrowable returns the cost of a call whose tokens may be lent: it takes the same number
// of each of its limits, and these have room for slices.
func borrowable(req *bucketring.Request, c *call) (cost int64, ok bool) {
	if req.Verb != bucketring.VerbTake || req.Token != "" || c.len() == 0 {
		return 0, false
	}
	for i := range c.len() {
		one := c.at(i)
		switch {
		case i == 0:
			cost = one.Cost
		case one.Cost != cost || one.Limit.Precision != c.at(0).Limit.Precision:
			return 0, false
		}
		if one.ID != (bucketring.ID{}) || one.Shadow || one.Force || one.Window != 0 || one.Limit.Lendable() == 0 {
			return 0, false
		}
	}
	return cost, cost > 0
}

// bundleOf tells bundles apart. Two that meet are told apart by what they are.
func bundleOf(hash uint64, c *call) (bundle uint64) {
	for i := range c.len() {
		one := c.at(i)
		bundle = bits.RotateLeft64(bundle, 17) ^ counterOf(hash, &one)
	}
	return bundle
}

// is reports whether an account is that of a call.
func (a *account) is(part uint32, c *call) bool {
	if a.part != part || len(a.charges) != c.len() {
		return false
	}
	for i := range a.charges {
		one := c.at(i)
		if a.charges[i].Key != one.Key || *a.charges[i].Limit != *one.Limit {
			return false
		}
	}
	return true
}

func (as *accounts) find(bundle uint64, part uint32, c *call) *account {
	line := &as.lines[bundle%accountLines]
	for i := range line.of {
		if a := line.of[i].Load(); a != nil && a.bundle == bundle && a.is(part, c) {
			return a
		}
	}
	return nil
}

// spend answers a call into d, which is empty, from a slice of a limit that another node
// holds.
func (l *Local) spend(hash uint64, req *bucketring.Request, d *bucketring.Decision) bool {
	if l.mover == nil || l.accounts.count.Load() == 0 {
		return false
	}
	c := callOf(req)
	cost, ok := borrowable(req, &c)
	if !ok {
		return false
	}
	part := partOf(hash, req)
	a := l.accounts.find(bundleOf(hash, &c), part, &c)
	if a == nil || l.here(part) {
		return false
	}
	now := l.clock.now()
	for i := range a.slices {
		s := a.slices[i].Load()
		left, ok := s.take(cost, now.Mono)
		if !ok {
			continue
		}
		if left <= s.size/3 {
			l.accounts.look(a)
		}
		a.show(d, s, left, cost, now)
		d.Source, d.Node, d.Owner = bucketring.SourceLease, l.name, s.owner
		return true
	}
	l.accounts.look(a)
	return false
}

// look has the mover look at an account soon.
func (as *accounts) look(a *account) {
	if a.isLow.Load() || !a.isLow.CompareAndSwap(false, true) {
		return
	}
	for {
		a.next = as.low.Load()
		if as.low.CompareAndSwap(a.next, a) {
			return
		}
	}
}

// note notes a call that its owner has answered. One that comes often gets an account.
func (as *accounts) note(hash uint64, req *bucketring.Request) {
	c := callOf(req)
	cost, ok := borrowable(req, &c)
	if !ok {
		return
	}
	bundle, part := bundleOf(hash, &c), partOf(hash, req)
	a := as.find(bundle, part, &c)
	if a == nil {
		line := &as.lines[bundle%accountLines]
		if line.last.Swap(bundle) != bundle {
			return // once is not often
		}
		a = &account{bundle: bundle, part: part}
		for i := range c.len() {
			one := c.at(i)
			limit := *one.Limit
			a.charges = append(a.charges, bucketring.Charge{Limit: &limit, Key: one.Key})
		}
		if !as.add(a) {
			return
		}
	}
	a.forwarded.Add(cost)
	a.cost.Store(cost)
}

func (as *accounts) add(a *account) bool {
	line := &as.lines[a.bundle%accountLines]
	for i := range line.of {
		if line.of[i].CompareAndSwap(nil, a) {
			as.count.Add(1)
			as.look(a)
			return true
		}
	}
	return false
}

// remove takes an account away. Only the mover does.
func (as *accounts) remove(a *account) {
	line := &as.lines[a.bundle%accountLines]
	for i := range line.of {
		if line.of[i].CompareAndSwap(a, nil) {
			as.count.Add(-1)
		}
	}
}

// show writes what the limits of a slice have, with what is left of it, into d.
func (a *account) show(d *bucketring.Decision, s *slice, left, cost int64, now bucket.Now) {
	d.Allowed = true
	if len(a.charges) == 1 {
		showLent(&d.LimitState, a.charges[0].Limit, &s.states[0], left, now, now.Mono-s.at)
		return
	}
	states := make([]bucketring.LimitState, len(a.charges))
	for i := range states {
		showLent(&states[i], a.charges[i].Limit, &s.states[i], left, now, now.Mono-s.at)
	}
	*d = describe(states, cost)
}

// showLent writes what a limit has: what its owner said a while since, and what this node
// has not spent of its slice.
func showLent(s *bucketring.LimitState, l *bucketring.Limit, told *bucketring.LimitState, left int64, now bucket.Now, since int64) {
	*s = *told
	s.Name, s.Kind, s.Precision, s.Limit, s.Allowed, s.RetryAfter = l.Name, l.Kind, l.Precision, l.Capacity(), true, 0
	s.ResetAfter = max(told.ResetAfter-time.Duration(since), 0)
	if l.Refills() {
		s.Used = max(scale(int64(s.ResetAfter), l.Amount, int64(l.Per))-left, 0)
		s.ResetAfter = time.Duration(scale(s.Used, int64(l.Per), l.Amount))
		s.NextAfter = s.ResetAfter
		if s.Used > 1 {
			s.NextAfter -= time.Duration(scale(s.Used-1, int64(l.Per), l.Amount))
		}
	} else {
		s.Used = max(told.Used-left, 0)
		s.NextAfter = max(told.NextAfter-time.Duration(since), 0)
	}
	s.Remaining = max(s.Limit-s.Used, 0)
	s.ResetAt = 0
	if resets(l, s.ResetAfter) {
		s.ResetAt = resetAt(l, now.Wall+int64(s.ResetAfter))
	}
}

// scale returns x·times/by, rounded up, for x and times that are not negative.
func scale(x, times, by int64) int64 {
	hi, lo := bits.Mul64(uint64(x), uint64(times))
	lo, carry := bits.Add64(lo, uint64(by-1), 0)
	if hi += carry; by <= 0 || hi >= uint64(by) {
		return int64(bucketring.Never)
	}
	quotient, _ := bits.Div64(hi, lo, uint64(by))
	return int64(min(quotient, uint64(bucketring.Never)))
}
