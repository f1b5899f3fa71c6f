// fallback.go answers while a key's owner cannot be asked.

package node

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
)

// A share holds what this node admits of limits whose owner is away. It is a
// table of its own: these counters are nobody's truth. It begins anew with each
// ring, or a second outage would find what was saved since the first.
type share struct{ table atomic.Pointer[bucket.Table] }

// shareKeys bounds the keys that are counted without their owner.
const shareKeys = 65536

const shareParts = 64

func (s *share) forget() {
	s.table.Store(bucket.New(bucket.Config{Partitions: shareParts, MaxKeys: shareKeys}))
}

// fallback decides by the limits' Unavailable modes. One deny refuses the call;
// local limits are enforced at this node's share; allow limits have no say.
func (n *Node) fallback(r *ring.Ring, hash uint64, req *bucketring.Request) (bucketring.Decision, error) {
	if req.Verb != bucketring.VerbTake && req.Verb != bucketring.VerbPeek {
		return bucketring.Decision{}, fmt.Errorf("%w: the key's owner cannot be reached: try the %s again",
			bucketring.ErrUnavailable, req.Verb)
	}
	if forced(req) { // it is told again until a holder has counted it
		return bucketring.Decision{}, fmt.Errorf("%w: nobody has counted it", bucketring.ErrUnavailable)
	}
	c := callOf(req)
	local := make([]bucketring.Charge, 0, c.len())
	states := make([]bucketring.LimitState, c.len())
	var index []int // of local, in states
	for i := range c.len() {
		charge := c.at(i)
		switch charge.Limit.Unavailable {
		case bucketring.UnavailableDeny:
			if !charge.Shadow {
				return n.closed(&c, i), nil
			}
			states[i] = n.openState(charge.Limit)
		case bucketring.UnavailableLocal:
			share := shareOf(*charge.Limit, len(r.Members))
			charge.Limit = &share
			local = append(local, charge)
			index = append(index, i)
		default:
			states[i] = n.openState(charge.Limit)
		}
	}
	if len(local) == 0 {
		if n.local.mover != nil {
			n.charges.note(hash, req, nil)
		}
		return n.open(req, states), nil
	}
	d := n.shared(hash, req, local, len(r.Members))
	for j, s := range d.All() {
		states[index[j]] = s
	}
	if d.Allowed && n.local.mover != nil {
		n.charges.note(hash, req, states)
	}
	if req.Charges == nil { // the limits that had no say are not described
		described := describe(d.All(), req.Cost)
		described.Limits = nil
		if len(local) == len(states) {
			described.Limits = d.Limits
		}
		return n.degraded(described, bucketring.SourceFallbackShare), nil
	}
	d.Limits = states
	return n.degraded(d, bucketring.SourceFallbackShare), nil
}

// shareOf is a limit divided among members, rounded down but at least 1.
func shareOf(l bucketring.Limit, members int) bucketring.Limit {
	n := int64(max(members, 1))
	if l.Amount > 0 {
		l.Amount = max(l.Amount/n, 1)
	}
	if l.Burst > 0 {
		l.Burst = max(l.Burst/n, 1)
	}
	return l
}

// shared enforces this node's share. A counter begins with this node's part of
// what the owner had left when it spoke within the last second. Without such a
// word it begins with one token: then N nodes admit at most N more plus what the
// rate allows.
func (n *Node) shared(hash uint64, req *bucketring.Request, local []bucketring.Charge, members int) bucketring.Decision {
	c := call{
		table: n.share.table.Load(), clock: n.local.clock, now: n.local.clock.now(), part: uint32(hash % shareParts),
		verb: req.Verb, each: req.Each, charges: local,
	}
	part := partOf(hash, req)
	c.spent = func(charge bucketring.Charge) int64 {
		left := n.seen.part(counterOf(hash, &charge), c.now.Mono, members)
		if remaining, here := n.local.knows(part, &charge, c.now); here {
			left = shareLeft(remaining, members)
		}
		return max(charge.Limit.Capacity()-left, 0)
	}
	var d bucketring.Decision
	c.decide(&d)
	return d
}

// shareRefund gives back what this node's share has admitted.
func (n *Node) shareRefund(hash uint64, req *bucketring.Request) (d bucketring.Decision) {
	local := make([]bucketring.Charge, len(req.Charges))
	members := len(n.Ring().Members)
	for i, c := range req.Charges {
		share := shareOf(*c.Limit, members)
		c.Limit = &share
		local[i] = c
	}
	c := call{
		table: n.share.table.Load(), clock: n.local.clock, now: n.local.clock.now(), part: uint32(hash % shareParts),
		verb: bucketring.VerbRefund, charges: local,
	}
	c.decide(&d)
	return d
}

// open lets a call pass that nobody counted.
func (n *Node) open(req *bucketring.Request, states []bucketring.LimitState) bucketring.Decision {
	d := bucketring.Decision{Allowed: true, Limits: states}
	if req.Charges == nil {
		d = describe(states, req.Cost)
	}
	if len(states) == 1 {
		d.LimitState, d.Limits = states[0], nil
	}
	return n.degraded(d, bucketring.SourceFallbackOpen)
}

// openState is what a limit shows that has no say.
func (n *Node) openState(l *bucketring.Limit) bucketring.LimitState {
	s := bucketring.LimitState{
		Name: l.Name, Allowed: true, Limit: l.Capacity(), Remaining: l.Capacity(), Kind: l.Kind, Precision: l.Precision,
	}
	if l.Kind == bucketring.KindRate {
		s.ResetAt = unixUp(n.local.clock.now().Wall)
	}
	return s
}

// closed refuses a call that nobody could check, because of one limit. It is worth
// trying again soon. A policy is told what each of its limits says.
func (n *Node) closed(c *call, by int) bucketring.Decision {
	l := c.at(by).Limit
	d := bucketring.Decision{LimitState: bucketring.LimitState{
		Name: l.Name, Limit: l.Capacity(), RetryAfter: time.Second, Kind: l.Kind, Precision: l.Precision,
	}}
	if l.Kind == bucketring.KindRate {
		d.ResetAfter, d.ResetAt = time.Second, unixUp(n.local.clock.now().Wall+int64(time.Second))
	}
	if c.charges != nil {
		d.Limits = make([]bucketring.LimitState, c.len())
		for i := range d.Limits {
			d.Limits[i] = n.openState(c.at(i).Limit)
		}
		d.Limits[by] = d.LimitState
	}
	return n.degraded(d, bucketring.SourceFallbackClosed)
}

func (n *Node) degraded(d bucketring.Decision, source bucketring.Source) bucketring.Decision {
	d.Source, d.Degraded, d.Node, d.Owner = source, true, n.cfg.Name, ""
	return d
}
