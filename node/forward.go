// forward.go asks the node that has a partition, and follows it where it moves.

package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/ring"
)

const (
	maxHints = 2 // that one call follows to other nodes
	maxTurns = 8 // of one call, waiting for its partition here among them
)

// A target is whom to ask.
type target struct {
	member ring.Member
	gen    uint64 // of the handover by which it is known
}

// A search is one call on its way to whoever has its partition.
type search struct {
	node   *Node
	part   uint32
	said   []target // who did not have it, and of which handover it knew
	hints  int
	silent string // who does not answer
}

// forward asks whoever should have the partition. One that has not names another one or
// waits for it; that one is asked then. For a node that does not answer its successor
// may.
func (n *Node) forward(ctx context.Context, hash uint64, req *bucketring.Request) (bucketring.Decision, error) {
	to, known := n.whom(partOf(hash, req))
	ends, inTime := n.ends(ctx.Deadline())
	if !known || !inTime {
		return n.fallback(n.Ring(), hash, req)
	}
	d, err := n.ask(ctx, ends, to, hash, req)
	if err != nil {
		return n.follow(ctx, ends, to, err, hash, req)
	}
	return d, nil
}

// follow goes on after the first node that was asked could not decide.
func (n *Node) follow(ctx context.Context, ends time.Time, asked target, err error, hash uint64, req *bucketring.Request) (bucketring.Decision, error) {
	asking, cancel := context.WithDeadline(ctx, ends)
	defer cancel()
	s := search{node: n, part: partOf(hash, req)}
	for turn := 1; ; turn++ {
		if errors.Is(err, bucketring.ErrInvalid) {
			return bucketring.Decision{}, err
		}
		if ctx.Err() != nil {
			return bucketring.Decision{}, ctx.Err()
		}
		to, ok := s.next(asking, asked, err)
		if !ok || turn == maxTurns || asking.Err() != nil {
			return n.fallback(n.Ring(), hash, req)
		}
		var d bucketring.Decision
		if d, err = n.ask(asking, ends, to, hash, req); err == nil {
			return d, nil
		}
		asked = to
	}
}

// next returns whom to ask after a node that could not decide; ok is false for nobody.
func (s *search) next(ctx context.Context, asked target, err error) (to target, ok bool) {
	n := s.node
	self := asked.member.Name == n.cfg.Name
	if !self {
		n.stats.failed(err)
	}
	var refusal *bucketring.NotOwner
	switch {
	case errors.As(err, &refusal) && self && refusal.Soon != nil:
		await(ctx, refusal.Soon)
		return n.whom(s.part)
	case errors.As(err, &refusal):
		s.said = append(s.said, target{asked.member, refusal.Gen})
		return s.hinted(refusal)
	case self || s.silent != "" || n.local.mover == nil:
		return target{}, false
	}
	s.silent = asked.member.Name
	return n.heir(ctx, s.part, s.silent)
}

// hinted returns the member that a refusing node named, if this node knows it. One that
// was asked before is asked again only if it has got the partition since.
func (s *search) hinted(refusal *bucketring.NotOwner) (target, bool) {
	for _, old := range s.said {
		if old.member.Name == refusal.Hint && refusal.Gen <= old.gen {
			return target{}, false
		}
	}
	m, known := s.node.Ring().Find(refusal.Hint)
	self := refusal.Hint == s.node.cfg.Name
	if !known || refusal.Hint == s.silent || !self && s.hints == maxHints {
		return target{}, false
	}
	if !self {
		s.hints++
	}
	return target{m, refusal.Gen}, true
}

// ask has one node decide, this one or another, until ctx is done or the time ends.
func (n *Node) ask(ctx context.Context, ends time.Time, to target, hash uint64, req *bucketring.Request) (bucketring.Decision, error) {
	if to.member.Name == n.cfg.Name {
		hinted := *req
		hinted.Hinted = to.gen
		return n.local.Take(ctx, hinted)
	}
	if n.cfg.Peers == nil {
		return bucketring.Decision{}, bucketring.ErrUnavailable
	}
	sent := n.local.clock.now().Mono
	d, err := n.askPeer(ctx, n.cfg.Peers.Peer(to.member.Addr), ends, req, to.gen)
	if err == nil {
		n.answered(to, hash, req, &d, sent)
	}
	return d, err
}

// answered completes the decision of another node.
func (n *Node) answered(to target, hash uint64, req *bucketring.Request, d *bucketring.Decision, sent int64) {
	n.stats.forwarded.Add(1)
	d.Node, d.Owner = n.cfg.Name, to.member.Name
	d.Degraded = d.Degraded || d.Source == bucketring.SourceReplica
	now := n.local.clock.now()
	stamp(d, now, req)
	n.seen.note(hash, req, d, now.Mono)
	if n.local.mover != nil && d.Source == bucketring.SourceOwner {
		n.local.accounts.note(hash, req)
	}
	switch {
	case givesBack(req.Verb):
		n.local.denials.undo(partOf(hash, req), now.Mono)
	case n.local.mover != nil: // else nobody would tell of refunds
		n.local.denials.note(hash, req, d, sent)
	}
}

// await waits for a change, or until the call must go on without it.
func await(ctx context.Context, soon <-chan struct{}) {
	select {
	case <-soon:
	case <-ctx.Done():
	}
}

func (n *Node) whom(part uint32) (target, bool) {
	m, gen, ok := n.local.whom(part)
	return target{m, gen}, ok
}

// heirs are the rings without one of their members, for the time that it is silent.
type heirs struct {
	mu      sync.Mutex
	of      *ring.Ring
	without map[string]*heirRing // by the name of the silent member; guarded by mu
}

// A heirRing is one of them, once it is made.
type heirRing struct {
	made chan struct{}
	ring *ring.Ring // nil if it could not be made; read after made
}

// heir returns who would own a partition if its owner were gone: it has the copies. The
// first call has the ring made, which takes long for many members; others wait for it as
// long as they can.
func (n *Node) heir(ctx context.Context, part uint32, silent string) (target, bool) {
	without := n.heirs.get(n.Ring(), silent, n.cfg.Placer)
	select {
	case <-without.made:
	case <-ctx.Done():
		return target{}, false
	}
	if without.ring == nil {
		return target{}, false
	}
	m, ok := without.ring.Owner(part)
	return target{member: m}, ok
}

func (h *heirs) get(r *ring.Ring, silent string, placer ring.Placer) *heirRing {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of != r {
		h.of, h.without = r, map[string]*heirRing{}
	}
	known := h.without[silent]
	if known == nil {
		known = &heirRing{made: make(chan struct{})}
		h.without[silent] = known
		go known.make(r, silent, placer)
	}
	return known
}

func (h *heirRing) make(r *ring.Ring, silent string, placer ring.Placer) {
	defer close(h.made)
	others := slices.DeleteFunc(slices.Clone(r.Members), func(m ring.Member) bool { return m.Name == silent })
	if len(others) > 0 {
		h.ring, _ = ring.NewBuilder(placer, "").Build(others) // nil on an error, which Build does not have for members of a ring
	}
}
