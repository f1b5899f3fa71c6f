// changes.go remembers which counters have changed since somebody looked, for copies
// at another node and on disk. A counter that is charged a thousand times in between is
// noted once.

package bucket

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bucketring/bucketring"
)

const noteStripes = 64

// changes are notes of what has changed. The zero value notes nothing.
type changes struct {
	on      atomic.Bool
	first   bool                          // note before the charge, for CloseChanged
	waiting atomic.Pointer[chan struct{}] // told of the next note; nil for nobody
	stripes [noteStripes]struct {
		mu    sync.Mutex
		notes []note  // guarded by mu
		spare []note  // empty, of memory that was used before; guarded by mu
		_     [8]byte // keeps stripes on cache lines of their own
	}
}

// A note names a counter, or a reservation.
type note struct {
	part uint32
	b    *bucket
	id   bucketring.ID // if b is nil
}

// TrackChanges has the table note changes from now on, or no more.
func (t *Table) TrackChanges(on bool) {
	if t.changes.on.Swap(on) && !on {
		for stripe := range t.changes.stripes {
			t.changes.drain(stripe)
		}
	}
}

// note notes a bucket. Where it is noted already, that costs one load.
func (t *Table) note(part uint32, b *bucket) {
	if !t.changes.on.Load() || b.tag.Load()&noted != 0 || b.tag.Or(noted)&noted != 0 {
		return
	}
	t.changes.add(note{part: part, b: b})
}

// Note has the next Changes bring a counter along, if it exists, whether it has changed or not.
func (t *Table) Note(c *Counter) {
	if b := t.parts[c.Partition].find(t.hash(c.Key, c.Limit), c); b != nil {
		t.note(c.Partition, b)
	}
}

func (t *Table) noteID(part uint32, id bucketring.ID) {
	if t.changes.on.Load() {
		t.changes.add(note{part: part, id: id})
	}
}

func (c *changes) add(n note) {
	s := &c.stripes[n.part%noteStripes]
	s.mu.Lock()
	s.notes = append(s.notes, n)
	s.mu.Unlock()
	if c.waiting.Load() == nil {
		return
	}
	if waiting := c.waiting.Swap(nil); waiting != nil {
		select {
		case *waiting <- struct{}{}:
		default:
		}
	}
}

// drain returns the notes of a stripe, by partition. They are to be given back.
func (c *changes) drain(stripe int) []note {
	s := &c.stripes[stripe]
	s.mu.Lock()
	notes := s.notes
	s.notes, s.spare = s.spare, nil
	s.mu.Unlock()
	for _, n := range notes {
		// Before the bucket is read: a charge that comes later notes it again.
		if n.b != nil {
			n.b.tag.And(^uint64(noted))
		}
	}
	slices.SortFunc(notes, func(a, b note) int { return cmp.Compare(a.part, b.part) })
	return notes
}

// keptNotes bounds the memory that a stripe keeps for its next notes.
const keptNotes = 1024

// giveBack takes the memory of notes that were read.
func (c *changes) giveBack(stripe int, notes []note) {
	clear(notes) // or dropped buckets would stay
	if cap(notes) > keptNotes {
		return
	}
	s := &c.stripes[stripe]
	s.mu.Lock()
	s.spare = notes[:0]
	s.mu.Unlock()
}

// NotifyChange has the next change that is noted put a value into wake, unless it is full.
// It is for whoever calls Changes and would wait for long otherwise; a change between that
// call and this one may go untold.
func (t *Table) NotifyChange(wake chan struct{}) {
	if old := t.changes.waiting.Load(); old == nil || *old != wake {
		t.changes.waiting.Store(&wake)
	}
}

// Changed is what has changed in a partition.
type Changed struct {
	Partition uint32
	State     *State
}

// Changes returns what has changed since the last call in the partitions that are
// here. Only one goroutine may call it.
func (t *Table) Changes(now Now) (all []Changed) {
	for stripe := range t.changes.stripes {
		notes := t.changes.drain(stripe)
		for rest := notes; len(rest) > 0; {
			last := 1
			for last < len(rest) && rest[last].part == rest[0].part {
				last++
			}
			if s := t.changed(rest[:last], now); s != nil {
				all = append(all, Changed{rest[0].part, s})
			}
			rest = rest[last:]
		}
		t.changes.giveBack(stripe, notes)
	}
	return all
}

// changed returns what was noted of one partition, nil if it is not here.
func (t *Table) changed(notes []note, now Now) *State {
	p := &t.parts[notes[0].part]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return nil
	}
	return t.changedLocked(p, notes, now)
}

// changedLocked returns what was noted of a partition, as it is now.
func (t *Table) changedLocked(p *part, notes []note, now Now) *State {
	s := p.stateLocked()
	s.Records = make([]Record, 0, len(notes))
	for _, n := range notes {
		if n.b == nil {
			s.Reserved = append(s.Reserved, reservedAs(n.id, p.reserved[n.id]))
			continue
		}
		b := n.b
		if b.isSealed() { // by whoever dropped or replaced it
			b = p.find(n.b.hash(), &Counter{Key: n.b.key(), Limit: &n.b.rule.limit})
		}
		switch {
		case b == nil: // dropped, so it is as if it had never been
			b = newBucket(n.b.rule, n.b.hash(), n.b.key(), now, 0)
		case b != n.b && b.tag.Load()&noted != 0:
			continue // it is noted itself, for the next time
		}
		s.Records = append(s.Records, p.recordLocked(b, now))
	}
	return s
}
