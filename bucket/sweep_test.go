package bucket_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// TestSweepDropsExactlyTheUnused compares with the model which counters go, and
// finds the others as they were. At the end nothing is left, not even in the
// sums of keys and bytes.
func TestSweepDropsExactlyTheUnused(t *testing.T) {
	const keys = 200
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 0))
			table, models := bucket.New(bucket.Config{}), map[string]*model{}
			fill := func(at time.Duration) {
				for i := range keys {
					c := counterOf(shape, fmt.Sprint(i))
					n, verb := random.Int64N(11), bucketring.VerbTake
					if i%10 == 0 {
						verb = bucketring.VerbRefund
					}
					table.Do(verb, c, after(at), n)
					if m, _ := models[c.Key].call(verb, *c.Limit, after(at), 0, n); m != nil {
						models[c.Key] = m
					}
				}
			}
			for at := time.Duration(0); at < 4*time.Minute; at += 9 * time.Second {
				if at < 2*time.Minute {
					fill(at)
				}
				sweepBoth(t, table, models, after(at+time.Duration(random.Int64N(int64(9*time.Second)))), seed)
			}
			want := bucket.Stats{Dropped: table.Stats().Dropped}
			if diff := cmp.Diff(want, table.Stats()); diff != "" || want.Dropped == 0 {
				t.Errorf("seed %d: Stats after all (-want +got):\n%s", seed, diff)
			}
		})
	}
}

// sweepBoth sweeps and compares what is left, by looking.
func sweepBoth(t *testing.T, table *bucket.Table, models map[string]*model, now bucket.Now, seed uint64) {
	t.Helper()
	gone := 0
	for key, m := range models {
		if m.unused(now) {
			delete(models, key)
			gone++
		}
	}
	if got := table.Sweep(now, 1); got != gone {
		t.Fatalf("seed %d: Sweep = %d, want %d", seed, got, gone)
	}
	if got := table.Stats().Keys; got != int64(len(models)) {
		t.Fatalf("seed %d: Keys = %d, want %d", seed, got, len(models))
	}
	for key, m := range models {
		want := m.do(bucketring.VerbPeek, now, 0)
		l := m.limit
		if got := table.Do(bucketring.VerbPeek, bucket.Counter{Key: key, Limit: &l}, now, 0); got != want {
			t.Fatalf("seed %d: %q after Sweep = %+v, want %+v", seed, key, got, want)
		}
	}
}

// TestHolderOfAGoneCounterCannotCharge: a call that found its counter before it
// was dropped or replaced notices; else its charge would be lost.
func TestHolderOfAGoneCounterCannotCharge(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
			table.Take(c, noon, 3)
			take := table.Hold(c)
			if table.Sweep(noon, 1) != 0 || !take(noon, 1) {
				t.Error("a charge after a sweep that dropped nothing does not count, want it to")
			}
			more := counterOf(shape, "k")
			more.Limit.Amount = 20
			table.Take(more, noon, 1)
			if take(noon, 1) {
				t.Error("a charge of a counter that was replaced counts, want not")
			}
			take = table.Hold(more)
			later := after(2 * time.Minute)
			if table.Sweep(later, 1) != 1 || take(later, 1) {
				t.Error("a charge of a counter that was dropped counts, want not")
			}
		})
	}
}

// TestSweepGoesRound: each call looks at as many partitions as the budget says,
// and the next call goes on from there.
func TestSweepGoesRound(t *testing.T) {
	const partitions = 10
	table := bucket.New(bucket.Config{Partitions: partitions})
	for i := range partitions {
		c := counterOf(shapes()[0], "k")
		c.Partition = uint32(i)
		table.Take(c, noon, 1)
	}
	later := after(time.Hour)
	for _, tt := range []struct{ budget, want int }{{0, 0}, {-1, 0}, {3, 3}, {4, 4}, {100, 3}, {100, 0}} {
		if got := table.Sweep(later, tt.budget); got != tt.want {
			t.Errorf("Sweep(%d) = %d, want %d", tt.budget, got, tt.want)
		}
	}
	if got := table.Stats(); got != (bucket.Stats{Dropped: partitions}) {
		t.Errorf("Stats = %+v, want nothing but %d dropped", got, partitions)
	}
}

// TestBytesFollowTheForm: a counter that becomes wide weighs more, and what it
// weighs is what goes when it is dropped.
func TestBytesFollowTheForm(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table := bucket.New(bucket.Config{})
			table.Take(counterOf(shape, "k"), noon, 1)
			small := table.Stats().Bytes
			huge := counterOf(shape, "k")
			huge.Limit.Amount = 1<<63 - 1
			table.Take(huge, noon, 1<<40)
			large := table.Stats().Bytes
			if wide := bucket.FormOf(shape).Wide; small < 64 || (large == small) != wide {
				t.Errorf("Bytes = %d, then %d, want more unless the first is wide (%v)", small, large, wide)
			}
			table.Sweep(after(2*time.Minute), 1)
			if got := table.Stats(); got.Keys != 0 || got.Bytes != 0 {
				t.Errorf("Stats = %+v, want no keys and no bytes", got)
			}
		})
	}
}
