package bucket_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

const million = 1 << 20 // keys; a power of 2, so that choosing one costs little

// eachShape runs a benchmark for every algorithm with a limit that denies nobody.
func eachShape(b *testing.B, run func(b *testing.B, shape bucketring.Limit)) {
	for _, shape := range shapes() {
		shape.Amount = 1 << 24
		b.Run(shapeName(shape), func(b *testing.B) {
			b.ReportAllocs()
			run(b, shape)
		})
	}
}

// BenchmarkTake is one hot key that is never denied. Its clock goes on by 1 µs a
// call, which refills a token bucket.
func BenchmarkTake(b *testing.B) {
	eachShape(b, func(b *testing.B, shape bucketring.Limit) {
		table, c, now := bucket.New(bucket.Config{Partitions: 4096}), counterOf(shape, "account:42"), noon
		for b.Loop() {
			now.Mono, now.Wall = now.Mono+1000, now.Wall+1000
			table.Take(c, now, 1)
		}
	})
}

// BenchmarkTakeWide is the same where the amount does not fit a word.
func BenchmarkTakeWide(b *testing.B) {
	eachShape(b, func(b *testing.B, shape bucketring.Limit) {
		shape.Amount = 1<<63 - 1
		table, c, now := bucket.New(bucket.Config{Partitions: 4096}), counterOf(shape, "account:42"), noon
		for b.Loop() {
			now.Mono, now.Wall = now.Mono+1000, now.Wall+1000
			table.Take(c, now, 1)
		}
	})
}

// BenchmarkDenied is one key that has nothing left, as under an attack.
func BenchmarkDenied(b *testing.B) {
	eachShape(b, func(b *testing.B, shape bucketring.Limit) {
		table, c := bucket.New(bucket.Config{Partitions: 4096}), counterOf(shape, "account:42")
		table.Take(c, noon, shape.Amount)
		for b.Loop() {
			if table.Take(c, noon, 1).Allowed {
				b.Fatal("Take of an empty counter is allowed")
			}
		}
	})
}

// filled returns a table with a million counters and their names.
func filled(shape bucketring.Limit) (*bucket.Table, []bucket.Counter) {
	table, counters := bucket.New(bucket.Config{Partitions: 4096}), make([]bucket.Counter, million)
	for i := range counters {
		counters[i] = bucket.Counter{Partition: uint32(i) % 4096, Key: fmt.Sprintf("account:%d", i), Limit: &shape}
		table.Take(counters[i], noon, 1)
	}
	return table, counters
}

// BenchmarkTakeMillionKeys takes from a million keys, each as likely as any
// other: every call misses the cache.
func BenchmarkTakeMillionKeys(b *testing.B) {
	eachShape(b, func(b *testing.B, shape bucketring.Limit) {
		table, counters := filled(shape)
		random := rand.New(rand.NewPCG(1, 2))
		for b.Loop() {
			table.Take(counters[random.Uint64()%million], noon, 1)
		}
	})
}

// BenchmarkTakeParallelHot is one key from all processors: the swaps contend.
func BenchmarkTakeParallelHot(b *testing.B) {
	eachShape(b, func(b *testing.B, shape bucketring.Limit) {
		table, c := bucket.New(bucket.Config{Partitions: 4096}), counterOf(shape, "account:42")
		table.Take(c, noon, 1)
		b.RunParallel(func(pb *testing.PB) {
			now := noon
			for pb.Next() {
				now.Mono, now.Wall = now.Mono+1000, now.Wall+1000
				table.Take(c, now, 1)
			}
		})
	})
}

// BenchmarkTakeParallelDistinct gives each processor keys of its own.
func BenchmarkTakeParallelDistinct(b *testing.B) {
	eachShape(b, func(b *testing.B, shape bucketring.Limit) {
		table, workers := bucket.New(bucket.Config{Partitions: 4096}), atomic.Int64{}
		b.RunParallel(func(pb *testing.PB) {
			var counters [64]bucket.Counter
			worker := workers.Add(1)
			for i := range counters {
				counters[i] = counterOf(shape, fmt.Sprintf("account:%d:%d", worker, i))
				counters[i].Partition = uint32(int(worker)*64+i) % 4096
			}
			for i := 0; pb.Next(); i++ {
				table.Take(counters[i%64], noon, 1)
			}
		})
	})
}

// BenchmarkNewKey creates a counter per call, in a table that keeps growing.
func BenchmarkNewKey(b *testing.B) {
	eachShape(b, func(b *testing.B, shape bucketring.Limit) {
		table, c, i := bucket.New(bucket.Config{Partitions: 4096}), counterOf(shape, ""), uint32(0)
		key := []byte("account:00000000") // written anew for each call: the table copies it
		for b.Loop() {
			for d, rest := len(key), i; d > 8; rest /= 10 {
				d--
				key[d] = '0' + byte(rest%10)
			}
			c.Partition, c.Key = i%4096, unsafeString(key)
			table.Take(c, noon, 1)
			i++
		}
	})
}

// BenchmarkFull is a flood of new keys at a table that has no room.
func BenchmarkFull(b *testing.B) {
	eachShape(b, func(b *testing.B, shape bucketring.Limit) {
		table := bucket.New(bucket.Config{Partitions: 4096, MaxKeys: 1})
		table.Take(counterOf(shape, "known"), noon, 1)
		counters := make([]bucket.Counter, 1024)
		for i := range counters {
			counters[i] = counterOf(shape, fmt.Sprint("new ", i))
			counters[i].Partition = uint32(i)
		}
		for i := 0; b.Loop(); i++ {
			table.Take(counters[i%1024], noon, 1)
		}
	})
}

// BenchmarkSweep looks at a million counters that all stay; ns/key is what each
// of them costs.
func BenchmarkSweep(b *testing.B) {
	eachShape(b, func(b *testing.B, shape bucketring.Limit) {
		table, counters := filled(shape)
		for _, c := range counters {
			table.Take(c, after(time.Microsecond), 1<<20) // none is full soon
		}
		for b.Loop() {
			if got := table.Sweep(after(time.Microsecond), 4096); got != 0 {
				b.Fatalf("Sweep = %d, want 0", got)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/million, "ns/key")
	})
}
