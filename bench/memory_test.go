package bench_test

import (
	"fmt"
	"runtime"
	"testing"

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

// liveHeap is the heap that is in use, in bytes, after a collection.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what the first one found dead is swept now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
