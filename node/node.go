package node

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/policy"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// Peers are the other members, as Limiters that never forward.
type Peers interface {
	// Peer returns the member reached at addr. It never returns nil: calls to
	// one that cannot be reached fail at once with ErrUnavailable.
	Peer(addr string) bucketring.Limiter
}

// Config says who a node is. Only Name is required.
type Config struct {
	// Name is the node's name in the ring.
	Name string
	// Placer is the cluster's hash; the zero Placer for one without a secret.
	Placer ring.Placer
	// Peers reaches other members; nil for a node that stays alone.
	Peers Peers
	// Messages carries the protocol by which partitions move between nodes. Without it
	// counters do not move, and SetRing alone says which are here.
	Messages Messages
	// Steps are how the registers of doors count; nil for none.
	Steps bucketring.Steps
	// Store keeps counters of windows of an hour and more, levels and long leases
	// beyond the process; nil keeps nothing. Restored is what it had at the start.
	Store    Store
	Restored iter.Seq2[[]byte, []byte]
	// Budget bounds what a call may wait for another node; 0 means 25 ms. A
	// caller's earlier deadline counts first.
	Budget time.Duration
	// MaxKeys and MaxBytes bound the counters held; 0 means no bound. Where partitions
	// move, half of the bytes are for copies of what others hold.
	MaxKeys, MaxBytes int64
	// Now reads the clock; nil means that of the system. Tests of policies have one
	// of their own.
	Now func() time.Time
	// Wall reads the wall clock alone, which a call never does; nil means that of the
	// system. Tests have it jump.
	Wall func() time.Time
	// Logger is told by Run of callers for whom a policy has no number, and of what
	// other nodes do that an operator should know; nil discards it.
	Logger *slog.Logger
	// KeyName says how the log may call a caller; nil shows a hash, with a seed of this process.
	KeyName func(key string) string
	// Observe, if set, is told how long each decision through a Door took.
	Observe func(path Path, took time.Duration)
	// ObserveTakeOver, if set, is told how long it took until all partitions were here,
	// after each change that brought some.
	ObserveTakeOver func(took time.Duration)
}

// DefaultBudget is what a call waits for another node unless Config says
// otherwise.
const DefaultBudget = 25 * time.Millisecond

// A Node decides calls for any key. It is a bucketring.Limiter.
type Node struct {
	cfg      Config
	local    *Local
	policies atomic.Pointer[policy.Set] // never nil
	share    share
	heirs    heirs
	charges  charges   // that holders have not counted yet
	owed     owed      // refunds to try again
	seen     verdicts  // what owners said last
	waits    sync.Pool // of *wait
	doors    doors
	tally    tally // of calls with policies
	hot      hot   // keys
	stats    counters
}

var _ bucketring.Limiter = (*Node)(nil)

// New returns a node that is alone and owns every key. Run keeps its memory
// tidy and must run while the node is used.
func New(cfg Config) (*Node, error) {
	if cfg.Name == "" {
		return nil, errors.New("node: name is missing")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Wall == nil {
		cfg.Wall = time.Now
	}
	if cfg.Budget == 0 {
		cfg.Budget = DefaultBudget
	}
	alone, err := ring.NewBuilder(cfg.Placer, cfg.Name).Build([]ring.Member{{Name: cfg.Name}})
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, local: newLocal(cfg, alone)}
	n.policies.Store(&policy.Set{})
	if n.tally.reports.called = cfg.KeyName; cfg.KeyName == nil {
		n.tally.reports.called = hashedNames()
	}
	n.charges.wake = make(chan struct{}, 1)
	n.share.forget()
	return n, nil
}

// Local returns the half that decides without forwarding, for the listener that
// peers reach.
func (n *Node) Local() *Local { return n.local }

// SetRing makes r the ring from the next call on.
func (n *Node) SetRing(r *ring.Ring) {
	n.local.ring.Store(r)
	n.share.forget() // of the outages that this ends
	if n.local.mover != nil {
		n.local.mover.setRing(r)
	}
}

// Hear takes messages of the start of another node, in order. They wait for Run.
func (n *Node) Hear(name string, boot uint64, msgs []*peerpb.Msg) {
	if n.local.mover != nil {
		n.local.mover.hear(handover.Node{Name: name, Boot: boot}, msgs)
	}
}

// Flush writes all that the Store should have. It is for the end, while Run still runs.
func (n *Node) Flush() {
	if n.cfg.Store == nil {
		return
	}
	if m := n.local.mover; m != nil {
		collected := make(chan struct{})
		m.post(func() {
			if m.machine != nil {
				m.replicate(n.local.clock.now())
			}
			close(collected)
		})
		select {
		case <-collected:
		case <-m.ended:
		}
	}
	n.local.disk.write()
}

// Settle returns once all partitions that the ring gives to this node are here, and what
// it has found on its disk counts. The error is that of ctx.
func (n *Node) Settle(ctx context.Context) error {
	if n.local.mover == nil {
		return nil
	}
	select {
	case <-n.local.mover.made:
	default:
		select {
		case <-n.local.mover.made:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for p := uint32(0); p < ring.Partitions; {
		if !n.Ring().OwnedBySelf(p) || n.local.here(p) {
			p++
			continue
		}
		soon := n.local.mover.changes(p)
		if n.local.here(p) {
			continue
		}
		select {
		case <-soon:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for n.local.mover.unjoined.Load() > 0 {
		select {
		case <-time.After(beat):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Drain hands all that this node holds to others, once the ring names it no more, and
// returns when nothing is left that they need. Calls go on meanwhile. The error is that
// of ctx.
func (n *Node) Drain(ctx context.Context) error {
	m := n.local.mover
	if m == nil {
		return nil
	}
	given := make(chan struct{})
	m.post(func() {
		m.giveAllBack()
		close(given)
	})
	select {
	case <-given:
		n.returnSlices(ctx)
	case <-m.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return m.drain(ctx)
}

// Ring returns the present ring.
func (n *Node) Ring() *ring.Ring { return n.local.ring.Load() }

// SetPolicies makes s the policies from the next call on. Counters are kept: a new
// amount holds them from now on, and only those are dropped whose limit is gone or
// counts otherwise.
func (n *Node) SetPolicies(s *policy.Set) {
	if change := policy.Changes(n.policies.Swap(s), s); change != nil {
		for _, table := range []*bucket.Table{n.local.table, n.local.own, n.local.acting} {
			table.Retune(n.local.clock.now(), change)
		}
	}
}

// Policies returns the present policies.
func (n *Node) Policies() *policy.Set { return n.policies.Load() }

// Take decides req here if this node owns the key, else at the owner. If that
// one cannot be asked in time, the limits' Unavailable mode decides.
func (n *Node) Take(ctx context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
	if isUsual(&req) && ctx.Err() == nil &&
		n.local.takeUsual(n.local.clock.now(), n.local.placeOf(n.local.placer.Key("", req.Key), req.Key, &req.Limits[0]), &req, &d) {
		return d, nil
	}
	if byID(req.Verb) || req.Namespace != "" {
		return n.takeOther(ctx, req)
	}
	if err := n.local.checkInline(&req); err != nil {
		return bucketring.Decision{}, err
	}
	if err := ctx.Err(); err != nil {
		return bucketring.Decision{}, err
	}
	hash := n.local.placer.Key("", req.Key)
	if leases(req.Limits) {
		return n.takeLeases(ctx, hash, req)
	}
	return n.take(ctx, hash, &req)
}

// takeOther does what has no limits with it. It is apart, so that the usual call
// stays off the heap.
func (n *Node) takeOther(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	switch {
	case byID(req.Verb):
		return n.takeIDs(ctx, &req)
	case req.Key != "" || len(req.Limits) > 0 || req.Charges != nil:
		return bucketring.Decision{}, bucketring.Invalidf("give either namespace or key and limit, not both")
	}
	return n.takePolicy(ctx, &req)
}

// checkInline checks a call that brings its limits along.
func (l *Local) checkInline(req *bucketring.Request) error {
	switch {
	case req.Charges != nil:
		return bucketring.Invalidf("a call cannot bring charges along: give key and limit")
	case len(req.Attributes) > 0:
		return bucketring.Invalidf("attributes need a namespace: give key and limit instead")
	case req.Token != "" && (len(req.Token) < 16 || len(req.Token) > bucketring.MaxTokenLen):
		return bucketring.Invalidf("token has %d bytes, it must have 16 to %d, at random", len(req.Token), bucketring.MaxTokenLen)
	case req.CostNanos != 0:
		return bucketring.Invalidf("cost must be a whole number: only policies have limits with decimals")
	}
	if err := req.Validate(); err != nil || req.Verb != bucketring.VerbStep {
		return err
	}
	return l.knowsStep(&req.Limits[0])
}

// take decides a call that has its limits, where its partition is.
func (n *Node) take(ctx context.Context, hash uint64, req *bucketring.Request) (d bucketring.Decision, err error) {
	if n.local.decide(hash, req, &d) {
		if n.local.secure(ctx, hash, req, &d) != nil {
			return n.fallback(n.Ring(), hash, req)
		}
		return d, nil
	}
	if n.local.spend(hash, req, &d) || n.local.remember(hash, req, &d) {
		return d, nil
	}
	return n.forward(ctx, hash, req)
}

// ends is when a call to a peer has waited long enough: after the budget, and 1 ms before
// its caller gives up, so that an answer without the owner still comes in time. ok is false
// if that is now.
func (n *Node) ends(callers time.Time, bounded bool) (ends time.Time, ok bool) {
	now := time.Now()
	ends = now.Add(n.cfg.Budget)
	if callers = callers.Add(-time.Millisecond); bounded && callers.Before(ends) {
		return callers, callers.After(now)
	}
	return ends, true
}

// An Explanation says where a key is decided.
type Explanation struct {
	Partition      uint32
	Owner, Replica string // names of members; empty if there is none
}

// Explain says where the counters of a call live. It may take milliseconds.
func (n *Node) Explain(req bucketring.Request) (Explanation, error) {
	r := n.Ring()
	e := Explanation{Partition: ring.Partition(n.local.placer.Key("", req.Key))}
	owner, ok := r.Owner(e.Partition)
	if !ok {
		return e, nil
	}
	e.Owner = owner.Name
	if !r.OwnedBySelf(e.Partition) { // only the owner's own ring knows the successor
		var err error
		if r, err = ring.NewBuilder(n.cfg.Placer, owner.Name).Build(r.Members); err != nil {
			return e, err
		}
	}
	replica, _ := r.Successor(e.Partition)
	e.Replica = replica.Name
	return e, nil
}
