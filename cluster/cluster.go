package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/bucketring/bucketring/ring"
)

// A Cluster is this node's membership: its own record, its view of the others,
// and the ring made of it. Its methods are safe for concurrent use.
type Cluster struct {
	cfg     *plan
	gossip  *gossip
	list    *memberlist.Memberlist
	keyring *memberlist.Keyring     // nil without keys
	addr    netip.AddrPort          // of our gossip, as the others see it
	own     map[netip.AddrPort]bool // all names of addr, for seeds that are ourselves
	record  record                  // ours; Join writes it, later who holds ending

	ring       atomic.Pointer[ring.Ring] // written by run, never nil after Join
	builder    *ring.Builder             // belongs to run
	shown      map[string]State          // belongs to run: what the log knows
	flush      chan chan struct{}        // asks run for a ring at once
	superseded chan struct{}             // closed by run

	found  chan struct{}           // closed by seek: a seed was reached, or there is none
	active chan struct{}           // closed by Join
	tried  map[netip.AddrPort]bool // belongs to seek: what rejoin tried in this round

	running    context.Context // of run
	stop       context.CancelFunc
	goroutines sync.WaitGroup
	ending     turn // held by Leave and Close throughout; guards ended
	leaving    bool // guarded by ending
	ended      bool
}

// A turn is a lock that may be held for long. Virtual time goes on while somebody waits for
// it, which it does not for a mutex: whoever holds it would wait for ever.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take() { t <- struct{}{} }
func (t turn) give() { <-t }

// Join starts gossip and returns when this node is active: when a seed was
// reached, when the seeds are only this node itself or none, or after
// cfg.BootstrapAfter. The first ring is published by then.
//
// ctx bounds Join, not the Cluster. Whoever gets a Cluster ends it with Leave
// or Close.
func Join(ctx context.Context, cfg Config) (*Cluster, error) {
	p, err := newPlan(ctx, cfg)
	if err != nil {
		return nil, err
	}
	c, err := listen(p)
	if err != nil {
		return nil, err
	}
	c.running, c.stop = context.WithCancel(context.Background())
	c.goroutines.Go(func() { c.seek(c.running) })
	if err := c.awaitSeed(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("cluster: join: %w", err)
	}
	c.awaitElder(ctx)
	// Our clock may have stepped back since our last start.
	c.record.boot = c.gossip.above(c.record.boot)
	c.announce(StateActive, atOnce)
	c.goroutines.Go(func() { c.run(c.running) })
	c.publish()
	close(c.active)
	c.cfg.Logger.Info("cluster joined", "node", c.cfg.Name, "addr", c.Addr(), "members", len(c.Ring().Members))
	return c, nil
}

// listen opens the gossip. From here on others can find this node.
func listen(p *plan) (*Cluster, error) {
	self := p.Name + nameMark + newBootID()
	c := &Cluster{
		cfg:        p,
		gossip:     newGossip(self, p.Placer.Settings()),
		builder:    ring.NewBuilder(p.Placer, p.Name),
		flush:      make(chan chan struct{}),
		superseded: make(chan struct{}),
		found:      make(chan struct{}),
		active:     make(chan struct{}),
		ending:     newTurn(),
		tried:      make(map[netip.AddrPort]bool),
		record: record{
			state: StateJoining, boot: cmp.Or(p.Boot, uint64(time.Now().UnixNano())), seq: 1,
			settings: p.Placer.Settings(), wireMin: wireMin, wireMax: wireMax,
			policy: p.PolicyHash, peer: p.peer, zone: p.Zone, api: p.API, version: shortVersion(p.Version),
		},
	}
	if p.Access.Insecure {
		c.record.flags |= flagInsecure
	}
	c.record.setKeys(p.Access.Keys)
	c.gossip.setMeta(c.record.marshal())
	settings, err := p.profile(self, c.gossip)
	if err != nil {
		return nil, err
	}
	c.keyring = settings.Keyring
	if c.list, err = memberlist.Create(settings); err != nil {
		return nil, fmt.Errorf("cluster: listen on %s: %w", p.Bind, err)
	}
	me, _ := c.gossip.entry(self)
	c.addr = me.addr
	c.own = ownAddresses(p, c.addr)
	return c, nil
}

// awaitSeed waits until seek has found a seed or need not, at most until the
// time to bootstrap.
func (c *Cluster) awaitSeed(ctx context.Context) error {
	patience := time.NewTimer(c.cfg.BootstrapAfter)
	defer patience.Stop()
	select {
	case <-c.found:
	case <-patience.C:
		c.cfg.Logger.Warn("no seed reached, going on alone", "node", c.cfg.Name)
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// awaitElder lets nodes that start together begin one after the other: the first to
// start takes all partitions, and the others take theirs from it. Else each would take
// all of them.
func (c *Cluster) awaitElder(ctx context.Context) {
	patience := time.NewTimer(c.cfg.BootstrapAfter)
	defer patience.Stop()
	look := time.NewTicker(coalesce)
	defer look.Stop()
	for c.gossip.elder(c.record.boot) {
		select {
		case <-look.C:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// atOnce makes announce return before anybody has heard, with an error that
// says no more than that.
const atOnce = time.Nanosecond

// announce gossips that this node is now in the given state, and waits until
// the message was sent often enough, or for the given time.
func (c *Cluster) announce(state State, wait time.Duration) error {
	c.record.state = state
	c.record.seq++
	c.gossip.setMeta(c.record.marshal())
	return c.list.UpdateNode(wait)
}

// SetPolicyHash tells the others which policies are in force here. It does not wait
// until they have heard. After Leave or Close it does nothing.
func (c *Cluster) SetPolicyHash(hash uint64) {
	c.ending.take()
	defer c.ending.give()
	if c.ended || c.leaving || c.record.policy == hash {
		return
	}
	c.record.policy = hash
	_ = c.announce(c.record.state, atOnce) // its error says no more than that nobody was waited for
}

// Ring returns the newest ring. It never returns nil and costs one load.
func (c *Cluster) Ring() *ring.Ring { return c.ring.Load() }

// Members returns one Member for each name, sorted: those who are here and
// those who went in the last minutes.
func (c *Cluster) Members() []Member {
	view, _ := c.view()
	members := make([]Member, len(view))
	for i, e := range view {
		members[i] = e.member(c.gossip.self)
	}
	return members
}

// Forget has this node take a member that vanished for one that left: nobody looks for it at
// its last address any more. A member that is here, or comes back, is not forgotten.
func (c *Cluster) Forget(name string) {
	g := c.gossip
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.entries {
		e.gone = e.gone || e.name == name && !e.live
	}
	g.signal()
}

// Self returns this node as the others see it.
func (c *Cluster) Self() Member {
	e, _ := c.gossip.entry(c.gossip.self)
	return e.member(c.gossip.self)
}

// Addr returns the gossip address that others use, with the port that was
// picked if Config.Bind had port 0.
func (c *Cluster) Addr() string { return c.addr.String() }

// Superseded returns a channel that is closed when another start of this node's
// name has appeared and counts from now on: this node must stop deciding. The
// rings published from then on own nothing here.
func (c *Cluster) Superseded() <-chan struct{} { return c.superseded }

// BeginLeave says that this node is leaving: the others and this node's own ring name
// it no more among those that own keys, and take over what it has. It returns once the
// others should have heard, after 2 s at most.
func (c *Cluster) BeginLeave(ctx context.Context) error {
	c.ending.take()
	defer c.ending.give()
	return c.beginLeave(ctx)
}

func (c *Cluster) beginLeave(ctx context.Context) error {
	if c.ended || c.leaving {
		return nil
	}
	c.leaving = true
	c.gossip.leave(&c.record)
	c.publish()
	if err := c.list.UpdateNode(before(ctx, 2*time.Second)); err != nil {
		return fmt.Errorf("cluster: leave: %w", err)
	}
	return nil
}

// leave writes down that this node is leaving, before gossip has told it to ourselves.
func (g *gossip) leave(r *record) {
	r.state = StateLeaving
	r.seq++
	g.setMeta(r.marshal())
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.entries[g.self]; e != nil {
		e.rec, e.since = *r, time.Now()
	}
	g.changedLocked()
}

// Leave says goodbye and ends the Cluster. It begins to leave if BeginLeave was not
// called. It takes up to 7 s, less if ctx has a nearer deadline; a mere cancellation
// does not shorten it. The error says that the goodbye may not have been heard; the
// Cluster has ended nevertheless. After Leave or Close it does nothing.
func (c *Cluster) Leave(ctx context.Context) error {
	c.ending.take()
	defer c.ending.give()
	if c.ended {
		return nil
	}
	err := c.beginLeave(ctx)
	c.ended = true
	if err = errors.Join(err, c.list.Leave(before(ctx, 5*time.Second)), c.halt()); err != nil {
		return fmt.Errorf("cluster: leave: %w", err)
	}
	return nil
}

// Close ends the Cluster without a goodbye, as a crash would: the others notice
// by themselves. After Leave or Close it does nothing.
func (c *Cluster) Close() error {
	c.ending.take()
	defer c.ending.give()
	if c.ended {
		return nil
	}
	c.ended = true
	return c.halt()
}

// halt stops gossip and our goroutines and waits for them.
func (c *Cluster) halt() error {
	c.stop()
	err := c.list.Shutdown()
	c.goroutines.Wait()
	return err
}

// before returns the time until ctx's deadline, between atOnce and d.
func before(ctx context.Context, d time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(deadline))
	}
	if ctx.Err() != nil {
		d = atOnce
	}
	return max(d, atOnce)
}

// newRand returns a generator whose seed nobody can guess.
func newRand() *mrand.Rand {
	var seed [16]byte
	rand.Read(seed[:]) // never fails
	return mrand.New(mrand.NewPCG(binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])))
}
