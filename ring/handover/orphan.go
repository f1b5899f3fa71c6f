// orphan.go is R4: a partition that nobody seems to hold. All are asked, doubt is
// waited out, and only then it is claimed.

package handover

import (
	"slices"
	"time"
)

const (
	whoAgain  = 30 * time.Millisecond
	whoInvain = 7 * time.Millisecond // a grant is in flight, or another one asks too
)

// An orphan is a question to all. The zero value is none.
type orphan struct {
	token   uint64
	asked   []Node
	answers map[Node]Iam
	again   time.Duration // ask those who have not answered; if all have, all of them
	copies  bool          // asked for, which are large: only when nothing but a claim is left
}

// beginOrphan asks all live nodes what they know.
func (m *Machine) beginOrphan(p uint32) { m.askAll(p, false) }

func (m *Machine) askAll(p uint32, copies bool) {
	pt := &m.parts[p]
	m.tokens++
	pt.want = want{}
	pt.orphan = orphan{token: m.tokens, asked: slices.Clone(m.view.Peers()), answers: map[Node]Iam{}, again: m.now + whoAgain, copies: copies}
	for _, n := range m.view.Peers() {
		m.send(n, Who{p, m.tokens, copies})
	}
}

// orphanPart decides once all live nodes have answered.
func (m *Machine) orphanPart(p uint32) {
	pt := &m.parts[p]
	o := &pt.orphan
	if pt.role != RolePending || o.token == 0 {
		return
	}
	for _, n := range o.asked {
		if !m.live(n) { // it may have given to one that had answered before
			m.beginOrphan(p)
			return
		}
	}
	missing := false
	for _, n := range m.view.Peers() {
		if _, ok := o.answers[n]; !ok {
			missing = true
			fresh := !slices.Contains(o.asked, n)
			if fresh {
				o.asked = append(o.asked, n)
			}
			if fresh || m.now >= o.again {
				m.send(n, Who{p, o.token, o.copies})
			}
		}
	}
	if missing {
		if m.now >= o.again {
			o.again = m.now + whoAgain
		}
		return
	}
	m.judge(p)
}

// judge looks at the answers of all live nodes.
func (m *Machine) judge(p uint32) {
	pt := &m.parts[p]
	wait := false
	for _, n := range m.view.Peers() {
		a := pt.orphan.answers[n]
		switch {
		case a.Role == RoleHold || a.Role == RoleMoving:
			pt.orphan = orphan{}
			pt.want = want{}
			m.hear(p, Ref{n, a.Gen})
			m.askNode(p, n)
			return
		case a.Role == RolePending:
			wait = true
		}
		wait = wait || m.inFlight(p, a.Fwd)
	}
	if wait || m.inFlight(p, pt.fwd) {
		if m.now >= pt.orphan.again || pt.orphan.again > m.now+whoInvain {
			m.askAllIn(p, whoInvain)
		}
		return
	}
	if has := func(n Node) bool { return pt.orphan.answers[n].Has }; !pt.orphan.copies && slices.ContainsFunc(m.view.Peers(), has) {
		m.askAll(p, true)
		return
	}
	m.claim(p)
}

// askAllIn asks everybody again after a while.
func (m *Machine) askAllIn(p uint32, d time.Duration) {
	o := &m.parts[p].orphan
	if o.again <= m.now {
		m.beginOrphan(p)
		return
	}
	o.again = m.now + d
}

// inFlight reports whether a grant to a live node has not reached it.
func (m *Machine) inFlight(p uint32, fwd Ref) bool {
	switch {
	case fwd.Node == none:
		return false
	case fwd.Node == m.self:
		return m.parts[p].seen < fwd.Gen
	}
	a, ok := m.parts[p].orphan.answers[fwd.Node]
	return ok && m.live(fwd.Node) && a.Seen < fwd.Gen
}

// claim begins a new lineage with all copies that there are.
func (m *Machine) claim(p uint32) {
	pt := &m.parts[p]
	highest := max(pt.gen, pt.seen, pt.known.Gen)
	var states []State
	for _, n := range m.view.Peers() {
		a := pt.orphan.answers[n]
		highest = max(highest, a.Gen, a.Seen, a.Known, a.Fwd.Gen)
		for _, c := range a.Copies {
			highest = max(highest, c.Gen)
			states = append(states, c.State)
		}
	}
	for _, c := range pt.copies() {
		highest = max(highest, c.Gen)
	}
	gen := highest.claimed()
	m.hold(p, gen, m.lineage(gen), nil, states...)
	for _, n := range m.view.Peers() {
		m.send(n, Held{p, gen, pt.lineage})
	}
}

// lineage names a chain of holders: FNV-1a of the claimer's start and the claim.
func (m *Machine) lineage(gen Gen) uint64 {
	h := uint64(14695981039346656037)
	for _, v := range []uint64{m.self.Boot, uint64(gen)} {
		for i := range 8 {
			h = (h ^ v>>(8*i)&0xff) * 1099511628211
		}
	}
	for i := range len(m.self.Name) {
		h = (h ^ uint64(m.self.Name[i])) * 1099511628211
	}
	return h
}

// iam answers a Who.
func (m *Machine) iam(to Node, w Who) {
	pt := &m.parts[w.Part]
	a := Iam{Part: w.Part, Token: w.Token, Role: pt.role, Gen: pt.gen, Seen: pt.seen, Known: pt.known.Gen, Fwd: pt.fwd}
	copies := pt.copies()
	if a.Has = len(copies) > 0; w.Copies {
		a.Copies = copies
	}
	m.send(to, a)
}
