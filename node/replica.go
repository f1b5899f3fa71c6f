// replica.go copies what this node holds to the node that would own it next, and keeps
// the copies of others. A copy decides nothing, but for failover.go.

package node

import (
	"time"

	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	// backfill bounds the records of whole partitions that are copied in one beat:
	// about 20 MB/s.
	backfill = 4000
	// dropAfter is how long a copy is kept whose holder has another successor, or holds
	// the partition no more.
	dropAfter = time.Minute
)

// copies are those of this node's partitions at others.
type copies struct {
	sent    map[uint32]copySent // where the last whole copy went
	todo    []uint32            // partitions to copy as a whole
	queued  [ring.Partitions]bool
	session map[handover.Node]uint64
	packers map[handover.Node]*copyPacker // for this beat
}

// A copySent says where a partition was copied to.
type copySent struct {
	to  handover.Node
	gen uint64
}

// again has a partition copied as a whole.
func (c *copies) again(p uint32) {
	if !c.queued[p] {
		c.queued[p] = true
		c.todo = append(c.todo, p)
	}
}

// gone tells who has the copy of a partition that this node has given away.
func (c *copies) gone(m *mover, p uint32) {
	if sent, ok := c.sent[p]; ok {
		delete(c.sent, p)
		m.send(sent.to, &peerpb.Msg{Of: &peerpb.Msg_Repl{Repl: &peerpb.Repl{Part: p, Full: true}}})
	}
}

// allAgain has those copied whose successor is another one now.
func (c *copies) allAgain(m *mover) {
	for p := range uint32(ring.Partitions) {
		if m.local.table.Here(p) && c.sent[p].to != m.view.Without(p) {
			c.again(p)
		}
	}
	m.local.table.TrackChanges(len(m.view.peers) > 0 || m.local.disk.store != nil)
}

// replicate sends what has changed since the last time, and whole partitions. It reports
// whether something has changed.
func (m *mover) replicate(now bucket.Now) (changed bool) {
	m.copies.relinked(m)
	changed = m.copyChanges(now)
	records := 0
	for range len(m.copies.todo) {
		p := m.copies.todo[0]
		if records >= backfill || m.msgs.Busy(m.view.members[m.view.Without(p)].Addr) {
			break
		}
		m.copies.todo = m.copies.todo[1:]
		m.copies.queued[p] = false
		records += 10 + m.copyWhole(p, now)
	}
	switch {
	case len(m.view.peers) == 0:
		m.stats.copiedAt.Store(0)
	case len(m.copies.todo) == 0:
		m.stats.copiedAt.Store(now.Mono)
	}
	m.replicas.prune(m.local.table, now)
	if p := m.replicas.pruned; m.replicas.stale(p, time.Now()) {
		m.replicas.forget(p)
		m.step(handover.Dropped{Part: p})
	}
	return changed
}

// copyChanges sends what has changed since the last time, and reports whether something has.
func (m *mover) copyChanges(now bucket.Now) (changed bool) {
	m.sendCopies() // if a panic has kept some
	for _, c := range m.local.table.Changes(now) {
		changed = true
		m.local.disk.add(c.Partition, c.State)
		to := m.view.Without(c.Partition)
		if to != m.self && !m.packCopy(to, c.Partition, c.State, now) {
			m.sendCopy(to, c.Partition, false, c.State, now)
		}
		m.copiedTo(c.Partition, c.State, to)
	}
	m.sendCopies()
	return changed
}

// relinked has all partitions copied again whose successor may have missed something.
func (c *copies) relinked(m *mover) {
	fresh := map[handover.Node]bool{}
	for _, n := range m.view.peers {
		session := m.msgs.Session(m.view.members[n].Addr, n.Boot)
		if session != 0 && c.session[n] != session {
			if c.session == nil {
				c.session = map[handover.Node]uint64{}
			}
			c.session[n] = session
			fresh[n] = true
		}
	}
	if len(fresh) == 0 {
		return
	}
	for p := range uint32(ring.Partitions) {
		if m.local.table.Here(p) && fresh[m.view.Without(p)] {
			c.again(p)
		}
	}
}

// copyWhole sends a whole partition to its successor, and tells the one before.
func (m *mover) copyWhole(p uint32, now bucket.Now) (records int) {
	to := m.view.Without(p)
	if to == (handover.Node{}) || to == m.self {
		delete(m.copies.sent, p) // what changes from now on is copied nowhere
		return 0
	}
	s := m.local.table.Export(p, now)
	if s == nil {
		delete(m.copies.sent, p)
		return 0
	}
	if before, ok := m.copies.sent[p]; ok && before.to != to {
		m.send(before.to, &peerpb.Msg{Of: &peerpb.Msg_Repl{Repl: &peerpb.Repl{Part: p, Full: true}}})
	}
	m.copies.sent[p] = copySent{to: to, gen: s.Gen}
	m.sendCopy(to, p, true, s, now)
	m.copiedTo(p, s, to)
	return len(s.Records)
}

func (m *mover) sendCopy(to handover.Node, p uint32, full bool, s *bucket.State, now bucket.Now) {
	c := handover.Copy{Gen: handover.Gen(s.Gen), Lineage: s.Lineage, State: s}
	m.send(to, &peerpb.Msg{Of: &peerpb.Msg_Repl{Repl: &peerpb.Repl{Part: p, Full: full, Copy: toCopy(c, now)}}})
	m.stats.copied(len(s.Records))
}
