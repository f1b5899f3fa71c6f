package bucket_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// A rate that changes counts from then on, not from the next call.
func TestRetuneChangesTheRateAtOnce(t *testing.T) {
	slow := bucketring.Limit{ID: 1, Amount: 10, Per: time.Minute}
	fast := bucketring.Limit{ID: 1, Amount: 60, Per: time.Minute}
	table := bucket.New(bucket.Config{Partitions: 3})
	at := func(l *bucketring.Limit) bucket.Counter { return bucket.Counter{Partition: 2, Key: "k", Limit: l} }
	table.Take(at(&slow), after(0), 10)
	table.Retune(after(30*time.Second), func(l *bucketring.Limit) (*bucketring.Limit, bool) {
		if *l != slow {
			t.Errorf("Retune asks for %+v, want %+v", l, slow)
		}
		return &fast, false
	})
	// Half a minute at 10/m makes 5, another one at 60/m makes 30.
	if got := table.Take(at(&fast), after(time.Minute), 0).Remaining; got != 35 {
		t.Errorf("Remaining = %d, want 35", got)
	}
	if s := table.Stats(); s.Keys != 1 || s.Adjusted != 1 {
		t.Errorf("Stats() = %+v, want one counter, adjusted once", s)
	}
}

func TestRetuneDropsEveryKind(t *testing.T) {
	table := bucket.New(bucket.Config{})
	keep := bucketring.Limit{ID: 9, Amount: 10, Per: time.Minute}
	limits := []bucketring.Limit{
		{ID: 1, Amount: 10, Per: time.Minute}, {ID: 2, Amount: 10, Per: time.Minute, Algorithm: bucketring.SlidingWindow},
		{ID: 3, Amount: 10, Kind: bucketring.KindLevel}, {ID: 4, Amount: 10, Kind: bucketring.KindConcurrency, TTL: time.Minute}, keep,
	}
	for i := range limits {
		table.Apply(bucket.Op{N: 3, ID: idOf(i)}, bucket.Counter{Key: "k", Limit: &limits[i]}, noon)
	}
	table.Retune(noon, func(l *bucketring.Limit) (*bucketring.Limit, bool) { return nil, l.ID != keep.ID })
	for i := range limits {
		want := int64(0)
		if limits[i].ID == keep.ID {
			want = 3
		}
		if got := table.Apply(bucket.Op{Verb: bucketring.VerbPeek}, bucket.Counter{Key: "k", Limit: &limits[i]}, noon).Used; got != want {
			t.Errorf("Used of limit %d = %d, want %d", limits[i].ID, got, want)
		}
	}
	if s := table.Stats(); s.Keys != 1 || s.Leases != 0 || s.Reservations != 1 {
		t.Errorf("Stats() = %+v, want one counter with its reservation", s)
	}
	if table.Release(0, idOf(3), noon) {
		t.Error("a lease of a dropped limit was released, want it unknown")
	}
}

// Takes that run while amounts change are all counted.
func TestRetuneLosesNoTake(t *testing.T) {
	const workers, each = 4, 20_000
	small := bucketring.Limit{ID: 1, Amount: workers * each, Per: 24 * time.Hour, Algorithm: bucketring.FixedWindow}
	large := small
	large.Amount *= 2
	table := bucket.New(bucket.Config{})
	var admitted atomic.Int64
	var taking, tuning sync.WaitGroup
	stop := make(chan struct{})
	tuning.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			to := &large
			if i%2 == 1 {
				to = &small
			}
			table.Retune(noon, func(*bucketring.Limit) (*bucketring.Limit, bool) { return to, false })
		}
	})
	for w := range workers {
		taking.Go(func() {
			l := &small
			if w%2 == 1 {
				l = &large
			}
			for range each {
				if table.Take(bucket.Counter{Key: "k", Limit: l}, noon, 1).Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	taking.Wait()
	close(stop)
	tuning.Wait()
	if used := table.Take(bucket.Counter{Key: "k", Limit: &large}, noon, 0).Used; used != workers*each || admitted.Load() != used {
		t.Errorf("%d admitted and %d used, want %d", admitted.Load(), used, workers*each)
	}
}
