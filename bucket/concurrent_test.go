package bucket_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// TestNothingIsLostOrMadeUp: many goroutines empty one counter while others
// sweep, insert so that the table grows and shrinks, look, and change the
// amount to and fro. Exactly the capacity is admitted. The clock stands still.
func TestNothingIsLostOrMadeUp(t *testing.T) {
	const takers, spare = 6, 50
	capacity := 300000 // long enough for several processors to meet
	if raceEnabled() {
		capacity /= 10
	}
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			shape.Amount = int64(capacity)
			table := bucket.New(bucket.Config{})
			var admitted, running atomic.Int64
			running.Store(takers)
			var wg sync.WaitGroup
			table.Take(counterOf(shape, "hot"), noon, 1)
			disturb(&wg, &running, table, shape)
			for table.Stats().Dropped == 0 || table.Stats().Adjusted == 0 {
				runtime.Gosched() // until all disturb
			}
			for range takers {
				wg.Go(func() {
					defer running.Add(-1)
					for i := range capacity/takers + spare {
						if table.Take(counterOf(shape, "hot"), noon, 1).Allowed {
							admitted.Add(1)
						}
						if i%16 == 0 {
							runtime.Gosched()
						}
					}
				})
			}
			wg.Wait()
			if got, want := admitted.Load(), int64(capacity-1); got != want {
				t.Errorf("%d goroutines got %d of %v after one take, want %d", takers, got, shape, want)
			}
		})
	}
}

// disturb runs, as long as takers do, what must not make a difference to "hot".
func disturb(wg *sync.WaitGroup, running *atomic.Int64, table *bucket.Table, shape bucketring.Limit) {
	wg.Go(func() { // the only sweeper; counters that were reset are unused
		for running.Load() > 0 {
			table.Sweep(noon, 1)
			runtime.Gosched()
		}
	})
	wg.Go(func() {
		for i := 0; running.Load() > 0; i++ {
			c := counterOf(shape, fmt.Sprint("other ", i%500))
			table.Take(c, noon, 1)
			table.Do(bucketring.VerbReset, c, noon, 0)
		}
	})
	wg.Go(func() { // a larger amount and back, without a charge
		more := shape
		more.Amount *= 2
		for running.Load() > 0 {
			for _, l := range []bucketring.Limit{more, shape} {
				table.Do(bucketring.VerbRefund, counterOf(l, "hot"), noon, 0)
			}
			runtime.Gosched()
		}
	})
}

// TestSweepLosesNoCharge: each goroutine has a key of its own, makes it unused
// and takes. Whether the sweep comes before or after, the charge counts.
func TestSweepLosesNoCharge(t *testing.T) {
	const workers, rounds = 3, 10000
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table := bucket.New(bucket.Config{})
			var running atomic.Int64
			running.Store(workers)
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					defer running.Add(-1)
					c := counterOf(shape, fmt.Sprint(w))
					for i := range rounds {
						table.Do(bucketring.VerbReset, c, noon, 0)
						table.Take(c, noon, 3)
						if got := table.Take(c, noon, 1).Remaining; got != 6 {
							t.Errorf("round %d: Remaining after 3 and 1 = %d, want 6", i, got)
							return
						}
					}
				})
			}
			wg.Go(func() {
				for running.Load() > 0 {
					table.Sweep(noon, 1)
				}
			})
			wg.Wait()
		})
	}
}

// TestAllVerbsAtOnce is for the race detector, over many keys and partitions.
// What can be said of the end is said: after a reset of all, all is unused.
func TestAllVerbsAtOnce(t *testing.T) {
	const partitions, keys, workers, calls = 16, 64, 4, 20000
	all, seed := shapes(), rand.Uint64()
	table := bucket.New(bucket.Config{Partitions: partitions, MaxKeys: 256})
	counter := func(i, amount int) bucket.Counter {
		shape := all[i%len(all)]
		shape.Amount = int64(amount)
		c := counterOf(shape, fmt.Sprint("key ", i))
		c.Partition = uint32(i % partitions)
		return c
	}
	var clock atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		random := rand.New(rand.NewPCG(seed, uint64(w)))
		wg.Go(func() {
			for range calls {
				verb := bucketring.Verb(random.IntN(4))
				c := counter(random.IntN(partitions*keys*2), 5+random.IntN(2)*7)
				now := after(time.Duration(clock.Add(random.Int64N(int64(time.Millisecond)))))
				if res := table.Do(verb, c, now, random.Int64N(5)); res.Remaining < 0 || res.Remaining > c.Limit.Amount || res.Reset < 0 || res.Retry < 0 {
					t.Errorf("seed %d: %v %v = %+v, want 0 ≤ Remaining ≤ %d and waits of 0 or more", seed, verb, c.Limit, res, c.Limit.Amount)
					return
				}
				if w == 0 && random.IntN(32) == 0 { // one sweeper
					table.Sweep(now, 1)
				}
			}
		})
	}
	wg.Wait()
	now := after(time.Duration(clock.Load()))
	for i := range partitions * keys * 2 {
		table.Do(bucketring.VerbReset, counter(i, 5), now, 0)
	}
	table.Sweep(after(time.Duration(clock.Load())+2*time.Minute), partitions)
	if got := table.Stats(); got.Keys != 0 || got.Bytes != 0 || got.Overflowed == 0 {
		t.Errorf("seed %d: Stats after a reset of all = %+v, want no keys, no bytes and some overflow", seed, got)
	}
}

// TestSealedCounterIsLookedUpAgain: a call that meets a sealed counter waits and
// charges its successor. Without the seal the charge would be lost.
func TestSealedCounterIsLookedUpAgain(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
			table.Take(c, noon, 4)
			busy, replace := table.SealInPlace(c, noon)
			answer := make(chan bucket.Result)
			go func() { answer <- table.Take(c, noon, 1) }()
			for !busy() { // until the call is between its tries
				select {
				case res := <-answer:
					t.Fatalf("Take of a sealed counter = %+v, want no answer", res)
				default:
					runtime.Gosched()
				}
			}
			replace()
			if res := <-answer; !res.Allowed || res.Remaining != 5 {
				t.Errorf("Take of a counter that was replaced = %+v, want Remaining 5", res)
			}
			if got := table.Do(bucketring.VerbPeek, c, noon, 0).Remaining; got != 5 {
				t.Errorf("Remaining afterwards = %d, want 5: the charge is in the successor", got)
			}
		})
	}
}

// TestManyKeysAtOnce: goroutines that create the same counters at the same time
// create each once.
func TestManyKeysAtOnce(t *testing.T) {
	const partitions, keys, workers = 8, 2000, 6
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table := bucket.New(bucket.Config{Partitions: partitions})
			var admitted atomic.Int64
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for i := range keys {
						c := counterOf(shape, fmt.Sprint("key ", i))
						c.Partition = uint32(i % partitions)
						if table.Take(c, noon, 3).Allowed {
							admitted.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if got, want := admitted.Load(), int64(keys*3); got != want { // 3 of 10, three times
				t.Errorf("%d goroutines got %d takes of %d keys, want %d", workers, got, keys, want)
			}
			if got := table.Stats().Keys; got != keys {
				t.Errorf("Keys = %d, want %d", got, keys)
			}
		})
	}
}
