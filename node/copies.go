// copies.go packs the copies of a beat: for counters that are rates, as nearly all are, a
// record takes some ten bytes beside its key, and no message of its own.

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
	leastRecord  = 5 // bytes
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

// packs reports whether a state is of the plain form: rates, and of each what the present
// lineage has counted. One that would fill a message goes by itself.
func packs(s *bucket.State) bool {
	if len(s.Reserved) > 0 {
		return false
	}
	size := 0
	for i := range s.Records {
		r := &s.Records[i]
		if size += len(r.Key) + 8*leastRecord; size > packedCopies/2 {
			return false
		}
		if r.Limit == nil || r.Limit.Kind != bucketring.KindRate || len(r.Marks) != 1 {
			return false
		}
		m := &r.Marks[0]
		if m.Lineage != s.Lineage || m.Gen != s.Gen || m.Seq != s.Seq || len(m.Slots)+len(m.Leases) > 0 {
			return false
		}
	}
	return true
}

// add appends a partition whose state packs. All numbers are varints:
//
//	part gen lineage seq count, and count times: def len(key) key at n part
func (p *copyPacker) add(part uint32, s *bucket.State, now bucket.Now) {
	if p.msg == nil {
		p.msg, p.defs = &peerpb.Repls{}, map[*bucketring.Limit]uint64{}
	}
	b := p.msg.Changes
	b = binary.AppendUvarint(b, uint64(part))
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
	}
	p.msg.Changes = b
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
	b      []byte
	limits []*bucketring.Limit
	bad    bool
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
	text := string(r.b[:size])
	r.b = r.b[size:]
	return text
}

// readCopies returns the copies of a message, with times on the clock of now, as far as
// they make sense.
func readCopies(m *peerpb.Repls, now bucket.Now) (all []packedCopy) {
	r := copyReader{b: m.GetChanges()}
	for _, d := range m.GetDefs() {
		r.limits = append(r.limits, limitOf(d))
	}
	for len(r.b) > 0 {
		part, s := r.number(), &bucket.State{Gen: r.number(), Lineage: r.number(), Seq: r.number()}
		count := r.number()
		if r.bad || part >= ring.Partitions || count > uint64(len(r.b)/leastRecord) || len(all) == ring.Partitions {
			break
		}
		s.Records = make([]bucket.Record, 0, count)
		marks := make([]bucket.Mark, count)
		for i := range marks {
			def := r.number()
			record := bucket.Record{Key: r.text(), Marks: marks[i : i+1 : i+1]}
			marks[i] = bucket.Mark{Lineage: s.Lineage, Gen: s.Gen, Seq: s.Seq, At: r.signed(), N: r.signed(), Part: r.signed()}
			if r.bad || def >= uint64(len(r.limits)) || r.limits[def].Kind != bucketring.KindRate {
				return all
			}
			record.Limit = r.limits[def]
			marks[i] = marks[i].Absolute(record.Limit, now)
			s.Records = append(s.Records, record)
		}
		c := handover.Copy{Gen: handover.Gen(s.Gen), Lineage: s.Lineage, State: s}
		all = append(all, packedCopy{uint32(part), c})
	}
	return all
}

// packCopy has a change leave with the others of this beat, if it can.
func (m *mover) packCopy(to handover.Node, part uint32, s *bucket.State, now bucket.Now) bool {
	if !packs(s) || !m.packsFor(to) {
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
	p.add(part, s, now)
	m.stats.copied(len(s.Records))
	if len(p.msg.Changes)+defBytes*len(p.msg.Defs) >= packedCopies {
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
