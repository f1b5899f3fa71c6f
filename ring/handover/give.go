// give.go is R2 and R3: give a partition away, and accept one.

package handover

import "time"

const (
	grantAgain = 100 * time.Millisecond // doubling: links lose little
	grantMost  = time.Second
	// keepFrozen is how long a state that was acknowledged is kept: its new holder
	// may crash before it has copied it.
	keepFrozen = 60 * time.Second
)

// A frozen is a state as it was given away.
type frozen struct {
	copy  Copy
	to    Node
	acked bool
	at    time.Duration // when to send it again; once acknowledged, when to forget it
	pause time.Duration // before that
}

// take answers who wants a partition.
func (m *Machine) take(from Node, p uint32) {
	pt := &m.parts[p]
	switch pt.role {
	case RoleHold:
		if m.view.Owner(p) != from {
			m.send(from, Given{Part: p, How: NotYou})
			return
		}
		pt.parked = append(pt.parked, from)
		m.freeze(p)
	case RoleMoving:
		pt.parked = append(pt.parked, from)
	case RolePending:
		m.send(from, Given{Part: p, How: Later})
	default:
		m.refer(from, p)
	}
}

// refer tells who was given a partition that is not here.
func (m *Machine) refer(to Node, p uint32) {
	pt := &m.parts[p]
	f := &pt.frozen
	switch {
	case pt.fwd.Node == none:
		m.send(to, Given{Part: p, How: Nothing})
	case f.copy.Gen != 0 && !f.acked && f.to == to:
		m.send(to, Given{Part: p, How: Grant, Copy: f.copy})
	default:
		m.send(to, Given{Part: p, How: Moved, Hint: pt.fwd})
	}
}

func (m *Machine) freeze(p uint32) {
	m.setRole(p, RoleMoving)
	m.out = append(m.out, Freeze{p})
}

// frozen has the state of a partition that was being frozen: it is granted to who
// asked first, or offered to a holder with a higher generation.
func (m *Machine) frozen(p uint32, s State) {
	pt := &m.parts[p]
	if pt.role != RoleMoving {
		return
	}
	parked, fence := pt.parked, pt.fence
	pt.parked, pt.fence = nil, Ref{}
	if fence.Node != none {
		m.setRole(p, RoleNone)
		pt.fwd = fence
		m.offer(p, Copy{pt.gen, pt.lineage, s})
	} else {
		to := parked[0]
		c := Copy{pt.gen.next(), pt.lineage, s}
		pt.frozen = frozen{copy: c, to: to, at: m.now + grantAgain, pause: grantAgain}
		pt.fwd = Ref{to, c.Gen}
		m.setRole(p, RoleNone)
		m.send(to, Given{Part: p, How: Grant, Copy: c})
		parked = parked[1:]
	}
	for _, n := range parked {
		m.refer(n, p)
	}
}

// granted is R3.
func (m *Machine) granted(from Node, p uint32, c Copy) {
	pt := &m.parts[p]
	ack := Ack{Part: p, Gen: c.Gen}
	switch {
	case m.drain.done: // too late, nobody would take it from here
		ack.Stale = true
	case pt.role == RoleMoving: // once it is frozen, it comes again
		return
	case pt.role == RoleHold:
		m.out = append(m.out, Join{p, c.State})
		pt.seen, pt.took = max(pt.seen, c.Gen), Copy{c.Gen, c.Lineage, nil}
		if c.Gen > pt.gen {
			pt.gen, pt.lineage = c.Gen, c.Lineage
			m.setRole(p, RoleHold)
		}
	case c.Gen > pt.seen:
		pt.seen, pt.took = c.Gen, Copy{c.Gen, c.Lineage, nil}
		m.hold(p, c.Gen, c.Lineage, c.State)
	default: // accepted before, or from a holder that has been overtaken
		ack.Stale = pt.took.Gen != c.Gen || pt.took.Lineage != c.Lineage
	}
	m.send(from, ack)
}

// acked ends a grant, or makes an offer of it that nobody wanted.
func (m *Machine) acked(from Node, a Ack) {
	pt := &m.parts[a.Part]
	f := &pt.frozen
	if f.copy.Gen != a.Gen || f.acked || f.to != from {
		return
	}
	if a.Stale {
		m.offerFrozen(a.Part)
		return
	}
	f.acked, f.at = true, m.now+keepFrozen
}

// givePart sends an unanswered grant again, and makes an offer of one whose
// receiver is gone.
func (m *Machine) givePart(p uint32) {
	pt := &m.parts[p]
	f := &pt.frozen
	switch {
	case f.copy.Gen == 0:
	case !f.acked && !m.live(f.to):
		m.offerFrozen(p)
	case m.now < f.at:
	case f.acked:
		*f = frozen{}
	default:
		f.pause = min(2*f.pause, grantMost)
		f.at = m.now + f.pause
		m.send(f.to, Given{Part: p, How: Grant, Copy: f.copy})
	}
}

// offerFrozen turns a grant that reached nobody into an offer.
func (m *Machine) offerFrozen(p uint32) {
	pt := &m.parts[p]
	c := pt.frozen.copy
	pt.frozen, pt.fwd = frozen{}, Ref{}
	m.offer(p, c)
}
