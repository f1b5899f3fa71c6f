// changes_test.go keeps a copy of a table by what the table says has changed.

package bucket_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// A place is what tells counters of a copy apart: the limit is without amounts.
type place struct {
	partition uint32
	key       string
	limit     bucketring.Limit
}

// A copied is a copy of a table: the latest record of each counter and reservation.
type copied struct {
	records  map[place]bucket.Record
	reserved map[uint32]map[bucketring.ID]bucket.Reserved
}

func newCopied() *copied {
	return &copied{map[place]bucket.Record{}, map[uint32]map[bucketring.ID]bucket.Reserved{}}
}

// add takes in what a partition has, or what has changed of it.
func (c *copied) add(partition uint32, s *bucket.State) {
	for _, r := range s.Records {
		l := *r.Limit
		l.Amount, l.Burst = 0, 0
		c.records[place{partition, r.Key, l}] = r
	}
	if c.reserved[partition] == nil {
		c.reserved[partition] = map[bucketring.ID]bucket.Reserved{}
	}
	for _, r := range s.Reserved {
		if c.reserved[partition][r.ID] = r; r.Limit == nil {
			delete(c.reserved[partition], r.ID)
		}
	}
}

// states returns the copy as a state of each partition.
func (c *copied) states() map[uint32]*bucket.State {
	all := map[uint32]*bucket.State{}
	at := func(partition uint32) *bucket.State {
		if all[partition] == nil {
			all[partition] = &bucket.State{}
		}
		return all[partition]
	}
	for p, r := range c.records {
		s := at(p.partition)
		s.Records = append(s.Records, r)
	}
	for partition, known := range c.reserved {
		for _, r := range known {
			s := at(partition)
			s.Reserved = append(s.Reserved, r)
		}
	}
	return all
}

// plain is a state as a table understands it at a moment, in one order.
func plain(s *bucket.State, now bucket.Now) *bucket.State {
	table := bucket.New(bucket.Config{Closed: true})
	table.Open(0, 1, 0, s, now)
	to := table.Export(0, now)
	for _, r := range to.Records {
		for i := range r.Marks {
			slices.SortFunc(r.Marks[i].Leases, func(a, b bucket.Lease) int { return strings.Compare(string(a.ID[:]), string(b.ID[:])) })
		}
	}
	slices.SortFunc(to.Records, func(a, b bucket.Record) int {
		return strings.Compare(fmt.Sprint(a.Key, *a.Limit), fmt.Sprint(b.Key, *b.Limit))
	})
	slices.SortFunc(to.Reserved, func(a, b bucket.Reserved) int { return strings.Compare(string(a.ID[:]), string(b.ID[:])) })
	return to
}

// A workload is random calls at a table with some partitions.
type workload struct {
	table *bucket.Table
	clock atomic.Int64 // since noon, ns
	// change has amounts changed and limits dropped.
	change bool
}

const loadPartitions = 3

func (w *workload) now(random *rand.Rand) bucket.Now {
	return after(time.Duration(w.clock.Add(random.Int64N(int64(200 * time.Microsecond)))))
}

// limits are short, so that counters become unused meanwhile.
func (w *workload) limit(random *rand.Rand) bucketring.Limit {
	all := kinds()
	i := random.IntN(len(all))
	l := all[i].limit
	switch {
	case l.Kind == bucketring.KindConcurrency:
		l.Amount, l.TTL = 10, 10*time.Second
	case l.Kind == bucketring.KindLevel:
		l.Amount = 20
	case l.Amount <= 1<<20 && l.Per%time.Second == 0:
		l.Amount, l.Per = 20, time.Second
	}
	l.ID = uint64(i) + 1
	return l
}

func (w *workload) one(random *rand.Rand) {
	l, now := w.limit(random), w.now(random)
	c := bucket.Counter{Partition: uint32(random.IntN(loadPartitions)), Key: fmt.Sprint(random.IntN(4)), Limit: &l}
	op := bucket.Op{N: random.Int64N(4), Verb: bucketring.VerbTake}
	id := random.IntN(40)
	switch random.IntN(10) {
	case 0:
		op = bucket.Op{Verb: bucketring.VerbReset}
	case 1:
		op.Verb = bucketring.VerbRefund
	case 2:
		op.Verb, op.ID = bucketring.VerbRefund, idOf(id)
	case 3, 4:
		op.ID = idOf(id)
	case 5:
		w.table.Settle(c.Partition, idOf(id), op.N*2, 0, now)
		return
	case 6:
		w.table.Release(c.Partition, idOf(id), now)
		return
	case 7:
		w.table.Renew(c.Partition, idOf(id), now)
		return
	case 8:
		if l.Kind == bucketring.KindLevel {
			op.Verb, op.N = bucketring.VerbSet, op.N*5
		}
	}
	if l.Kind == bucketring.KindConcurrency && op.Verb == bucketring.VerbTake {
		op.ID = idOf(id)
	}
	w.table.Apply(op, c, now)
}

// retune changes the amount of some limits and drops another.
func (w *workload) retune(random *rand.Rand) {
	id, drop, amount := uint64(random.IntN(12)), uint64(random.IntN(24)), random.Int64N(30)
	w.table.Retune(w.now(random), func(l *bucketring.Limit) (*bucketring.Limit, bool) {
		if l.ID != id || l.Amount > 1<<20 {
			return nil, l.ID == drop
		}
		to := *l
		to.Amount = amount
		return &to, l.ID == drop
	})
}

// run has goroutines call for a while, and calls look between.
func (w *workload) run(seed uint64, calls int, look func()) {
	const callers = 4
	var running atomic.Int64
	running.Store(callers)
	var wg sync.WaitGroup
	for i := range callers {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			defer running.Add(-1)
			for range calls {
				w.one(random)
				if random.IntN(8) == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(seed, callers))
	wg.Go(func() {
		for running.Load() > 0 {
			w.table.Sweep(w.now(random), 1)
			if w.change {
				w.retune(random)
			}
			runtime.Gosched()
		}
	})
	for running.Load() > 0 {
		look()
		runtime.Gosched()
	}
	wg.Wait()
}

// TestChangesMakeACopy: who has exported a table and takes in all that changes after
// that has what the table has.
func TestChangesMakeACopy(t *testing.T) {
	calls := 6000
	if raceEnabled() {
		calls /= 4
	}
	for _, change := range []bool{false, true} {
		t.Run(map[bool]string{false: "calls", true: "retunes"}[change], func(t *testing.T) {
			seed := rand.Uint64()
			w := &workload{table: bucket.New(bucket.Config{Partitions: loadPartitions}), change: change}
			w.run(seed, 200, func() {})
			w.table.TrackChanges(true)
			held, looks := newCopied(), 0
			for i := range uint32(loadPartitions) {
				held.add(i, w.table.Export(i, after(time.Duration(w.clock.Load()))))
			}
			look := func() {
				for _, c := range w.table.Changes(after(time.Duration(w.clock.Load()))) {
					held.add(c.Partition, c.State)
					looks++
				}
			}
			w.run(seed+1, calls, look)
			look()
			now := after(time.Duration(w.clock.Load()))
			got := held.states()
			for i := range uint32(loadPartitions) {
				if diff := cmp.Diff(plain(w.table.Export(i, now), now), plain(got[i], now)); diff != "" {
					t.Fatalf("seed %d: the copy after %d changes (-table +copy):\n%.3000s", seed, looks, diff)
				}
			}
		})
	}
}

// TestChangesOnce: a counter that was charged often is noted once, one that was
// looked at not at all, and one that is gone says so.
func TestChangesOnce(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			shape.Amount = 1001
			table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
			records := func() (all []bucket.Record) {
				for _, c := range table.Changes(noon) {
					all = append(all, c.State.Records...)
				}
				return all
			}
			table.Take(c, noon, 1)
			if got := records(); len(got) != 0 {
				t.Errorf("changes before TrackChanges = %v, want none", got)
			}
			table.TrackChanges(true)
			for range 1000 {
				table.Take(c, noon, 1)
			}
			if got := records(); len(got) != 1 || got[0].Key != "k" {
				t.Errorf("changes after 1000 takes = %v, want one record of k", got)
			}
			table.Do(bucketring.VerbPeek, c, noon, 1)
			if got := records(); len(got) != 0 {
				t.Errorf("changes after a look = %v, want none", got)
			}
			table.Do(bucketring.VerbReset, c, noon, 0)
			table.Sweep(after(24*time.Hour), 1)
			if got := records(); len(got) != 1 || table.Stats().Keys != 0 {
				t.Errorf("changes after a reset and a sweep = %v, want one record", got)
			}
			wake := make(chan struct{}, 1)
			table.NotifyChange(wake)
			told := func() bool {
				select {
				case <-wake:
					return true
				default:
					return false
				}
			}
			before := told()
			table.Take(c, noon, 1)
			first := told()
			records()
			table.Take(c, noon, 1)
			if again := told(); before || !first || again {
				t.Errorf("told before a change: %v, of the first: %v, of the second: %v, want the first alone", before, first, again)
			}
			table.TrackChanges(false)
			table.TrackChanges(true)
			if got := records(); len(got) != 0 {
				t.Errorf("changes after TrackChanges(false) = %v, want none", got)
			}
		})
	}
}

// TestNote: a counter that has not changed is brought along once, as it is; one that there is
// not, or of a partition that is away, is not.
func TestNote(t *testing.T) {
	table := bucket.New(bucket.Config{Partitions: 2})
	table.TrackChanges(true)
	c := counterOf(shapes()[0], "a")
	table.Take(c, noon, 3)
	if got := table.Changes(noon); len(got) != 1 {
		t.Fatalf("%d partitions have changed, want 1", len(got))
	}
	other := counterOf(shapes()[0], "b")
	table.Note(&c)
	table.Note(&c)
	table.Note(&other)
	got := table.Changes(noon)
	if len(got) != 1 || len(got[0].State.Records) != 1 || got[0].State.Records[0].Key != "a" {
		t.Fatalf("changes after Note = %+v, want counter a once", got)
	}
	if got := table.Changes(noon); len(got) != 0 {
		t.Errorf("changes after that = %+v, want none", got)
	}
}
