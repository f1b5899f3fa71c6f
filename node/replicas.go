// replicas.go keeps copies of what others hold, within a budget of memory.

package node

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
)

// recordSize is about what a copied counter uses, in bytes, beside its key.
const recordSize = 220

// replicas are copies of what others hold.
type replicas struct {
	of     [ring.Partitions]*replica
	limits sharedLimits
	pruned uint32
	most   int64 // bytes; 0 is no bound
	bytes  int64 // about what they use
}

// A replica is the copy of one partition.
type replica struct {
	from         handover.Node
	gen, lineage uint64
	seq          uint64
	whole        [wholeKept]uint64 // seq of the last copies that had room, in turn
	wholes       int
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
		for _, one := range records {
			one.Marks = slices.Clone(one.Marks) // those of the copy go on changing
			s.Records = append(s.Records, one)
		}
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
		if r := m.replicas.at(p); r != nil {
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
		at := slices.IndexFunc(all, func(one bucket.Record) bool {
			return one.Limit == fresh.Limit || one.Limit.SameCounter(fresh.Limit)
		})
		if size := recordSize + int64(len(fresh.Key)); at < 0 {
			if room -= size; room < 0 {
				over++
				continue
			}
			r.bytes += size
			// Clones, or one counter that stays would keep its whole message.
			key := strings.Clone(fresh.Key)
			r.records[key] = append(all, bucket.Record{Limit: fresh.Limit, Key: key, Marks: slices.Clone(fresh.Marks)})
			continue
		}
		joinRecord(&all[at], fresh)
	}
	if over == 0 {
		r.whole[r.wholes%wholeKept] = s.Seq
		r.wholes++
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

// joinRecord joins what is new of a counter to what the copy has, in its memory if it can.
func joinRecord(known, fresh *bucket.Record) {
	if known.Limit != fresh.Limit && *known.Limit != *fresh.Limit {
		known.Limit = fresh.Limit
	}
	marks := bucket.JoinMarks(known.Marks, fresh.Marks)
	if len(marks) != len(known.Marks) {
		known.Marks = slices.Clone(marks)
		return
	}
	copy(known.Marks, marks)
}

// sharedLimits has counters of one limit share it, as each message brings its own: it is read for
// each copy that comes, and then it is near.
type sharedLimits struct {
	known        map[bucketring.Limit]*bucketring.Limit
	came, shared *bucketring.Limit // the last one: mostly the next is the same
}

// mostShared bounds them. Copies keep those that they have.
const mostShared = 1024

func (l *sharedLimits) share(records []bucket.Record) {
	for i := range records {
		if r := &records[i]; r.Limit != nil {
			if r.Limit != l.came {
				l.came, l.shared = r.Limit, l.of(r.Limit)
			}
			r.Limit = l.shared
		}
	}
}

func (l *sharedLimits) of(came *bucketring.Limit) *bucketring.Limit {
	if shared := l.known[*came]; shared != nil {
		return shared
	}
	if l.known == nil || len(l.known) == mostShared {
		l.known = map[bucketring.Limit]*bucketring.Limit{}
	}
	l.known[*came] = came
	return came
}

// wholeKept is how many of the last copies are remembered.
const wholeKept = 8

// took reports whether a copy was taken lately, and all of it.
func (r *replica) took(seq uint64) bool { return seq != 0 && slices.Contains(r.whole[:], seq) }

// at returns the copy of a partition, nil if there is none, or no such partition.
func (rs *replicas) at(p uint32) *replica {
	if p >= ring.Partitions {
		return nil
	}
	return rs.of[p]
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
	if rs.of[p] = r; r != nil {
		rs.bytes += r.bytes
	}
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
	case r != nil && r.gen > uint64(c.Gen) && (r.lineage == c.Lineage || m.machine.HasCopy(p)):
		return // late, perhaps from a holder before the claim that this copy is of
	case r == nil || r.lineage != c.Lineage:
		r = newReplica(c.Lineage)
	case full:
		r = r.after(s)
	}
	news := r != old || r.from != from || r.gen != uint64(c.Gen) || !m.machine.HasCopy(p)
	if r.gen != uint64(c.Gen) { // which numbers its copies anew
		r.whole, r.wholes = [wholeKept]uint64{}, 0
	}
	r.from, r.gen, r.drop = from, uint64(c.Gen), time.Time{}
	before := r.bytes
	m.replicas.limits.share(s.Records)
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
