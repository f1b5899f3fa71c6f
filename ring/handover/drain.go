// drain.go tells when a node that is leaving has nothing that others need, and that
// nothing is under way to it.

package handover

import (
	"slices"
	"time"
)

const byeAgain = 20 * time.Millisecond

// A drain is the end of a node. Its zero value has not begun.
type drain struct {
	on    bool
	done  bool
	clear map[Node]bool // who will not grant us anything more
	again time.Duration
}

// upkeepDrain says Drained once this node is empty and all others are clear. A grant
// to a node that asked for it and then left would otherwise be lost with it.
func (m *Machine) upkeepDrain() {
	if !m.drain.on {
		return
	}
	for p := range m.parts {
		m.offerWidowed(uint32(p))
	}
	if !m.empty() {
		return
	}
	missing := false
	for _, n := range m.view.Peers() {
		if !m.drain.clear[n] {
			missing = true
			if m.now >= m.drain.again {
				m.send(n, Bye{})
			}
		}
	}
	switch {
	case !missing:
		m.drain.on, m.drain.done = false, true
		m.out = append(m.out, Drained{})
	case m.now >= m.drain.again:
		m.drain.again = m.now + byeAgain
	}
}

// offerWidowed offers copies whose holder is gone: they may be the last.
func (m *Machine) offerWidowed(p uint32) {
	pt := &m.parts[p]
	holder := pt.fwd
	if pt.known.Gen > holder.Gen {
		holder = pt.known
	}
	for _, o := range pt.offers {
		if o.joined && !m.live(o.by) {
			o.reopen(m.now)
		}
	}
	if m.live(holder.Node) || pt.role != RoleNone {
		return
	}
	if c := pt.rep; c.Gen != 0 {
		pt.rep = Copy{}
		m.offer(p, c)
	}
	if f := pt.frozen; f.copy.Gen != 0 && f.acked {
		pt.frozen = frozen{}
		m.offer(p, f.copy)
	}
}

// empty reports whether nothing is left here that others need.
func (m *Machine) empty() bool {
	for p := range m.parts {
		if pt := &m.parts[p]; pt.role != RoleNone || !pt.given() {
			return false
		}
	}
	return true
}

// Given reports whether nothing of a partition is here that others need: it is not held, and
// whoever has got it from here has said so.
func (m *Machine) Given(p uint32) bool {
	pt := &m.parts[p]
	return pt.role != RoleHold && pt.role != RoleMoving && pt.given()
}

// given reports whether what was here once is known elsewhere.
func (pt *part) given() bool {
	return pt.waiting() == 0 && (pt.frozen.copy.Gen == 0 || pt.frozen.acked)
}

// bye answers who is leaving, if nothing from here is under way to it. The view that
// came with its message shows it leaving, so it owns nothing and is granted no more.
func (m *Machine) bye(from Node) {
	for p := range m.parts {
		pt := &m.parts[p]
		if slices.Contains(pt.parked, from) || pt.frozen.copy.Gen != 0 && !pt.frozen.acked && pt.frozen.to == from {
			return
		}
	}
	m.send(from, Clear{})
}
