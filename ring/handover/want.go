// want.go is R1: take a partition from whoever may hold it.

package handover

import (
	"slices"
	"time"
)

const (
	answerIn  = 30 * time.Millisecond // of a Take; then all are asked
	askAgain  = 20 * time.Millisecond // a holder that sees another owner
	askLater  = 5 * time.Millisecond
	maxBounce = 8 // hints followed before all are asked
	// atOnce bounds the partitions asked for at a time: calls wait while one moves, so
	// each must move quickly.
	atOnce = 32
)

// A want is a Take under way. The zero value has asked nobody.
type want struct {
	asked  Node
	until  time.Duration // when to give up waiting, or to ask again
	again  bool          // ask the same one again then
	tried  []Node
	bounce int
}

// wantPart asks for a partition that this node should own, and stops if it should
// not any more.
func (m *Machine) wantPart(p uint32) {
	pt := &m.parts[p]
	mine := m.view.Owner(p) == m.self
	switch {
	case mine && pt.role == RoleNone:
		pt.want, pt.orphan = want{}, orphan{}
		m.setRole(p, RolePending)
		m.waiting = append(m.waiting, p)
	case !mine && pt.role == RolePending:
		pt.want, pt.orphan = want{}, orphan{}
		m.setRole(p, RoleNone)
	case pt.role == RolePending && pt.want.asked != none:
		w := &pt.want
		switch {
		case !m.live(w.asked):
			m.ask(p)
		case m.now < w.until:
		case w.again:
			w.again, w.until = false, m.now+answerIn
			m.send(w.asked, Take{p})
		default:
			m.beginOrphan(p)
		}
	}
}

// ask asks the first that has not been tried of those who may hold it.
func (m *Machine) ask(p uint32) {
	pt := &m.parts[p]
	for _, n := range m.holders(p) {
		if n == m.self || !m.live(n) || slices.Contains(pt.want.tried, n) {
			continue
		}
		m.askNode(p, n)
		return
	}
	m.beginOrphan(p)
}

func (m *Machine) askNode(p uint32, n Node) {
	w := &m.parts[p].want
	w.asked, w.until, w.again = n, m.now+answerIn, false
	w.tried = append(w.tried, n)
	m.send(n, Take{p})
}

// holders are who may hold a partition, the likeliest first.
func (m *Machine) holders(p uint32) []Node {
	pt := &m.parts[p]
	var all []Node
	if pt.known.Gen > pt.gen {
		all = append(all, pt.known.Node)
	}
	all = append(all, pt.fwd.Node, m.prev.Owner(p), m.view.Without(p))
	for _, n := range m.view.Peers() {
		if m.view.Leaving(n) {
			all = append(all, n)
		}
	}
	return all
}

// given is the answer to a Take, but for a grant.
func (m *Machine) given(from Node, g Given) {
	pt := &m.parts[g.Part]
	w := &pt.want
	if pt.role != RolePending || w.asked != from {
		return
	}
	switch g.How {
	case NotYou:
		w.again, w.until = true, m.now+askAgain
	case Later:
		w.again, w.until = true, m.now+askLater
	case Moved:
		m.hear(g.Part, g.Hint)
		w.bounce++
		if m.live(g.Hint.Node) && w.bounce <= maxBounce && g.Hint.Node != from {
			m.askNode(g.Part, g.Hint.Node)
			return
		}
		m.ask(g.Part)
	default:
		m.ask(g.Part)
	}
}
