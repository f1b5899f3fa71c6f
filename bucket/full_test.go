package bucket_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// TestEvictionKeepsDebt: exhaust, flood with five times as many keys as there is
// room for, and the exhausted keys are still denied. Nobody buys a refill with a
// flood, and memory stays within its bound.
func TestEvictionKeepsDebt(t *testing.T) {
	const partitions, keys = 8, 1000
	for _, shape := range shapes() {
		one := bucket.New(bucket.Config{})
		one.Take(counterOf(shape, "key 1"), noon, 1)
		bounds := map[string]bucket.Config{
			"keys":  {Partitions: partitions, MaxKeys: keys},
			"bytes": {Partitions: partitions, MaxBytes: keys * one.Stats().Bytes},
		}
		for name, cfg := range bounds {
			t.Run(shapeName(shape)+"/"+name, func(t *testing.T) {
				table := bucket.New(cfg)
				counter := func(i int) bucket.Counter {
					c := counterOf(shape, fmt.Sprint("key ", i))
					c.Partition = uint32(i % partitions)
					return c
				}
				for i := range keys / 2 {
					table.Take(counter(i), noon, 10)
				}
				for i := range keys * 5 {
					now := after(time.Duration(i) * time.Microsecond)
					table.Take(counter(keys+i), now, 1)
					if i%16 == 0 {
						table.Sweep(now, 1)
					}
				}
				for i := range keys / 2 {
					if got := table.Take(counter(i), after(time.Second), 1); got.Allowed {
						t.Fatalf("Take(%v) of an exhausted key after a flood = %+v, want a denial", shape, got)
					}
				}
				checkFull(t, table.Stats(), cfg)
			})
		}
	}
}

func checkFull(t *testing.T, got bucket.Stats, cfg bucket.Config) {
	t.Helper()
	if got.Overflowed == 0 {
		t.Errorf("Stats = %+v, want some overflow", got)
	}
	if cfg.MaxKeys > 0 && got.Keys != cfg.MaxKeys {
		t.Errorf("Keys = %d, want %d", got.Keys, cfg.MaxKeys)
	}
	if off := got.Bytes - cfg.MaxBytes; cfg.MaxBytes > 0 && max(off, -off) > 1000 {
		t.Errorf("Bytes = %d, want %d but for one counter", got.Bytes, cfg.MaxBytes)
	}
}

// TestNewKeysShareOneCounterWhenFull: one for each limit, whatever the amount.
func TestNewKeysShareOneCounterWhenFull(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table := bucket.New(bucket.Config{MaxKeys: 1})
			table.Take(counterOf(shape, "known"), noon, 1)
			if got := table.Do(bucketring.VerbPeek, counterOf(shape, "a"), noon, 3); got.Remaining != 7 {
				t.Errorf("peek before anybody shares = %+v, want Remaining 7", got)
			}
			table.Take(counterOf(shape, "a"), noon, 3)
			if got := table.Take(counterOf(shape, "b"), noon, 3); got.Remaining != 4 {
				t.Errorf("Take of a second new key = %+v, want Remaining 4", got)
			}
			if got := table.Do(bucketring.VerbPeek, counterOf(shape, "c"), noon, 4); !got.Allowed || got.Remaining != 0 {
				t.Errorf("peek = %+v, want Remaining 0", got)
			}
			table.Do(bucketring.VerbRefund, counterOf(shape, "c"), noon, 4) // of a key that has no counter
			more := counterOf(shape, "d")
			more.Limit.Amount = 20
			want := int64(13) // of 20, used 6 and 1
			if shape.Algorithm == bucketring.TokenBucket {
				want = 3 // the tokens are kept
			}
			if got := table.Take(more, noon, 1); got.Remaining != want {
				t.Errorf("Take with another amount = %+v, want Remaining %d", got, want)
			}
			hour := counterOf(shape, "a")
			hour.Limit.Per = time.Hour
			if got := table.Take(hour, noon, 1); got.Remaining != 9 {
				t.Errorf("Take of another limit = %+v, want Remaining 9", got)
			}
			if got := table.Take(counterOf(shape, "known"), noon, 1); got.Remaining != 8 {
				t.Errorf("Take of a known key = %+v, want Remaining 8", got)
			}
			if got := table.Stats(); got.Keys != 1 || got.Overflowed != 4 {
				t.Errorf("Stats = %+v, want 1 key and 4 overflowed", got)
			}
		})
	}
}

// TestRoomComesBack: what has refilled makes room, by a call at the latest a
// second after the last look, and by Sweep at once.
func TestRoomComesBack(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table := bucket.New(bucket.Config{MaxKeys: 2})
			table.Take(counterOf(shape, "a"), noon, 10)
			table.Take(counterOf(shape, "b"), noon, 10)
			table.Take(counterOf(shape, "c"), noon, 1)
			table.Do(bucketring.VerbReset, counterOf(shape, "a"), noon, 0)
			table.Take(counterOf(shape, "c"), after(time.Second-1), 1) // does not look again
			if got := table.Stats(); got.Keys != 2 || got.Overflowed != 2 {
				t.Errorf("Stats within a second = %+v, want 2 keys, 2 overflowed", got)
			}
			later := after(2 * time.Minute)
			table.Take(counterOf(shape, "c"), later, 1)
			if got := table.Stats(); got.Keys != 1 || got.Dropped != 2 || got.Overflowed != 2 {
				t.Errorf("Stats after a call = %+v, want 1 key, 2 dropped, 2 overflowed", got)
			}
			table.Take(counterOf(shape, "d"), later, 1)
			later = after(4 * time.Minute)
			if got := table.Sweep(later, 1); got != 2 {
				t.Errorf("Sweep = %d, want 2", got)
			}
			if got := table.Take(counterOf(shape, "c"), later, 1); got.Remaining != 9 {
				t.Errorf("Take after Sweep = %+v, want Remaining 9", got)
			}
		})
	}
}

// TestBytesBoundHoldsForLongKeys: one small counter that goes does not make room
// for a large one.
func TestBytesBoundHoldsForLongKeys(t *testing.T) {
	const count, bound = 100, 100 * 80
	shape := shapes()[0]
	shape.Per = time.Hour
	table := bucket.New(bucket.Config{MaxBytes: bound})
	for i := range count {
		table.Take(counterOf(shape, fmt.Sprint(i)), after(time.Duration(i)*5*time.Second), 9)
	}
	for i := range count { // every 5 s another one of them is full again
		now := after(54*time.Minute + time.Duration(i)*5*time.Second)
		table.Take(counterOf(shape, strings.Repeat("k", bucketring.MaxKeyLen-3)+fmt.Sprintf("%3d", i)), now, 10)
	}
	if got := table.Stats(); got.Bytes > bound || got.Overflowed == 0 {
		t.Errorf("Stats = %+v, want Bytes at most %d and some overflow", got, bound)
	}
}

// TestSharedCountersAreBounded: callers choose windows freely. What is beyond
// the bound is denied until Sweep finds shared counters that are unused.
func TestSharedCountersAreBounded(t *testing.T) {
	table := bucket.New(bucket.Config{MaxKeys: 1})
	known := counterOf(shapes()[0], "known")
	known.Limit.Per = bucketring.MaxPer
	table.Take(known, noon, 10)
	counter := func(i int) bucket.Counter {
		l := bucketring.Limit{Amount: 10, Per: time.Duration(i+1) * time.Second}
		return bucket.Counter{Key: "new", Limit: &l}
	}
	for i := range bucket.MaxShared {
		if got := table.Take(counter(i), noon, 1); got.Remaining != 9 {
			t.Fatalf("Take(%v) = %+v, want Remaining 9", counter(i).Limit, got)
		}
	}
	beyond := counter(bucket.MaxShared)
	for _, verb := range []bucketring.Verb{bucketring.VerbTake, bucketring.VerbPeek} {
		if got := table.Do(verb, beyond, noon, 1); got.Allowed || got.Retry == bucketring.Never {
			t.Errorf("%v beyond the shared counters = %+v, want a denial that ends", verb, got)
		}
	}
	later := after(bucket.MaxShared * time.Second)
	table.Sweep(later, 1)
	if got := table.Take(beyond, later, 1); !got.Allowed || got.Remaining != 9 {
		t.Errorf("Take after Sweep = %+v, want Remaining 9", got)
	}
}
