// fence.go is R5 and R7: two holders meet, states look for their holder, and what
// is held for another is brought to its mind.

package handover

import (
	mathbits "math/bits"
	"slices"
	"time"
)

const (
	offerFirst = 20 * time.Millisecond
	offerMost  = time.Second
	offerHops  = 4
	// offersAtOnce bounds the offers of one step. A node that starts with a full disk
	// has one for each partition.
	offersAtOnce = 128
	nudgeEvery   = 100 * time.Millisecond
	tellEvery    = 15 * time.Second
)

// An offer is a state that waits for its holder. Once joined it is kept for a while:
// the holder may crash before it has copied it.
type offer struct {
	id    uint64
	copy  Copy
	again time.Duration
	pause time.Duration
	tries int

	joined  bool // again is when to forget it
	by      Node // its holder, and the lineage of that
	lineage uint64
}

// offer makes sure that a state reaches the holder of its partition.
func (m *Machine) offer(p uint32, c Copy) {
	pt := &m.parts[p]
	if pt.role == RoleHold {
		m.out = append(m.out, Join{p, c.State})
		return
	}
	m.offers++
	pt.offers = append(pt.offers, &offer{id: m.offers, copy: c, again: m.now, pause: offerFirst})
}

// offerPart sends offers that nobody has acknowledged, to who may be the holder.
func (m *Machine) offerPart(p uint32) {
	pt := &m.parts[p]
	pt.offers = slices.DeleteFunc(pt.offers, func(o *offer) bool { return o.joined && m.now >= o.again })
	for _, o := range pt.offers {
		if o.joined || m.now < o.again || m.sending == 0 {
			continue
		}
		m.sending--
		o.again, o.pause = m.now+o.pause, min(2*o.pause, offerMost)
		// One after the other, for each of them may be wrong: two that have given
		// the partition away can take each other for its holder.
		to := []Node{pt.known.Node, pt.fwd.Node, m.view.Owner(p)}
		to = slices.DeleteFunc(to, func(n Node) bool { return !m.live(n) })
		if len(to) > 0 {
			m.send(to[o.tries%len(to)], Offer{Part: p, ID: o.id, Back: m.self, Copy: o.copy})
		}
		o.tries++
	}
}

// offered joins what is offered, if this is the holder, and passes it on if not.
func (m *Machine) offered(p uint32, o Offer) {
	pt := &m.parts[p]
	switch pt.role {
	case RoleHold:
		m.out = append(m.out, Join{p, o.Copy.State})
		m.send(o.Back, Ack{Part: p, Offer: o.ID, Lineage: pt.lineage})
	case RoleNone:
		if pt.fwd.Node != none && o.Hops < offerHops {
			o.Hops++
			m.send(pt.fwd.Node, o)
		}
	}
}

func (m *Machine) offerAcked(from Node, a Ack) {
	for _, o := range m.parts[a.Part].offers {
		if o.id == a.Offer && !o.joined {
			o.joined, o.by, o.lineage, o.again = true, from, a.Lineage, m.now+keepFrozen
		}
	}
}

// reopen offers it again.
func (o *offer) reopen(now time.Duration) {
	o.joined, o.again, o.pause = false, now, offerFirst
}

// Unjoined counts the states of all partitions that wait here for their holders.
func (m *Machine) Unjoined() (n int) {
	for i := range m.busy { // a partition with offers is not at rest
		for bits := m.busy[i]; bits != 0; bits &= bits - 1 {
			n += m.parts[i*64+mathbits.TrailingZeros64(bits)].waiting()
		}
	}
	return n
}

// Waiting counts the states of a partition that wait here for its holder.
func (m *Machine) Waiting(p uint32) int { return m.parts[p].waiting() }

// waiting counts offers that nobody has joined.
func (pt *part) waiting() (n int) {
	for _, o := range pt.offers {
		if !o.joined {
			n++
		}
	}
	return n
}

// heldBy hears what another node holds.
func (m *Machine) heldBy(from Node, h Held) {
	pt := &m.parts[h.Part]
	m.hear(h.Part, Ref{from, h.Gen})
	if pt.role == RoleMoving && pt.fence.Node == none {
		return // the grant under way will meet it
	}
	if pt.role != RoleHold {
		m.leftovers(h)
		return
	}
	switch {
	case h.Gen > pt.gen || h.Gen == pt.gen && from.Boot > m.self.Boot:
		pt.fence = Ref{from, h.Gen}
		m.freeze(h.Part)
	default:
		m.send(from, Held{h.Part, pt.gen, pt.lineage})
	}
}

// leftovers offers copies of another lineage to a holder that may not have them.
func (m *Machine) leftovers(h Held) {
	pt := &m.parts[h.Part]
	for _, o := range pt.offers {
		if o.joined && o.lineage != h.Lineage {
			o.reopen(m.now)
		}
	}
	if f := pt.frozen; f.copy.Gen != 0 && f.acked && f.copy.Lineage != h.Lineage {
		pt.frozen = frozen{}
		m.offer(h.Part, f.copy)
	}
	if c := pt.rep; c.Gen != 0 && c.Lineage != h.Lineage {
		pt.rep = Copy{}
		m.offer(h.Part, c)
	}
}

// nudgePart tells the owner of a partition that it is held here.
func (m *Machine) nudgePart(p uint32) {
	pt := &m.parts[p]
	if pt.role != RoleHold || m.now < pt.nudge {
		return
	}
	if owner := m.view.Owner(p); owner != m.self && m.live(owner) {
		pt.nudge = m.now + nudgeEvery
		m.send(owner, Nudge{p, pt.gen})
	}
}

// nudged hears that something waits here for its owner.
func (m *Machine) nudged(from Node, n Nudge) {
	m.hear(n.Part, Ref{from, n.Gen})
	pt := &m.parts[n.Part]
	if pt.role == RoleHold {
		m.heldBy(from, Held{n.Part, n.Gen, 0})
	}
}

// tellAll tells every peer what is held here.
func (m *Machine) tellAll() {
	m.nextAll = m.now + tellEvery
	for p := range m.parts {
		if pt := &m.parts[p]; pt.role == RoleHold {
			for _, n := range m.view.Peers() {
				m.send(n, Held{uint32(p), pt.gen, pt.lineage})
			}
		}
	}
}
