// copies.go packs the copies of a beat: a record of a rate takes some ten bytes beside its key,
// one of what has slots a few more for each, and none needs a message of its own.

package node

import (
	"encoding/binary"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	// packedCopies is the size at which a message is full, of which a limit takes about
	// defBytes: it must not become one that travels apart from those that follow.
	packedCopies = 16 << 10
	defBytes     = 64
	leastRecord  = 5  // bytes
	mostSlots    = 64 // of a counter
)

// A copyPacker makes the messages of one beat for one node.
type copyPacker struct {
	msg  *peerpb.Repls // nil for none in the making
	defs map[*bucketring.Limit]uint64
}

// A packedCopy is what has changed in a partition.
type packedCopy struct {
	part uint32
	copy handover.Copy
}

// packedAs returns the version of the wire that has a packed form for a state: of each counter
// what the present lineage has counted, and no leases. 0 is for one that goes by itself, as
// do those that would fill a message.
func packedAs(s *bucket.State) (wire uint32) {
	if len(s.Reserved) > 0 {
		return 0
	}
	wire = packedWire
	size := 0
	for i := range s.Records {
		r := &s.Records[i]
		if r.Limit == nil || r.Limit.Kind == bucketring.KindConcurrency || len(r.Marks) != 1 {
			return 0
		}
		m := &r.Marks[0]
		if m.Lineage != s.Lineage || m.Gen != s.Gen || m.Seq != s.Seq || len(m.Leases) > 0 || len(m.Slots) > mostSlots {
			return 0
		}
		if r.Limit.Kind != bucketring.KindRate || len(m.Slots) > 0 {
			wire = slottedWire
		}
		if size += len(r.Key) + 8*(leastRecord+len(m.Slots)); size > packedCopies/2 {
			return 0
		}
	}
	return wire
}

// add appends a partition whose state packs. All numbers are varints:
//
//	part gen lineage seq count, and count times: def len(key) key at n part
//
// The slotted form has the number of slots, and those, behind each.
func (p *copyPacker) add(part uint32, s *bucket.State, slotted bool, now bucket.Now) {
	if p.msg == nil {
		p.msg, p.defs = &peerpb.Repls{}, map[*bucketring.Limit]uint64{}
	}
	to := &p.msg.Changes
	if slotted {
		to = &p.msg.Slotted
	}
	b := binary.AppendUvarint(*to, uint64(part))
	b = binary.AppendUvarint(b, s.Gen)
	b = binary.AppendUvarint(b, s.Lineage)
	b = binary.AppendUvarint(b, s.Seq)
	b = binary.AppendUvarint(b, uint64(len(s.Records)))
	for i := range s.Records {
		r := &s.Records[i]
		m := r.Marks[0].Relative(r.Limit, now)
		b = binary.AppendUvarint(b, p.def(r.Limit))
		b = binary.AppendUvarint(b, uint64(len(r.Key)))
		b = append(b, r.Key...)
		b = binary.AppendVarint(b, m.At)
		b = binary.AppendVarint(b, m.N)
		b = binary.AppendVarint(b, m.Part)
		if !slotted {
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(m.Slots)))
		for _, n := range m.Slots {
			b = binary.AppendVarint(b, n)
		}
	}
	*to = b
}

// def returns the place of a limit. Counters of one rule share it.
func (p *copyPacker) def(l *bucketring.Limit) uint64 {
	no, known := p.defs[l]
	if !known {
		no = uint64(len(p.msg.Defs))
		p.msg.Defs = append(p.msg.Defs, limitDef(l))
		p.defs[l] = no
	}
	return no
}

// A copyReader reads what add has written. What does not fit ends it.
type copyReader struct {
	b       []byte
	whole   string // of which b is the end: keys are parts of it
	limits  []*bucketring.Limit
	slotted bool
	bad     bool
	usual   int // size of a slab's pieces
	states  slab[bucket.State]
	records slab[bucket.Record]
	marks   slab[bucket.Mark]
}

// A slab gives out pieces of larger pieces of memory: most partitions of a message have
// one record.
type slab[T any] struct{ free []T }

const (
	slabSize = 64 // pieces at a time, at most
	// usualCopy is what a partition of one record takes, in bytes: a message that is short
	// has as few.
	usualCopy = 32
)

func (s *slab[T]) next(n, usual int) []T {
	if n > len(s.free) {
		s.free = make([]T, max(n, usual))
	}
	piece := s.free[:n:n]
	s.free = s.free[n:]
	return piece
}

func (r *copyReader) number() uint64 {
	x, n := binary.Uvarint(r.b)
	return r.read(x, n)
}

func (r *copyReader) signed() int64 {
	x, n := binary.Varint(r.b)
	r.read(0, n)
	return x
}

func (r *copyReader) read(x uint64, n int) uint64 {
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *copyReader) text() string {
	size := r.number()
	if size > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	from := len(r.whole) - len(r.b)
	r.b = r.b[size:]
	return r.whole[from : from+int(size)]
}

// slots reads the number of slots and those.
func (r *copyReader) slots() []int64 {
	count := r.number()
	if count > mostSlots || count > uint64(len(r.b)) {
		r.bad, r.b = true, nil
	}
	if r.bad || count == 0 {
		return nil
	}
	slots := make([]int64, count)
	for i := range slots {
		slots[i] = r.signed()
	}
	return slots
}

// readCopies returns the copies of a message, with times on the clock of now, as far as
// they make sense.
func readCopies(m *peerpb.Repls, now bucket.Now) (all []packedCopy) {
	limits := make([]*bucketring.Limit, len(m.GetDefs()))
	for i, d := range m.GetDefs() {
		limits[i] = limitOf(d)
	}
	all = make([]packedCopy, 0, min((len(m.GetChanges())+len(m.GetSlotted()))/usualCopy, ring.Partitions))
	for slotted, b := range [][]byte{m.GetChanges(), m.GetSlotted()} {
		r := copyReader{b: b, whole: string(b), limits: limits, slotted: slotted == 1, usual: min(len(b)/usualCopy+1, slabSize)}
		for len(r.b) > 0 && len(all) < 2*ring.Partitions {
			part, s := r.partition(now)
			if s == nil {
				break
			}
			c := handover.Copy{Gen: handover.Gen(s.Gen), Lineage: s.Lineage, State: s}
			all = append(all, packedCopy{part, c})
		}
	}
	return all
}

// partition reads one partition; its state is nil if that makes no sense.
func (r *copyReader) partition(now bucket.Now) (uint32, *bucket.State) {
	part, s := r.number(), &r.states.next(1, r.usual)[0]
	s.Gen, s.Lineage, s.Seq = r.number(), r.number(), r.number()
	count := r.number()
	if r.bad || part >= ring.Partitions || count > uint64(len(r.b)/leastRecord) {
		return 0, nil
	}
	s.Records = r.records.next(int(count), r.usual)
	marks := r.marks.next(int(count), r.usual)
	for i := range marks {
		def := r.number()
		record := &s.Records[i]
		record.Key, record.Marks = r.text(), marks[i:i+1:i+1]
		marks[i] = bucket.Mark{Lineage: s.Lineage, Gen: s.Gen, Seq: s.Seq, At: r.signed(), N: r.signed(), Part: r.signed()}
		if r.slotted {
			marks[i].Slots = r.slots()
		}
		if r.bad || def >= uint64(len(r.limits)) {
			return 0, nil
		}
		record.Limit = r.limits[def]
		if kind := record.Limit.Kind; kind == bucketring.KindConcurrency || kind != bucketring.KindRate && !r.slotted {
			return 0, nil
		}
		marks[i] = marks[i].Absolute(record.Limit, now)
	}
	return uint32(part), s
}

// packCopy has a change leave with the others of this beat, if it can.
func (m *mover) packCopy(to handover.Node, part uint32, s *bucket.State, now bucket.Now) bool {
	wire := packedAs(s)
	if wire == 0 || m.wireOf(to) < wire {
		return false
	}
	if m.copies.packers == nil {
		m.copies.packers = map[handover.Node]*copyPacker{}
	}
	p := m.copies.packers[to]
	if p == nil {
		p = &copyPacker{}
		m.copies.packers[to] = p
	}
	p.add(part, s, wire == slottedWire, now)
	m.stats.copied(len(s.Records))
	if len(p.msg.Changes)+len(p.msg.Slotted)+defBytes*len(p.msg.Defs) >= packedCopies {
		m.sendPacked(to, p)
	}
	return true
}

// sendCopies sends what was packed.
func (m *mover) sendCopies() {
	for to, p := range m.copies.packers {
		if p.msg != nil {
			m.sendPacked(to, p)
		}
	}
	clear(m.copies.packers)
}

func (m *mover) sendPacked(to handover.Node, p *copyPacker) {
	msg := p.msg
	p.msg, p.defs = nil, nil // what is sent must not change
	m.send(to, &peerpb.Msg{Of: &peerpb.Msg_Repls{Repls: msg}})
}
