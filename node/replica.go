// replica.go copies what this node holds to the node that would own it next, and keeps
// the copies of others. A copy decides nothing, but for failover.go.

package node

import (
	"math"
	"slices"
	"time"

	"github.com/bucketring/bucketring"
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

// replicate sends what has changed since the last time, and whole partitions.
func (m *mover) replicate(now bucket.Now) {
	m.copies.relinked(m)
	for _, c := range m.local.table.Changes(now) {
		m.local.disk.add(c.Partition, c.State)
		if to := m.view.Without(c.Partition); to != m.self {
			m.sendCopy(to, c.Partition, false, c.State, now)
		}
	}
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
	return len(s.Records)
}

func (m *mover) sendCopy(to handover.Node, p uint32, full bool, s *bucket.State, now bucket.Now) {
	c := handover.Copy{Gen: handover.Gen(s.Gen), Lineage: s.Lineage, State: s}
	m.send(to, &peerpb.Msg{Of: &peerpb.Msg_Repl{Repl: &peerpb.Repl{Part: p, Full: full, Copy: toCopy(c, now)}}})
	m.stats.copied(len(s.Records))
}

// recordSize is about what a copied counter uses, in bytes, beside its key.
const recordSize = 220

// replicas are copies of what others hold.
type replicas struct {
	of     map[uint32]*replica
	pruned uint32
	most   int64 // bytes; 0 is no bound
	bytes  int64 // about what they use
}

// A replica is the copy of one partition.
type replica struct {
	from         handover.Node
	gen, lineage uint64
	seq          uint64
	records      map[string][]bucket.Record
	reserved     map[bucketring.ID]bucket.Reserved
	drop         time.Time // when to forget it; zero while its holder has this successor
	bytes        int64     // about what it uses
}

// stateOf returns the state behind a handle of the machine.
func stateOf(h handover.State) *bucket.State {
	switch s := h.(type) {
	case *bucket.State:
		return s
	case *replica:
		return s.state()
	}
	return nil
}

func (r *replica) state() *bucket.State {
	s := &bucket.State{Gen: r.gen, Lineage: r.lineage, Seq: r.seq}
	for _, records := range r.records {
		s.Records = append(s.Records, records...)
	}
	for _, one := range r.reserved {
		s.Reserved = append(s.Reserved, one)
	}
	return s
}

// replica returns the copy of a partition, nil if there is none or Run has ended. It is
// for other goroutines than run.
func (m *mover) replica(p uint32) *bucket.State {
	found := make(chan *bucket.State, 1)
	m.post(func() {
		if r := m.replicas.of[p]; r != nil {
			found <- r.state()
		} else {
			found <- nil
		}
	})
	select {
	case s := <-found:
		return s
	case <-m.ended:
		return nil
	}
}

// take joins what the holder has sent. Of each counter the later word counts. It returns
// how many new ones had no room.
func (r *replica) take(s *bucket.State, room int64) (over int64) {
	r.seq = max(r.seq, s.Seq)
	for i := range s.Records {
		fresh := &s.Records[i]
		all := r.records[fresh.Key]
		at := slices.IndexFunc(all, func(one bucket.Record) bool { return one.Limit.SameCounter(fresh.Limit) })
		if size := recordSize + int64(len(fresh.Key)); at < 0 {
			if room -= size; room < 0 {
				over++
				continue
			}
			r.bytes += size
			r.records[fresh.Key] = append(all, *fresh)
			continue
		}
		all[at] = bucket.Record{Limit: fresh.Limit, Key: fresh.Key, Marks: bucket.JoinMarks(all[at].Marks, fresh.Marks)}
	}
	for _, one := range s.Reserved {
		if one.Limit == nil {
			delete(r.reserved, one.ID)
		} else {
			r.reserved[one.ID] = one
		}
	}
	return over
}

// room returns the bytes that further copies may use.
func (rs *replicas) room() int64 {
	if rs.most == 0 {
		return math.MaxInt64
	}
	return rs.most - rs.bytes
}

// put makes r the copy of a partition; nil is none.
func (rs *replicas) put(p uint32, r *replica) {
	if old := rs.of[p]; old != nil {
		rs.bytes -= old.bytes
	}
	if r == nil {
		delete(rs.of, p)
		return
	}
	rs.of[p] = r
	rs.bytes += r.bytes
}

// stale reports whether a copy has had another successor for long.
func (rs *replicas) stale(p uint32, now time.Time) bool {
	r := rs.of[p]
	return r != nil && !r.drop.IsZero() && now.After(r.drop)
}

func (rs *replicas) forget(p uint32) { rs.put(p, nil) }

// prune forgets what says nothing any more in the next copy.
func (rs *replicas) prune(t *bucket.Table, now bucket.Now) {
	rs.pruned = (rs.pruned + 1) % ring.Partitions
	r := rs.of[rs.pruned]
	if r == nil {
		return
	}
	before := r.bytes
	defer func() { rs.bytes += r.bytes - before }()
	for key, all := range r.records {
		kept := slices.DeleteFunc(slices.Clone(all), func(one bucket.Record) bool { return t.IsUnused(&one, now) })
		r.bytes -= int64(len(all)-len(kept)) * (recordSize + int64(len(key)))
		if len(kept) == 0 {
			delete(r.records, key)
		} else {
			r.records[key] = kept
		}
	}
	for id, one := range r.reserved {
		if one.Until <= now.Mono {
			delete(r.reserved, id)
		}
	}
}

// after is a copy that a holder has sent whole: what it had is replaced, but for what
// came since.
func (r *replica) after(s *bucket.State) *replica {
	fresh := newReplica(r.lineage)
	if r.gen == s.Gen {
		fresh.seq = r.seq // what came since is later than s
	}
	late := func(marks []bucket.Mark) bool {
		return slices.ContainsFunc(marks, func(m bucket.Mark) bool {
			return m.Lineage == s.Lineage && (m.Gen > s.Gen || m.Gen == s.Gen && m.Seq > s.Seq)
		})
	}
	for key, all := range r.records {
		for _, one := range all {
			if late(one.Marks) {
				fresh.records[key] = append(fresh.records[key], one)
				fresh.bytes += recordSize + int64(len(key))
			}
		}
	}
	return fresh
}

func newReplica(lineage uint64) *replica {
	return &replica{lineage: lineage, records: map[string][]bucket.Record{}, reserved: map[bucketring.ID]bucket.Reserved{}}
}

// replicated takes a copy from a holder.
func (m *mover) replicated(from handover.Node, p uint32, full bool, c handover.Copy) {
	if p >= ring.Partitions {
		return
	}
	s, old := stateOf(c.State), m.replicas.of[p]
	r := old
	switch {
	case s == nil: // it has another successor now
		if r != nil && r.from == from {
			r.drop = time.Now().Add(dropAfter)
		}
		return
	case r == nil || r.lineage != c.Lineage:
		r = newReplica(c.Lineage)
	case r.gen > uint64(c.Gen):
		return // late
	case full:
		r = r.after(s)
	}
	news := r != old || r.from != from || r.gen != uint64(c.Gen) || !m.machine.HasCopy(p)
	r.from, r.gen, r.drop = from, uint64(c.Gen), time.Time{}
	before := r.bytes
	m.stats.uncopied.Add(r.take(s, m.replicas.room()))
	m.local.disk.add(p, s)
	switch {
	case m.local.table.Here(p):
	case r == old:
		m.replicas.bytes += r.bytes - before
	default:
		m.replicas.put(p, r)
	}
	if news {
		m.step(handover.Replicated{Part: p, From: from, Copy: handover.Copy{Gen: c.Gen, Lineage: c.Lineage, State: r}, Upto: r.seq})
		m.routeTo(p)
	}
}
