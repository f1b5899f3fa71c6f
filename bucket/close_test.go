// close_test.go looks at what a table has left when its partitions have gone, and at
// what leaving and noting cost.

package bucket_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// TestCloseLeavesNothing: after any calls and joins, closing all partitions brings the
// figures back to 0, and a table that opens them all has the figures that were.
func TestCloseLeavesNothing(t *testing.T) {
	seed := rand.Uint64()
	w := &workload{table: bucket.New(bucket.Config{Partitions: loadPartitions}), change: true}
	w.run(seed, 1500, func() {
		w.table.Join(0, w.table.Export(0, after(0)), after(0))
	})
	now := after(time.Duration(w.clock.Load()))
	w.table.Sweep(now, loadPartitions)
	for i, k := range kinds() { // something of everything
		w.table.Apply(take(1, 100+i), bucket.Counter{Key: "k", Limit: &k.limit}, now)
	}
	figures := func(t *bucket.Table) bucket.Stats {
		s := t.Stats()
		return bucket.Stats{Keys: s.Keys, Bytes: s.Bytes, Leases: s.Leases, Reservations: s.Reservations}
	}
	before, other := figures(w.table), bucket.New(bucket.Config{Partitions: loadPartitions, Closed: true})
	for i := range uint32(loadPartitions) {
		if !w.table.Here(i) || other.Here(i) || other.Close(i, now) != nil || other.Export(i, now) != nil {
			t.Errorf("partition %d is away where it is, or here where it is not", i)
		}
		other.Open(i, 2, 0, w.table.Close(i, now), now)
	}
	if diff := cmp.Diff(bucket.Stats{}, figures(w.table)); diff != "" {
		t.Errorf("seed %d: Stats after Close (-want +got):\n%s", seed, diff)
	}
	if diff := cmp.Diff(before, figures(other)); diff != "" {
		t.Errorf("seed %d: Stats where all was opened (-want +got):\n%s", seed, diff)
	}
}

// TestAway: at a table that does not have a partition all calls say so, and nothing else.
func TestAway(t *testing.T) {
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		table, c := bucket.New(bucket.Config{}), bucket.Counter{Key: "k", Limit: &l}
		table.Apply(take(3, 1), c, noon)
		s := table.Close(0, noon)
		table.Join(0, s, noon)
		for verb := bucketring.VerbTake; verb <= bucketring.VerbReset; verb++ {
			for _, op := range []bucket.Op{{Verb: verb, N: 1}, {Verb: verb, N: 1, ID: idOf(1)}, {Verb: verb}} {
				if got := table.Apply(op, c, noon); got != (bucket.Result{Away: true}) {
					t.Errorf("%v = %+v, want Away and nothing else", verb, got)
				}
			}
		}
		if _, ok := table.Settle(0, idOf(1), 1, 0, noon); ok || table.Enter(0) || table.Release(0, idOf(1), noon) {
			t.Error("Settle, Enter or Release at a partition that is away = true, want false")
		}
		if got := table.Stats(); got.Keys != 0 || got.Bytes != 0 {
			t.Errorf("Stats = %+v, want nothing", got)
		}
	})
}

// TestCloseChangedLosesNoCharge: what was charged since Open is in what CloseChanged
// returns, also the very first charge of a counter that was opened.
func TestCloseChangedLosesNoCharge(t *testing.T) {
	rounds := 30000
	if raceEnabled() {
		rounds /= 10
	}
	l := bucketring.Limit{Algorithm: bucketring.FixedWindow, Amount: bucketring.Unlimited >> 20, Per: time.Minute}
	origin, table := newSite(l, 1), bucket.New(bucket.Config{Closed: true, Traced: true})
	origin.take(noon, 1)
	start := origin.table.Export(0, noon)
	var admitted, running atomic.Int64
	running.Store(1)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for running.Load() > 0 {
				if table.Take(origin.c, noon, 1).Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	counted := int64(0)
	for round := range uint64(rounds) {
		table.Open(0, round+1, 2, start, noon)
		if round%8 > 0 {
			runtime.Gosched()
		}
		for _, r := range table.CloseChanged(0, noon).Records {
			for _, m := range r.Marks {
				if m.Lineage == 2 {
					counted += m.N
				}
			}
		}
	}
	running.Store(0)
	wg.Wait()
	if got := admitted.Load(); got != counted || got == 0 {
		t.Errorf("admitted %d between Open and CloseChanged, which have counted %d", got, counted)
	}
}

// BenchmarkClose takes a partition of 250 keys out of a table; opening it again is not
// measured.
func BenchmarkClose(b *testing.B) {
	const keys = 250
	eachShape(b, func(b *testing.B, shape bucketring.Limit) {
		table := bucket.New(bucket.Config{})
		for i := range keys {
			table.Take(counterOf(shape, fmt.Sprint("account:", i)), noon, 1000)
		}
		for gen := uint64(2); b.Loop(); gen++ {
			s := table.Close(0, noon)
			b.StopTimer()
			if len(s.Records) != keys {
				b.Fatalf("Close = %d records, want %d", len(s.Records), keys)
			}
			table.Open(0, gen, 1, s, noon)
			b.StartTimer()
		}
	})
}

// BenchmarkTakeTracked is one hot key, with and without changes being noted.
func BenchmarkTakeTracked(b *testing.B) {
	eachShape(b, func(b *testing.B, shape bucketring.Limit) {
		for _, on := range []bool{false, true} {
			b.Run(map[bool]string{false: "untracked", true: "tracked"}[on], func(b *testing.B) {
				table, c, now := bucket.New(bucket.Config{Partitions: 4096}), counterOf(shape, "account:42"), noon
				table.TrackChanges(on)
				for b.Loop() {
					now.Mono, now.Wall = now.Mono+1000, now.Wall+1000
					table.Take(c, now, 1)
				}
			})
		}
	})
}
