// harm_test.go joins states one by one that have once done harm, or could.

package bucket_test

import (
	"math"
	"slices"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// hostile are states that have once done harm, each said of the key k by a lineage. ours
// is 1.
var hostile = []struct {
	name, kind string
	lineage    uint64
	mark       bucket.Mark
	reserved   []bucket.Reserved
	ignored    bool // it changes nothing at all
}{
	{name: "sum of slots wraps", kind: "sliding", lineage: 1, mark: slotsOf(math.MaxInt64, math.MaxInt64)},
	{name: "sum of others' slots wraps", kind: "sliding", lineage: 2, mark: slotsOf(math.MaxInt64, math.MaxInt64)},
	{name: "sum of costs wraps", kind: "leases", lineage: 2, mark: leasesAt(idOf(1), math.MaxInt64, idOf(2), math.MaxInt64)},
	{name: "lease without an id", kind: "leases", lineage: 2, mark: leasesAt(bucketring.ID{}, 1), ignored: true},
	{name: "lease that gives", kind: "leases", lineage: 2, mark: leasesAt(idOf(1), -5), ignored: true},
	{name: "reservation of leases", kind: "leases", lineage: 2, reserved: []bucket.Reserved{{ID: idOf(1), Until: math.MaxInt64}}, ignored: true},
	{name: "reservation that gives", kind: "epoch", lineage: 2, ignored: true,
		reserved: []bucket.Reserved{{ID: idOf(1), Until: math.MaxInt64, Charged: math.MinInt64}}},
	{name: "full in a while", kind: "wide bucket", lineage: 2, mark: bucket.Mark{At: math.MaxInt64}, ignored: true},
	{name: "begins in a year", kind: "first", lineage: 2, mark: bucket.Mark{At: 1 << 36, N: 5}, ignored: true},
	{name: "begins never", kind: "first month", lineage: 2, mark: bucket.Mark{At: 1 << 50, N: 5}, ignored: true},
}

func slotsOf(counts ...int64) bucket.Mark {
	m := bucket.Mark{At: slotAt(noon), Slots: make([]int64, 61)}
	copy(m.Slots, counts)
	return m
}

func leasesAt(all ...any) (m bucket.Mark) {
	for i := 0; i < len(all); i += 2 {
		cost := all[i+1].(int)
		m.Leases = append(m.Leases, bucket.Lease{ID: all[i].(bucketring.ID), Cost: int64(cost), Expires: math.MaxInt64})
	}
	return m
}

// TestHostileOnes joins and opens each of them beside one take of 3.
func TestHostileOnes(t *testing.T) {
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			all := kinds()
			k := all[slices.IndexFunc(all, func(k kind) bool { return k.name == tt.kind })]
			s := newSite(k.limit, 1)
			s.take(noon, 3)
			want := seen(s.table, s.c, noon)[0]
			tt.mark.Lineage = tt.lineage
			for i := range tt.reserved {
				tt.reserved[i].Limit, tt.reserved[i].Key = &k.limit, "k"
			}
			state := &bucket.State{Records: []bucket.Record{{Limit: &k.limit, Key: "k", Marks: []bucket.Mark{tt.mark}}}, Reserved: tt.reserved}
			s.table.Join(0, state, noon)
			got := seen(s.table, s.c, noon)[0]
			if got.Remaining < 0 || got.Remaining > want.Remaining || tt.ignored && got != want {
				t.Errorf("peek after Join = %+v, before it was %+v", got, want)
			}
			opened := bucket.New(bucket.Config{Closed: true})
			opened.Open(0, 2, 1, state, noon)
			for _, table := range []*bucket.Table{s.table, opened} {
				if fault := (&tape{}).use(table, s.c, noon); fault != "" {
					t.Error(fault)
				}
			}
			if tt.reserved != nil && s.table.Stats().Reservations > 0 || k.limit.Kind == bucketring.KindConcurrency && s.table.Take(s.c, noon, 1).Allowed {
				t.Error("there is a reservation, or a lease that nobody can end")
			}
		})
	}
}

// TestHugeNumberIsTakenBack: what a lineage has said too much of does not take with it
// what was counted here.
func TestHugeNumberIsTakenBack(t *testing.T) {
	s := newSite(shapes()[1], 1)
	s.take(noon, 3)
	window, _ := windowAt(*s.c.Limit, noon.Wall)
	for seq, n := range []int64{math.MaxInt64, 2} {
		m := bucket.Mark{Lineage: 2, Seq: uint64(seq), At: window, N: n}
		s.table.Join(0, &bucket.State{Records: []bucket.Record{{Limit: s.c.Limit, Key: "k", Marks: []bucket.Mark{m}}}}, noon)
	}
	if got := used(s.table, s.c, noon); got != 5 {
		t.Errorf("Used = %d after a take of 3 and 2 of another lineage, want 5", got)
	}
}

// TestMarksInAnyOrder: a record whose lineages are not sorted, or come twice, is read as
// one that is right.
func TestMarksInAnyOrder(t *testing.T) {
	window, _ := windowAt(shapes()[1], noon.Wall)
	mark := func(lineage, seq uint64, n int64) bucket.Mark {
		return bucket.Mark{Lineage: lineage, Gen: 1 << 40, Seq: seq, At: window, N: n} // later than what is here
	}
	marks := []bucket.Mark{mark(5, 2, 3), mark(7, 1, 1), mark(2, 1, 2), mark(5, 1, 9), mark(1, 1, 1)}
	for _, lineage := range []uint64{1, 2, 5, 9} {
		s := newSite(shapes()[1], lineage)
		for range 2 {
			s.table.Join(0, &bucket.State{Records: []bucket.Record{{Limit: s.c.Limit, Key: "k", Marks: marks}}}, noon)
			if got := used(s.table, s.c, noon); got != 7 {
				t.Errorf("lineage %d: Used = %d of %v, want 7", lineage, got, marks)
			}
		}
	}
}
