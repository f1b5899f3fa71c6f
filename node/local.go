package node

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
)

// A Local decides from this node's own counters and never forwards. It is the
// bucketring.Limiter that peers reach.
type Local struct {
	name    string
	placer  ring.Placer
	ring    atomic.Pointer[ring.Ring] // never nil
	table   *bucket.Table
	clock   *clock
	refunds refunds          // that were carried out
	strict  [1024]sync.Mutex // by entity: keeps strict calls with several limits apart
}

var _ bucketring.Limiter = (*Local)(nil)

func newLocal(cfg Config, r *ring.Ring) *Local {
	l := &Local{
		name: cfg.Name, placer: cfg.Placer, clock: newClock(cfg.Now),
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
	hash, err := l.place(&req)
	if err != nil {
		return bucketring.Decision{}, err
	}
	r := l.ring.Load()
	anywhere := byID(req.Verb) && req.Partition&bucketring.Anywhere != 0
	if part := partOf(hash, &req); !anywhere && !r.OwnedBySelf(part) {
		owner, _ := r.Owner(part)
		return bucketring.Decision{}, &bucketring.NotOwner{Hint: owner.Name}
	}
	return l.carryOut(hash, &req)
}

// carryOut does whatever a checked call wants.
func (l *Local) carryOut(hash uint64, req *bucketring.Request) (bucketring.Decision, error) {
	if byID(req.Verb) {
		return l.doIDs(req)
	}
	return l.decide(hash, req), nil
}

// place checks a call from a peer and returns the hash of its place. What another
// node has resolved says itself in which partition it is counted.
func (l *Local) place(req *bucketring.Request) (hash uint64, err error) {
	switch {
	case req.Namespace != "":
		return 0, bucketring.Invalidf("a node is asked with limits: whoever takes the call resolves its policy")
	case req.Charges == nil && !byID(req.Verb):
		return l.placer.Key("", req.Key), checkInline(req)
	case req.Partition >= ring.Partitions && !(byID(req.Verb) && req.Partition&^bucketring.Anywhere < ring.Partitions):
		return 0, bucketring.Invalidf("partition %d does not exist", req.Partition)
	}
	for i := range req.Charges {
		if err := validCharge(&req.Charges[i], req.Verb); err != nil {
			return 0, err
		}
	}
	return uint64(req.Partition), nil
}

func validCharge(c *bucketring.Charge, verb bucketring.Verb) error {
	switch {
	case c.Limit == nil:
		return bucketring.Invalidf("a charge has no limit")
	case len(c.Key) > bucketring.MaxKeyLen:
		return bucketring.Invalidf("the key of limit %q has %d bytes, at most %d are allowed", c.Limit.Name, len(c.Key), bucketring.MaxKeyLen)
	case c.Cost < 0 && verb != bucketring.VerbAdd:
		return bucketring.Invalidf("the cost of limit %q is negative", c.Limit.Name)
	}
	return c.Limit.Validate()
}

// partOf returns the partition of a placed call.
func partOf(hash uint64, req *bucketring.Request) uint32 {
	if req.Charges != nil || byID(req.Verb) {
		return req.Partition
	}
	return ring.Partition(hash)
}

// decide carries out a resolved call on this node's counters.
func (l *Local) decide(hash uint64, req *bucketring.Request) (d bucketring.Decision) {
	c := callOf(req)
	c.table, c.clock, c.part = l.table, l.clock, partOf(hash, req)
	if req.Verb == bucketring.VerbRefund && req.Token != "" && !l.refunds.first(req.Token, l.clock.now().Mono) {
		c.verb, c.cost, c.charges = bucketring.VerbPeek, 0, free(req.Charges)
	}
	strict, several := c.anyStrict(), c.len() > 1
	if !strict || !several {
		c.now = l.clock.now()
		c.decide(&d)
	}
	if strict && (several || !d.Allowed) {
		l.apart(hash, &c, &d)
	}
	d.Source, d.Node, d.Owner = bucketring.SourceOwner, l.name, l.name
	return d
}

// free are charges that only look.
func free(charges []bucketring.Charge) []bucketring.Charge {
	looks := make([]bucketring.Charge, len(charges))
	for i, c := range charges {
		c.Cost, c.ID = 0, bucketring.ID{}
		looks[i] = c
	}
	return looks
}

// apart decides while no strict call with several limits of the same entity is
// under way, so that no charge that it would undo causes a denial. It reads the
// clock then: an undone charge can leave the bucket full as of when it was made.
func (l *Local) apart(hash uint64, c *call, d *bucketring.Decision) {
	mu := &l.strict[hash%uint64(len(l.strict))]
	mu.Lock()
	defer mu.Unlock()
	c.now = l.clock.now()
	c.decide(d)
}
