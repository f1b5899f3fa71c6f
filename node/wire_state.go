// wire_state.go writes the counters of a partition and reads them.

package node

import (
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// toState writes a state with times counted from now; nil is nil.
func toState(s *bucket.State, now bucket.Now) *peerpb.State {
	if s == nil {
		return nil
	}
	s = s.Relative(now)
	w := stateWriter{state: &peerpb.State{Gen: s.Gen, Lineage: s.Lineage, Seq: s.Seq}, defs: map[bucketring.Limit]uint32{}}
	for i := range s.Records {
		r := &s.Records[i]
		record := &peerpb.Record{Def: w.def(r.Limit), Key: []byte(r.Key), Marks: make([]*peerpb.Mark, len(r.Marks))}
		for j := range r.Marks {
			record.Marks[j] = w.mark(&r.Marks[j])
		}
		w.state.Records = append(w.state.Records, record)
	}
	for i := range s.Reserved {
		r := &s.Reserved[i]
		reserved := &peerpb.Reserved{
			Id: r.ID[:], Key: []byte(r.Key), Window: r.Window, Until: r.Until, Full: r.Full, Charged: r.Charged, Settled: r.Settled,
		}
		if r.Limit != nil {
			reserved.Def = w.def(r.Limit)
		}
		w.state.Reserved = append(w.state.Reserved, reserved)
	}
	return w.state
}

type stateWriter struct {
	state *peerpb.State
	defs  map[bucketring.Limit]uint32
}

// def returns the number of a limit, from 1; 0 is none.
func (w *stateWriter) def(l *bucketring.Limit) uint32 {
	no, known := w.defs[*l]
	if !known {
		w.state.Defs = append(w.state.Defs, limitDef(l))
		no = uint32(len(w.state.Defs))
		w.defs[*l] = no
	}
	return no
}

func (w *stateWriter) mark(m *bucket.Mark) *peerpb.Mark {
	mark := &peerpb.Mark{At: m.At, N: m.N, Part: m.Part, Slots: m.Slots}
	if m.Lineage != w.state.GetLineage() || m.Gen != w.state.GetGen() || m.Seq != w.state.GetSeq() {
		mark.Lineage, mark.Gen, mark.Seq = m.Lineage, m.Gen, m.Seq
	}
	for i := range m.Leases {
		l := &m.Leases[i]
		mark.Leases = append(mark.Leases, &peerpb.Lease{
			Id: l.ID[:], Cost: l.Cost, Taken: l.Taken, Expires: l.Expires, Last: l.Last, Life: l.Life,
		})
	}
	return mark
}

func limitDef(l *bucketring.Limit) *peerpb.Def {
	return &peerpb.Def{
		Limit: l.Name, Id: l.ID, Kind: uint32(l.Kind), Algorithm: uint32(l.Algorithm), Align: uint32(l.Align), Zone: l.Zone,
		Precision: uint32(l.Precision), Amount: l.Amount, Burst: l.Burst, PerNs: int64(l.Per), TtlNs: int64(l.TTL), MaxNs: int64(l.MaxAge),
	}
}

// limitOf reads a limit. Who uses it checks it: what does not fit becomes a value that
// Validate refuses.
func limitOf(d *peerpb.Def) *bucketring.Limit {
	small := func(n uint32) uint8 { return uint8(min(n, 255)) }
	return &bucketring.Limit{
		Name: d.GetLimit(), ID: d.GetId(), Kind: bucketring.Kind(small(d.GetKind())), Algorithm: bucketring.Algorithm(small(d.GetAlgorithm())),
		Align: bucketring.Align(small(d.GetAlign())), Zone: d.GetZone(), Precision: small(d.GetPrecision()), Amount: d.GetAmount(),
		Burst: d.GetBurst(), Per: time.Duration(d.GetPerNs()), TTL: time.Duration(d.GetTtlNs()), MaxAge: time.Duration(d.GetMaxNs()),
	}
}

// fromState reads a state with times on the clock of now. What names no limit is left
// out.
func fromState(w *peerpb.State, now bucket.Now) *bucket.State {
	s := &bucket.State{Gen: w.GetGen(), Lineage: w.GetLineage(), Seq: w.GetSeq()}
	limits := make([]*bucketring.Limit, len(w.GetDefs()))
	for i, d := range w.GetDefs() {
		limits[i] = limitOf(d)
	}
	limit := func(no uint32) *bucketring.Limit {
		if no == 0 || int(no) > len(limits) {
			return nil
		}
		return limits[no-1]
	}
	for _, r := range w.GetRecords() {
		if l := limit(r.GetDef()); l != nil {
			s.Records = append(s.Records, bucket.Record{Limit: l, Key: string(r.GetKey()), Marks: fromMarks(w, r.GetMarks())})
		}
	}
	for _, r := range w.GetReserved() {
		reserved := bucket.Reserved{
			Limit: limit(r.GetDef()), Key: string(r.GetKey()), Window: r.GetWindow(), Until: r.GetUntil(), Full: r.GetFull(),
			Charged: r.GetCharged(), Settled: r.GetSettled(),
		}
		if copy(reserved.ID[:], r.GetId()) == len(reserved.ID) {
			s.Reserved = append(s.Reserved, reserved)
		}
	}
	return s.Absolute(now)
}

func fromMarks(w *peerpb.State, marks []*peerpb.Mark) []bucket.Mark {
	all := make([]bucket.Mark, len(marks))
	for i, m := range marks {
		all[i] = bucket.Mark{
			Lineage: m.GetLineage(), Gen: m.GetGen(), Seq: m.GetSeq(), At: m.GetAt(), N: m.GetN(), Part: m.GetPart(), Slots: m.GetSlots(),
		}
		if m.GetLineage() == 0 && m.GetGen() == 0 && m.GetSeq() == 0 {
			all[i].Lineage, all[i].Gen, all[i].Seq = w.GetLineage(), w.GetGen(), w.GetSeq()
		}
		for _, l := range m.GetLeases() {
			lease := bucket.Lease{Cost: l.GetCost(), Taken: l.GetTaken(), Expires: l.GetExpires(), Last: l.GetLast(), Life: l.GetLife()}
			if copy(lease.ID[:], l.GetId()) == len(lease.ID) {
				all[i].Leases = append(all[i].Leases, lease)
			}
		}
	}
	return all
}
