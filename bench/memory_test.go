package bench_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/workload"
)

// BenchmarkMemory fills a node with a million keys. Time is that of filling;
// bytes/key is what stays, everything included: what a key costs at rest.
func BenchmarkMemory(b *testing.B) {
	keys := workload.Distinct(million, 0).All()
	b.Run(fmt.Sprintf("path=owned/keys=%d", len(keys)), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			before := liveHeap()
			n := alone(b)
			b.StartTimer()
			newLedger(n, keys, roomForEach).fill(b)
			b.StopTimer()
			grown := liveHeap() - before
			table := n.Stats().Table
			b.ReportMetric(float64(grown)/float64(table.Keys), "bytes/key")
			b.ReportMetric(float64(table.Bytes)/float64(table.Keys), "estimated-B/key")
			b.StartTimer()
		}
	})
}

// BenchmarkCollect collects the garbage of a node with ten million keys while a caller
// takes from them. Time is that of a whole collection, which runs beside the calls;
// worst-pause-ms is the longest for which everything stood still.
func BenchmarkCollect(b *testing.B) {
	keys := workload.Distinct(10*million, 0).All()
	n := alone(b)
	books := newLedger(n, keys, roomForEach)
	books.fill(b)
	b.Run(fmt.Sprintf("path=owned/keys=%d", len(keys)), func(b *testing.B) {
		ctx, cancel := context.WithCancel(b.Context())
		var taking sync.WaitGroup
		taking.Go(func() {
			for i := 0; ctx.Err() == nil; i = (i + 7919) % len(keys) {
				_, _ = n.Take(ctx, bucketring.Request{Key: keys[i], Limits: books.limits, Cost: 1})
			}
		})
		var worst time.Duration
		for b.Loop() {
			runtime.GC()
			var stats debug.GCStats
			debug.ReadGCStats(&stats)
			worst = max(worst, stats.Pause[0])
		}
		cancel()
		taking.Wait()
		b.ReportMetric(float64(worst)/float64(time.Millisecond), "worst-pause-ms")
	})
}

// liveHeap is the heap that is in use, in bytes, after a collection.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what the first one found dead is swept now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
