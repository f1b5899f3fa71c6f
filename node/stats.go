package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// Stats are figures of a node since it began.
type Stats struct {
	Table       bucket.Stats  // counters this node decides with
	Share       bucket.Stats  // counters kept for owners that are away
	Forwarded   int64         // calls decided by another node
	Failures    Failures      // asks that brought no decision, by reason
	ClockStep   time.Duration // how far the wall clock jumped and is not followed yet
	RingVersion uint64        // of the ring in use
	Owned       int           // partitions this node owns
	Doors       []DoorStats   // in the order in which they were opened
	Policies    PolicyStats
	Moves       MoveStats
	Slices      SliceStats
}

// SliceStats count slices of limits: tokens that nodes lend each other.
type SliceStats struct {
	Lent, Borrowed int64 // that left, and that came
	Returned       int64 // of those that came, how many were not spent
	Accounts       int64 // what this node may have slices of, now
}

// Failures count asks to other nodes that brought no decision.
type Failures struct {
	NotOwner    int64 // the node asked sees another ring
	Timeout     int64 // no answer within the budget
	Unavailable int64 // no connection, or its queue is full
}

// counters are the node's own part of Stats.
type counters struct {
	forwarded                      atomic.Int64
	notOwner, timeout, unavailable atomic.Int64
}

func (c *counters) failed(err error) {
	var refusal *bucketring.NotOwner
	switch {
	case errors.As(err, &refusal):
		c.notOwner.Add(1)
	case errors.Is(err, context.DeadlineExceeded):
		c.timeout.Add(1)
	default:
		c.unavailable.Add(1)
	}
}

// Stats returns the present figures.
func (n *Node) Stats() Stats {
	r := n.Ring()
	s := Stats{
		Table: n.local.table.Stats().Plus(n.local.own.Stats()), Share: n.share.table.Load().Stats(),
		Forwarded: n.stats.forwarded.Load(),
		Failures: Failures{
			NotOwner: n.stats.notOwner.Load(), Timeout: n.stats.timeout.Load(),
			Unavailable: n.stats.unavailable.Load(),
		},
		ClockStep:   time.Duration(n.local.clock.step.Load()),
		RingVersion: r.Version,
		Doors:       n.doors.stats(),
		Policies:    n.tally.stats(),
	}
	if m := n.local.mover; m != nil {
		s.Moves = m.moveStats()
		s.Slices = SliceStats{
			Lent: m.lends.sent.Load(), Borrowed: m.borrows.received.Load(), Returned: m.borrows.returned.Load(),
			Accounts: n.local.accounts.count.Load(),
		}
	}
	for i, owned := range r.Owned() {
		if r.Members[i].Name == n.cfg.Name {
			s.Owned = owned
		}
	}
	return s
}

// A Path is the way a decision took.
type Path string

// The paths of a decision.
const (
	PathOwned    Path = "owned"
	PathForward  Path = "forward"
	PathFallback Path = "fallback"
)

// DoorStats count the decisions handed out through one door.
type DoorStats struct {
	Door      string
	Decisions []DecisionCount // those that are not zero
	Errors    int64           // calls that ended in an error
}

// A DecisionCount says how often a result came from a source. Namespace and Limit
// are empty for limits that came with the call.
type DecisionCount struct {
	Namespace, Limit string

	Source  bucketring.Source
	Allowed bool
	Count   int64
}

// doors are the counted views of a node.
type doors struct {
	mu  sync.Mutex
	all []*door // guarded by mu
}

// A door counts what passes through it.
type door struct {
	node    *Node
	name    string
	counts  outcomes // of limits that came with the call
	byLimit sync.Map // limitName -> *outcomes, of policies
	errored atomic.Int64
}

// outcomes count decisions by source, denied and allowed; the last row is for
// sources unknown here.
type outcomes [8][2]atomic.Int64

// Door returns the node as a Limiter whose decisions are counted under a name
// such as "http". Call it once for each listener. The Limiter has Now, TakeNow
// and TakeEachNow, as the node has, Begin, for calls that nobody waits for, and Count.
func (n *Node) Door(name string) bucketring.Limiter {
	d := &door{node: n, name: name}
	n.doors.mu.Lock()
	defer n.doors.mu.Unlock()
	n.doors.all = append(n.doors.all, d)
	return d
}

// Take is Node.Take, counted.
func (d *door) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	began := time.Now()
	decision, err := d.node.Take(ctx, req)
	d.took(&req, &decision, began, err)
	return decision, err
}

// took counts what came of a call.
func (d *door) took(req *bucketring.Request, decision *bucketring.Decision, began time.Time, err error) {
	if err != nil {
		d.errored.Add(1)
		return
	}
	if req.Verb > bucketring.VerbReset {
		return // no decision about a call
	}
	d.outcomes(req, decision).add(decision)
	d.node.saw(req, decision, 1)
	if d.node.cfg.Observe != nil {
		d.node.cfg.Observe(pathOf(decision), time.Since(began))
	}
}

// Now is Node.Now.
func (d *door) Now() int64 { return d.node.Now() }

// Count counts a decision about a key that a Step has made: what its values mean only its door
// knows. d has Allowed, Source and, as Name, what limits.
func (d *door) Count(key string, decision bucketring.Decision) {
	decision.LimitState.Allowed = decision.Allowed
	d.counts.add(&decision)
	d.node.sawKey(key, &decision, 1)
}

// timedEach says of how many decisions that are made at once one is measured: that takes
// as long as the decision.
const timedEach = 31 // no multiple of what comes together

// TakeNow is Node.TakeNow, counted.
func (d *door) TakeNow(now int64, req *bucketring.Request, decision *bucketring.Decision) (done bool) {
	if !d.node.TakeNow(now, req, decision) {
		return false
	}
	d.tookNow(now, req, decision)
	return true
}

// TakeEachNow is Node.TakeEachNow, counted.
func (d *door) TakeEachNow(reqs []*bucketring.Request, ds []bucketring.Decision, done []bool) {
	for first := 0; first < len(reqs); first += together {
		last := min(first+together, len(reqs))
		now := d.node.takeTogether(reqs[first:last], ds[first:last], done[first:last])
		for i := first; i < last; i++ {
			if done[i] && reqs[i] != nil {
				d.tookNow(now, reqs[i], &ds[i])
			}
		}
	}
}

// tookNow counts a decision that was made at once.
func (d *door) tookNow(now int64, req *bucketring.Request, decision *bucketring.Decision) {
	if req.Verb == bucketring.VerbStep {
		return // its door knows what it means: see Count
	}
	count := d.counts.add(decision)
	timed := count%timedEach == 1
	if timed && d.node.cfg.Observe != nil {
		d.node.cfg.Observe(PathOwned, time.Duration(d.node.Now()-now))
	}
	if timed || count <= hotFirst {
		d.node.glimpse(req, decision, count)
	}
}

// outcomes returns where a decision is counted.
func (d *door) outcomes(req *bucketring.Request, decision *bucketring.Decision) *outcomes {
	if req.Namespace == "" {
		return &d.counts
	}
	key := limitName{req.Namespace, decision.Name}
	known, ok := d.byLimit.Load(key)
	if !ok {
		known, _ = d.byLimit.LoadOrStore(key, new(outcomes))
	}
	return known.(*outcomes)
}

// add counts a decision and returns how many like it there were.
func (o *outcomes) add(d *bucketring.Decision) int64 {
	allowed := 0
	if d.Allowed {
		allowed = 1
	}
	return o[min(int(d.Source), len(o)-1)][allowed].Add(1)
}

// stats appends what is not zero.
func (o *outcomes) stats(all []DecisionCount, of limitName) []DecisionCount {
	for source := range o {
		for allowed := range o[source] {
			if count := o[source][allowed].Load(); count > 0 {
				all = append(all, DecisionCount{of.namespace, of.limit, bucketring.Source(source), allowed == 1, count})
			}
		}
	}
	return all
}

func pathOf(d *bucketring.Decision) Path {
	switch {
	case elsewhere(d):
		return PathFallback
	case d.Owner != d.Node && d.Source == bucketring.SourceOwner:
		return PathForward
	default:
		return PathOwned
	}
}

func (ds *doors) stats() []DoorStats {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	all := make([]DoorStats, 0, len(ds.all))
	for _, d := range ds.all {
		s := DoorStats{Door: d.name, Errors: d.errored.Load()}
		s.Decisions = d.counts.stats(nil, limitName{})
		d.byLimit.Range(func(key, o any) bool {
			s.Decisions = o.(*outcomes).stats(s.Decisions, key.(limitName))
			return true
		})
		all = append(all, s)
	}
	return all
}
