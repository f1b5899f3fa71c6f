package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
)

// A Local decides from this node's own counters and never forwards. It is the
// bucketring.Limiter that peers reach.
type Local struct {
	name   string
	placer ring.Placer
	ring   atomic.Pointer[ring.Ring] // never nil
	table  *bucket.Table             // of the partitions that are here
	own    *bucket.Table             // of limits that each node counts for itself
	acting *bucket.Table             // of partitions whose holder nobody hears
	mover  *mover                    // nil where the ring alone says what is here
	sure   sure
	clock  *clock
	disk   *disk

	copyWithin time.Duration // how long a durable call waits for its copy

	refused [ring.Partitions]refused
	denials denials // of other nodes

	accounts *accounts // of what other nodes have lent; nil without mover

	steps   bucketring.Steps
	refunds refunds          // that were carried out
	strict  [1024]sync.Mutex // by entity: keeps strict calls with several limits apart
}

var _ bucketring.Limiter = (*Local)(nil)

func newLocal(cfg Config, r *ring.Ring) *Local {
	bounds := bucket.Config{Partitions: ring.Partitions, MaxKeys: cfg.MaxKeys, MaxBytes: cfg.MaxBytes}
	away, acting := bounds, bounds
	away.Closed, acting.Closed, acting.Traced = true, true, true
	l := &Local{name: cfg.Name, placer: cfg.Placer, clock: newClock(cfg.Now, cfg.Wall), own: bucket.New(bounds), acting: bucket.New(acting), steps: cfg.Steps, copyWithin: cfg.Budget / 5 * 4}
	l.ring.Store(r)
	l.sure.forever()
	bounds.Lineage = rand.Uint64() // another one at each start
	l.table = bucket.New(bounds)
	if cfg.Messages != nil {
		away.MaxBytes /= 2 // the other half is for copies
		l.table = bucket.New(away)
		l.mover = newMover(l, cfg.Messages, cfg.Logger)
		l.accounts = new(accounts)
		l.mover.observe, l.mover.replicas.most = cfg.ObserveTakeOver, away.MaxBytes
	}
	l.disk = &disk{local: l, store: cfg.Store, log: cfg.Logger, began: time.Now()}
	if cfg.Store != nil {
		l.restore(cfg)
	}
	return l
}

// restore has what an earlier process has written count again. Where partitions move,
// that waits for who holds them.
func (l *Local) restore(cfg Config) {
	l.table.TrackChanges(true)
	if cfg.Restored == nil {
		return
	}
	now := l.clock.now()
	l.disk.restore(cfg.Restored, now)
	if l.mover == nil {
		for p, s := range l.disk.restored { // the chain of what this node has counted goes on
			l.table.Relabel(p, s.Gen, s.Lineage, now)
			l.table.Join(p, s, now)
		}
	}
}

// here reports whether this node decides a partition.
func (l *Local) here(part uint32) bool {
	if l.mover == nil {
		return l.ring.Load().OwnedBySelf(part)
	}
	return l.table.Here(part)
}

// whom returns whom to ask for a partition that is not here, and the generation of the
// handover from which that is known; 0 for a guess.
func (l *Local) whom(part uint32) (m ring.Member, gen uint64, ok bool) {
	if l.mover != nil {
		if r := l.mover.routes[part].Load(); r != nil {
			return r.member, r.gen, true
		}
	}
	m, ok = l.ring.Load().Owner(part)
	return m, 0, ok
}

// refusal says whom to ask instead, or that the partition may be here soon. Who was
// sent here by the node that gave it away comes a little early.
func (l *Local) refusal(part uint32, hinted uint64) *bucketring.NotOwner {
	if l.mover == nil {
		owner, _ := l.ring.Load().Owner(part)
		return &bucketring.NotOwner{Hint: owner.Name}
	}
	soon := l.mover.changes(part) // before the look, so that no change is missed
	to, gen, _ := l.whom(part)
	no := &bucketring.NotOwner{Hint: to.Name, Gen: gen}
	switch handover.Role(l.mover.roles[part].Load()) {
	case handover.RoleHold, handover.RoleMoving:
		no.Soon = soon
	case handover.RolePending:
		if hinted > 0 || to.Name == l.name || to.Name == "" {
			no.Soon = soon
		}
	}
	return no
}

// Take decides a call whose limits are named, if this node owns the key. Else
// the error is a NotOwner with the name of the member that does.
func (l *Local) Take(ctx context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
	hash, err := l.place(&req)
	if err != nil {
		return d, err
	}
	if byID(req.Verb) {
		return l.takeIDs(&req)
	}
	if l.takeFor(hash, &req, &d) {
		return d, l.secure(ctx, hash, &req, &d)
	}
	if l.act(hash, &req, &d) {
		return d, nil
	}
	part, c := partOf(hash, &req), callOf(&req)
	if l.guarded(part, &c) {
		return d, fmt.Errorf("%w: a node is missing that may have counted this limit", bucketring.ErrUnavailable)
	}
	return d, l.refusal(part, req.Hinted)
}

// knows returns what is left of a counter that is here, for the time that it is not
// decided.
func (l *Local) knows(part uint32, c *bucketring.Charge, now bucket.Now) (remaining int64, here bool) {
	if l.mover == nil || !l.table.Here(part) {
		return 0, false
	}
	res := l.table.Apply(bucket.Op{Verb: bucketring.VerbPeek}, bucket.Counter{Partition: part, Key: c.Key, Limit: c.Limit}, now)
	return res.Remaining, !res.Away
}

// place checks a call from a peer and returns the hash of its place. What another
// node has resolved says itself in which partition it is counted.
func (l *Local) place(req *bucketring.Request) (hash uint64, err error) {
	switch {
	case req.Namespace != "":
		return 0, bucketring.Invalidf("a node is asked with limits: whoever takes the call resolves its policy")
	case req.Charges == nil && !byID(req.Verb):
		return l.placer.Key("", req.Key), l.checkInline(req)
	case req.Verb == bucketring.VerbStep:
		return 0, bucketring.Invalidf("a step has a register of its own, and no charges")
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
	case c.Limit.Kind == bucketring.KindRegister:
		return bucketring.Invalidf("limit %q is a register, which has no tokens to %v", c.Limit.Name, verb)
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

// decide carries out a resolved call on this node's counters, into d, which is empty, if
// its partition is here.
func (l *Local) decide(hash uint64, req *bucketring.Request, d *bucketring.Decision) (here bool) {
	return l.decideAt(l.clock.now(), hash, req, d)
}

// decideAt is decide with a reading of the clock.
func (l *Local) decideAt(now bucket.Now, hash uint64, req *bucketring.Request, d *bucketring.Decision) (here bool) {
	part := partOf(hash, req)
	return l.here(part) && l.decideIn(l.table, now, part, hash, req, d)
}

// decideOwn carries out a call on counters that each node has for itself.
func (l *Local) decideOwn(hash uint64, req *bucketring.Request) (d bucketring.Decision) {
	l.decideIn(l.own, l.clock.now(), partOf(hash, req), hash, req, &d) // always here
	return d
}

// act carries out a call for a holder that nobody hears. Limits that are closed then
// stay closed.
func (l *Local) act(hash uint64, req *bucketring.Request, d *bucketring.Decision) (acting bool) {
	part := partOf(hash, req)
	if !l.acting.Here(part) {
		return false
	}
	if c := callOf(req); c.anyClosed() && !c.looks() || !l.decideIn(l.acting, l.clock.now(), part, hash, req, d) {
		return false
	}
	d.Source, d.Degraded = bucketring.SourceReplica, true
	return true
}

// decideIn carries out a call in one table, if the partition is there.
func (l *Local) decideIn(table *bucket.Table, now bucket.Now, part uint32, hash uint64, req *bucketring.Request, d *bucketring.Decision) (here bool) {
	c := callOf(req)
	c.table, c.clock, c.now, c.part, c.steps = table, l.clock, now, part, l.steps
	if table != l.own && (!l.sure.is(c.now) || l.guarded(part, &c)) {
		return false
	}
	strict, several := c.anyStrict(), c.len() > 1
	if several { // all charges before the partition moves, or none
		if !table.Enter(part) {
			return false
		}
		defer table.Leave(part)
	}
	if req.Token != "" && (req.Verb == bucketring.VerbRefund || forced(req)) && !l.refunds.first(req.Token, c.now.Mono) {
		c.verb, c.cost, c.charges = bucketring.VerbPeek, 0, free(req.Charges)
	}
	if !strict || !several {
		c.decide(d)
	}
	if strict && (several || !d.Allowed) && !c.away {
		l.apart(hash, &c, d)
	}
	d.Source, d.Node, d.Owner = bucketring.SourceOwner, l.name, l.name
	if table == l.table && l.unsettled(part, &c) {
		d.Source, d.Degraded = bucketring.SourceReplica, true
	}
	if (c.undid || givesBack(req.Verb)) && !c.away && table != l.own {
		l.gaveBack(part, c.now)
	}
	return !c.away
}

// forced reports whether a call tells what was admitted already.
func forced(req *bucketring.Request) bool { return len(req.Charges) > 0 && req.Charges[0].Force }

// free are charges that only look.
func free(charges []bucketring.Charge) []bucketring.Charge {
	looks := make([]bucketring.Charge, len(charges))
	for i, c := range charges {
		c.Cost, c.ID, c.Force = 0, bucketring.ID{}, false
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
