// guard.go keeps limits closed whose true count may be on the other side of a split.

package node

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/ring"
)

const (
	// stableFor is how long a node is missed that vanished without a word. It may be
	// there still and decide, for others.
	stableFor = 5 * time.Minute
	// backFor is how long it must be back: what it has counted comes at once.
	backFor = time.Second
)

// A guard knows who is missing, and which partitions were claimed meanwhile. The zero
// value misses nobody.
type guard struct {
	closed [ring.Partitions]atomic.Bool // the only part that is not run's

	last  *ring.Ring           // the ring until now; nil at first
	seen  map[string]time.Time // members of it that did not leave, and when they were last on it
	count int                  // of partitions that are closed
	whole time.Time            // since when nobody is missing; zero if somebody is
}

// note takes a new ring.
func (g *guard) note(r *ring.Ring, now time.Time) {
	if g.seen == nil {
		g.seen, g.last = map[string]time.Time{}, r
	}
	for _, m := range append(slices.Clone(g.last.Members), r.Members...) {
		g.seen[m.Name] = now
	}
	for _, m := range append(slices.Clone(g.last.Leaving), r.Leaving...) {
		if !slices.ContainsFunc(r.Members, func(back ring.Member) bool { return back.Name == m.Name }) {
			delete(g.seen, m.Name)
		}
	}
	g.last = r
}

// missing reports whether somebody vanished lately.
func (g *guard) missing(r *ring.Ring, now time.Time) bool {
	for name, last := range g.seen {
		switch _, here := r.Find(name); {
		case here:
			g.seen[name] = now
		case now.Sub(last) < stableFor:
			return true
		default:
			delete(g.seen, name)
		}
	}
	return false
}

// claimed closes a partition that was claimed, if its holder may be there still.
func (g *guard) claimed(p uint32, r *ring.Ring, now time.Time) {
	if g.missing(r, now) && !g.closed[p].Swap(true) {
		g.count++
	}
}

func (g *guard) gone(p uint32) {
	if g.closed[p].Swap(false) {
		g.count--
	}
}

// forget stops missing a node that will not come back. What nobody else is missed for opens
// at once: there is nobody whose counts could still come.
func (g *guard) forget(name string, r *ring.Ring, now time.Time) {
	delete(g.seen, name)
	if g.count > 0 && !g.missing(r, now) {
		g.open()
	}
}

func (g *guard) open() {
	for p := range uint32(ring.Partitions) {
		g.gone(p)
	}
	g.whole = time.Time{}
}

// look opens all partitions again once everybody is back.
func (g *guard) look(r *ring.Ring, now time.Time) {
	switch {
	case g.count == 0:
		return
	case g.missing(r, now):
		g.whole = time.Time{}
	case g.whole.IsZero():
		g.whole = now
	case now.Sub(g.whole) > backFor:
		g.open()
	}
}

// Forget has this node miss a member no longer that vanished and will never return. Limits
// that are closed while a node is missing open again where they were closed for this one
// alone, with the counts of its copies. A member that this node still sees is refused. The
// name may be unknown. Run must run.
func (n *Node) Forget(ctx context.Context, name string) error {
	m := n.local.mover
	if m == nil {
		return nil
	}
	done := make(chan error, 1)
	m.post(func() { done <- m.forget(name) })
	select {
	case err := <-done:
		return err
	case <-m.ended:
		return fmt.Errorf("%w: this node has stopped", bucketring.ErrUnavailable)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *mover) forget(name string) error {
	if m.view == nil { // nobody has been seen yet
		return nil
	}
	if _, here := m.view.ring.Find(name); here {
		return bucketring.Invalidf("%s still sees %s among the members of its ring", m.local.name, name)
	}
	m.guard.forget(name, m.view.ring, time.Now())
	return nil
}

// guarded reports whether a call has a limit that must stay closed in its partition.
func (l *Local) guarded(part uint32, c *call) bool {
	if l.mover == nil || !l.mover.guard.closed[part].Load() {
		return false
	}
	return c.anyClosed() && !c.looks()
}

// unsettled reports whether a call was answered from copies that lack, perhaps, what was
// counted on the other side of a split. Only looks at limits that stay closed are told so:
// of others nobody promises more.
func (l *Local) unsettled(part uint32, c *call) bool {
	return l.mover != nil && l.mover.guard.closed[part].Load() && c.anyClosed()
}

// anyClosed reports whether a limit of the call is closed where its count is not known.
func (c *call) anyClosed() bool {
	for i := range c.len() {
		if charge := c.at(i); charge.Limit.Unavailable == bucketring.UnavailableDeny && !charge.Shadow {
			return true
		}
	}
	return false
}
