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

// TestPackedCopies says the same as unpacked ones, on the clock of another node.
func TestPackedCopies(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	limits := bucketring.MustParse("10/m, 5/s burst=20, 100/h algorithm=fixed_window, 100/d@Europe/Berlin")
	here, there := bucket.Now{Mono: int64(time.Hour)}, bucket.Now{Mono: int64(77 * time.Second)}
	for range 300 {
		var p copyPacker
		var want []packedCopy
		for range 1 + r.IntN(4) {
			s, part := plainState(r, limits), r.Uint32N(ring.Partitions)
			if !packs(s) {
				t.Fatalf("%+v does not pack", s)
			}
			p.add(part, s, here)
			plain := fromState(toState(s, here), there)
			one := packedCopy{part: part}
			one.copy.Gen, one.copy.Lineage, one.copy.State = 0, plain.Lineage, plain
			want = append(want, one)
		}
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
	if !packs(state(func(*bucket.State) {})) {
		t.Error("a plain state does not pack")
	}
	for name, s := range map[string]*bucket.State{
		"reservations":   state(func(s *bucket.State) { s.Reserved = make([]bucket.Reserved, 1) }),
		"leases":         state(func(s *bucket.State) { s.Records[0].Limit = &jobs }),
		"no limit":       state(func(s *bucket.State) { s.Records[0].Limit = nil }),
		"no mark":        state(func(s *bucket.State) { s.Records[0].Marks = nil }),
		"two lineages":   state(func(s *bucket.State) { s.Records[0].Marks = append(s.Records[0].Marks, bucket.Mark{Lineage: 9}) }),
		"an older mark":  state(func(s *bucket.State) { s.Records[0].Marks[0].Seq-- }),
		"sliding window": state(func(s *bucket.State) { s.Records[0].Marks[0].Slots = []int64{1} }),
	} {
		if packs(s) {
			t.Errorf("%s: packs, want it not to", name)
		}
	}
}

// FuzzPackedCopies: what comes from outside is read as far as it makes sense.
func FuzzPackedCopies(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	limits := bucketring.MustParse("10/m, 100/h algorithm=fixed_window")
	var p copyPacker
	for range 3 {
		p.add(r.Uint32N(ring.Partitions), plainState(r, limits), bucket.Now{})
	}
	f.Add(p.msg.Changes)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, changes []byte) {
		defs := []*peerpb.Def{limitDef(&limits[0]), {}, {Kind: 1}, {Algorithm: 200, PerNs: -1}}
		all := readCopies(&peerpb.Repls{Defs: defs, Changes: changes}, bucket.Now{Mono: 1})
		total := 0
		for _, c := range all {
			s := stateOf(c.copy.State)
			if total += len(s.Records); c.part >= ring.Partitions {
				t.Fatalf("partition %d is read", c.part)
			}
			for i := range s.Records {
				if s.Records[i].Limit == nil || s.Records[i].Limit.Kind != bucketring.KindRate || len(s.Records[i].Marks) != 1 {
					t.Fatalf("record %+v is read", s.Records[i])
				}
			}
		}
		if total > len(changes) {
			t.Fatalf("%d records are read of %d bytes", total, len(changes))
		}
	})
}
