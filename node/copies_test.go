package node

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// plainState has records of rates, of any numbers.
func plainState(r *rand.Rand, limits []bucketring.Limit) *bucket.State {
	s := &bucket.State{Gen: r.Uint64(), Lineage: r.Uint64(), Seq: r.Uint64N(1000)}
	for i := range r.IntN(5) {
		s.Records = append(s.Records, bucket.Record{
			Limit: &limits[r.IntN(len(limits))], Key: fmt.Sprint("key:", i, string(make([]byte, r.IntN(300)))),
			Marks: []bucket.Mark{{
				Lineage: s.Lineage, Gen: s.Gen, Seq: s.Seq, At: r.Int64N(1 << 40), N: r.Int64() - r.Int64(), Part: r.Int64() - r.Int64(),
			}},
		})
	}
	return s
}

// slottedState is plainState with slots, of limits that have them.
func slottedState(r *rand.Rand, limits []bucketring.Limit) *bucket.State {
	s := plainState(r, limits)
	for i := range s.Records {
		for range r.IntN(mostSlots + 1) {
			m := &s.Records[i].Marks[0]
			m.Slots = append(m.Slots, r.Int64()-r.Int64())
		}
	}
	return s
}

// TestPackedCopies says the same as unpacked ones, on the clock of another node.
func TestPackedCopies(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	limits := bucketring.MustParse("10/m, 5/s burst=20, 100/h algorithm=fixed_window, 100/d@Europe/Berlin")
	slotted := append(bucketring.MustParse("9/m algorithm=sliding_window"),
		bucketring.Limit{Kind: bucketring.KindLevel, Amount: 7}, bucketring.Limit{Kind: bucketring.KindRegister, ID: 9})
	here, there := bucket.Now{Mono: int64(time.Hour)}, bucket.Now{Mono: int64(77 * time.Second)}
	for range 300 {
		var p copyPacker
		var want, wantSlotted []packedCopy
		for range 1 + r.IntN(4) {
			s, part, to := plainState(r, limits), r.Uint32N(ring.Partitions), &want
			if r.IntN(2) == 0 {
				s, to = slottedState(r, slotted), &wantSlotted
			}
			wire := packedAs(s)
			if wire != packedWire && (wire != slottedWire || to != &wantSlotted) {
				t.Fatalf("%+v packs by version %d", s, wire)
			}
			p.add(part, s, to == &wantSlotted, here)
			plain := fromState(toState(s, here), there)
			one := packedCopy{part: part}
			one.copy.Gen, one.copy.Lineage, one.copy.State = 0, plain.Lineage, plain
			*to = append(*to, one)
		}
		want = append(want, wantSlotted...)
		got := readCopies(p.msg, there)
		for i := range got {
			if uint64(got[i].copy.Gen) != stateOf(got[i].copy.State).Gen {
				t.Fatalf("generation of copy %d is %d, of its state %d", i, got[i].copy.Gen, stateOf(got[i].copy.State).Gen)
			}
			got[i].copy.Gen = 0
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(packedCopy{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("packed (-want +got):\n%s", diff)
		}
	}
}

// TestWhatDoesNotPack goes the long way.
func TestWhatDoesNotPack(t *testing.T) {
	rate, jobs := bucketring.MustParse("10/m"), bucketring.Limit{Kind: bucketring.KindConcurrency, Amount: 1}
	mark := bucket.Mark{Lineage: 1, Gen: 2, Seq: 3}
	state := func(change func(*bucket.State)) *bucket.State {
		s := &bucket.State{Gen: 2, Lineage: 1, Seq: 3, Records: []bucket.Record{{Limit: &rate[0], Key: "k", Marks: []bucket.Mark{mark}}}}
		change(s)
		return s
	}
	if wire := packedAs(state(func(*bucket.State) {})); wire != packedWire {
		t.Errorf("a plain state packs by version %d, want %d", wire, packedWire)
	}
	level := bucketring.Limit{Kind: bucketring.KindLevel, Amount: 1}
	for name, s := range map[string]*bucket.State{
		"sliding window": state(func(s *bucket.State) { s.Records[0].Marks[0].Slots = []int64{1} }),
		"level":          state(func(s *bucket.State) { s.Records[0].Limit = &level }),
	} {
		if wire := packedAs(s); wire != slottedWire {
			t.Errorf("%s: packs by version %d, want %d", name, wire, slottedWire)
		}
	}
	for name, s := range map[string]*bucket.State{
		"reservations":  state(func(s *bucket.State) { s.Reserved = make([]bucket.Reserved, 1) }),
		"leases":        state(func(s *bucket.State) { s.Records[0].Limit = &jobs }),
		"no limit":      state(func(s *bucket.State) { s.Records[0].Limit = nil }),
		"no mark":       state(func(s *bucket.State) { s.Records[0].Marks = nil }),
		"two lineages":  state(func(s *bucket.State) { s.Records[0].Marks = append(s.Records[0].Marks, bucket.Mark{Lineage: 9}) }),
		"an older mark": state(func(s *bucket.State) { s.Records[0].Marks[0].Seq-- }),
		"many slots":    state(func(s *bucket.State) { s.Records[0].Marks[0].Slots = make([]int64, mostSlots+1) }),
	} {
		if wire := packedAs(s); wire != 0 {
			t.Errorf("%s: packs by version %d, want it not to", name, wire)
		}
	}
}

// FuzzPackedCopies: what comes from outside is read as far as it makes sense.
func FuzzPackedCopies(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	limits := bucketring.MustParse("10/m, 100/h algorithm=fixed_window")
	var p copyPacker
	for range 3 {
		p.add(r.Uint32N(ring.Partitions), plainState(r, limits), false, bucket.Now{})
		p.add(r.Uint32N(ring.Partitions), slottedState(r, limits), true, bucket.Now{})
	}
	f.Add(p.msg.Changes, p.msg.Slotted)
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, changes, slotted []byte) {
		defs := []*peerpb.Def{limitDef(&limits[0]), {}, {Kind: 1}, {Algorithm: 200, PerNs: -1}, {Kind: 4, Id: 1}}
		all := readCopies(&peerpb.Repls{Defs: defs, Changes: changes, Slotted: slotted}, bucket.Now{Mono: 1})
		total := 0
		for _, c := range all {
			s := stateOf(c.copy.State)
			if total += len(s.Records); c.part >= ring.Partitions {
				t.Fatalf("partition %d is read", c.part)
			}
			for i := range s.Records {
				if l := s.Records[i].Limit; l == nil || l.Kind == bucketring.KindConcurrency || len(s.Records[i].Marks) != 1 {
					t.Fatalf("record %+v is read", s.Records[i])
				}
			}
		}
		if total > len(changes)+len(slotted) {
			t.Fatalf("%d records are read of %d bytes", total, len(changes)+len(slotted))
		}
	})
}

// TestCopiesForOlderNodes: what a node cannot read packed is left for a message of its own.
func TestCopiesForOlderNodes(t *testing.T) {
	to := handover.Node{Name: "n2", Boot: 1}
	rate, sliding := bucketring.MustParse("10/m"), bucketring.MustParse("10/m algorithm=sliding_window")
	state := func(l *bucketring.Limit, slots ...int64) *bucket.State {
		marks := []bucket.Mark{{Lineage: 1, Gen: 2, Seq: 3, Slots: slots}}
		return &bucket.State{Gen: 2, Lineage: 1, Seq: 3, Records: []bucket.Record{{Limit: l, Key: "k", Marks: marks}}}
	}
	for wire, want := range map[uint32][2]bool{0: {false, false}, 1: {false, false}, 2: {true, false}, 3: {true, true}} {
		var sent []*peerpb.Msg
		m := &mover{msgs: speaker{wire: wire, sent: &sent}, view: &ringView{members: map[handover.Node]ring.Member{to: {Name: "n2"}}}}
		got := [2]bool{m.packCopy(to, 1, state(&rate[0]), bucket.Now{}), m.packCopy(to, 2, state(&sliding[0], 4, 5), bucket.Now{})}
		if got != want {
			t.Errorf("wire %d packs a rate and a sliding window: %v, want %v", wire, got, want)
		}
		m.sendCopies()
		read := 0
		for _, msg := range sent {
			read += len(readCopies(msg.GetRepls(), bucket.Now{}))
		}
		packed := 0
		for _, one := range want {
			if one {
				packed++
			}
		}
		if read != packed {
			t.Errorf("wire %d: %d copies are sent packed, want %d", wire, read, packed)
		}
	}
}
