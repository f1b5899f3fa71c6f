// failover.go answers for a holder that nobody hears: the node that has its copies acts
// for it, with a count of its own that the next holder gets.

package node

import (
	"math/rand/v2"
	"time"

	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	doubtFor   = 30 * time.Millisecond  // that others have to say that they hear it
	doubtAgain = 100 * time.Millisecond // after one has said so
)

// failover has what this node thinks of holders that it does not hear.
type failover struct {
	doubts map[handover.Node]*doubt
	acting map[uint32]acting // by partition
}

// An acting is for whom this node decides a partition, and the generation of the copy
// that it began with. The copy may be another holder's since.
type acting struct {
	of  handover.Node
	gen uint64
}

// A doubt is a question to all others whether they hear a node.
type doubt struct {
	waiting map[handover.Node]bool // have not answered
	until   time.Time              // when to act, or to ask again
	heard   bool                   // by somebody
	acting  bool
}

// watchHolders looks who is not heard any more, and who is again.
func (m *mover) watchHolders() {
	m.forgetDoubts()
	for _, n := range m.view.peers {
		d := m.failover.doubts[n]
		switch hears := m.hears(n); {
		case hears && d != nil:
			delete(m.failover.doubts, n)
			if d.acting {
				m.endActingOf(n)
			}
		case hears:
		case d == nil || d.heard && !time.Now().Before(d.until):
			m.doubt(n)
		case !d.acting && !d.heard && (len(d.waiting) == 0 || !time.Now().Before(d.until)):
			d.acting = true
			m.actFor(n)
		}
	}
}

// forgetDoubts drops those of nodes that are gone for good.
func (m *mover) forgetDoubts() {
	for n := range m.failover.doubts {
		if _, known := m.view.members[n]; !known && !m.actsFor(n) {
			delete(m.failover.doubts, n)
		}
	}
}

func (m *mover) actsFor(n handover.Node) bool {
	for _, one := range m.failover.acting {
		if one.of == n {
			return true
		}
	}
	return false
}

// hears reports whether this node hears another one.
func (m *mover) hears(n handover.Node) bool {
	member, known := m.view.members[n]
	return known && m.msgs.Hears(member.Addr, n.Boot)
}

// doubt asks all others whether they hear a node.
func (m *mover) doubt(n handover.Node) {
	d := &doubt{waiting: map[handover.Node]bool{}, until: time.Now().Add(doubtFor)}
	for _, other := range m.view.peers {
		if other != n && m.hears(other) {
			d.waiting[other] = true
			m.send(other, &peerpb.Msg{Of: &peerpb.Msg_Hear{Hear: &peerpb.Hear{Node: n.Name, Boot: n.Boot, Ask: true}}})
		}
	}
	if m.failover.doubts == nil {
		m.failover.doubts = map[handover.Node]*doubt{}
	}
	m.failover.doubts[n] = d
}

// hearsay answers such a question, or takes an answer.
func (m *mover) hearsay(from handover.Node, h *peerpb.Hear) {
	n := handover.Node{Name: h.GetNode(), Boot: h.GetBoot()}
	if h.GetAsk() {
		yes := m.hears(n)
		m.send(from, &peerpb.Msg{Of: &peerpb.Msg_Hear{Hear: &peerpb.Hear{Node: n.Name, Boot: n.Boot, Yes: yes}}})
		return
	}
	if d := m.failover.doubts[n]; d != nil && !d.acting {
		delete(d.waiting, from)
		if h.GetYes() && !d.heard {
			d.heard, d.until = true, time.Now().Add(doubtAgain)
		}
		m.watchHolders()
	}
}

// actFor opens the copies of a holder's partitions. Its next holder gets what is counted
// here beside them, under a lineage of its own.
func (m *mover) actFor(n handover.Node) {
	now := m.local.clock.now()
	if m.failover.acting == nil {
		m.failover.acting = map[uint32]acting{}
	}
	for p := range uint32(ring.Partitions) {
		r := m.replicas.of[p]
		if r == nil {
			continue
		}
		if _, already := m.failover.acting[p]; r.from == n && r.drop.IsZero() && !already {
			var counted []*bucket.State // here, the last time
			for _, c := range m.machine.Copies(p) {
				counted = append(counted, stateOf(c.State))
			}
			m.local.acting.Open(p, r.gen, rand.Uint64(), r.state(), now, counted...)
			m.failover.acting[p] = acting{n, r.gen}
		}
	}
	if len(m.failover.acting) > 0 {
		m.log.Warn("acting for a node that nobody hears", "peer", n.Name, "partitions", len(m.failover.acting))
	}
	m.stats.acting.Store(int64(len(m.failover.acting)))
}

// endActing ends all acting, and endActingFor that for one partition. What was counted
// is offered to the holder.
func (m *mover) endActing() {
	for p := range uint32(ring.Partitions) { // in order
		if len(m.failover.acting) == 0 {
			break
		}
		m.endActingFor(p)
	}
	for _, d := range m.failover.doubts {
		d.acting = false
	}
}

// endActingOf ends acting for one node.
func (m *mover) endActingOf(n handover.Node) {
	for p := range uint32(ring.Partitions) { // in order
		if m.failover.acting[p].of == n {
			m.endActingFor(p)
		}
	}
}

func (m *mover) endActingFor(p uint32) {
	gen := m.failover.acting[p].gen
	if s := m.stopActing(p); s != nil {
		m.step(handover.Left{Part: p, Copy: handover.Copy{Gen: handover.Gen(gen), Lineage: s.Lineage, State: s}})
	}
}

// stopActing returns what was counted for a partition meanwhile; nil for nothing.
func (m *mover) stopActing(p uint32) *bucket.State {
	if _, acting := m.failover.acting[p]; !acting {
		return nil
	}
	delete(m.failover.acting, p)
	m.stats.acting.Store(int64(len(m.failover.acting)))
	s := m.local.acting.CloseChanged(p, m.local.clock.now())
	if s == nil || len(s.Records)+len(s.Reserved) == 0 {
		return nil
	}
	return s
}
