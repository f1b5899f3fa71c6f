package rivals_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketring/bucketring/internal/workload"
)

const (
	million = 1_000_000
	seed    = 1
	plenty  = 1_000_000_000 // tokens of a key that all calls are for
	enough  = 4_000_000     // tokens of each of many keys; one comes back in 8 s
)

// TestAllLimit: rivals are fair only if each of them limits, each key alone.
func TestAllLimit(t *testing.T) {
	for _, r := range rivals() {
		l := r.limiter(t, 5)
		for _, key := range []string{"a", "b"} {
			if key == "b" && !r.keyed {
				continue
			}
			admitted := 0
			for range 10 {
				if l.take(key) {
					admitted++
				}
			}
			if admitted != 5 {
				t.Errorf("%s admits %d of 10 calls with key %s, want 5", r.name, admitted, key)
			}
		}
	}
}

// BenchmarkTake is a limit that has room.
func BenchmarkTake(b *testing.B) {
	serial(b, "keys=hot/callers=1", workload.Hot())
	concurrent(b, "keys=hot/callers=8", func(int) *workload.Keys { return workload.Hot() })
	concurrent(b, "keys=distinct/callers=8", func(caller int) *workload.Keys { return workload.Distinct(64, caller) })
	serial(b, "keys=uniform/callers=1", workload.Uniform(million, seed))
	serial(b, "keys=zipf/callers=1", workload.Zipf(million, 1.1, seed))
}

// eachRival runs a benchmark for all who can have several keys, if it needs
// those.
func eachRival(b *testing.B, name string, severalKeys bool, run func(*testing.B, limiter)) {
	burst := int64(plenty)
	if severalKeys {
		burst = enough
	}
	for _, r := range rivals() {
		if !r.keyed && severalKeys {
			continue
		}
		b.Run(name+"/limiter="+r.name, func(b *testing.B) {
			l := r.limiter(b, burst)
			b.ReportAllocs()
			run(b, l)
		})
	}
}

// fill takes one token of every key, so that all counters exist. Each key is a
// string of its own, as if from a request: it counts for whoever keeps it.
func fill(b *testing.B, l limiter, keys []string) {
	b.Helper()
	for _, key := range keys {
		if !l.take(strings.Clone(key)) {
			b.Fatalf("the first call with key %s is denied", key)
		}
	}
}

func serial(b *testing.B, name string, keys *workload.Keys) {
	eachRival(b, name, len(keys.All()) > 1, func(b *testing.B, l limiter) {
		fill(b, l, keys.All())
		s, refused, began := keys.Stream(), int64(0), cpuTime()
		for b.Loop() {
			if !l.take(s.Next()) {
				refused++
			}
		}
		report(b, cpuTime()-began, refused)
	})
}

// concurrent is 8 callers, however many processors there are.
func concurrent(b *testing.B, name string, keysOf func(caller int) *workload.Keys) {
	const callers = 8
	severalKeys := keysOf(0).All()[0] != keysOf(1).All()[0]
	eachRival(b, name, severalKeys, func(b *testing.B, l limiter) {
		streams := make([]*workload.Stream, callers)
		for caller := range streams {
			keys := keysOf(caller)
			fill(b, l, keys.All())
			streams[caller] = keys.Stream()
		}
		var refused atomic.Int64
		var all sync.WaitGroup
		began := cpuTime()
		b.ResetTimer()
		for caller, s := range streams {
			all.Go(func() {
				for range b.N*(caller+1)/callers - b.N*caller/callers {
					if !l.take(s.Next()) {
						refused.Add(1)
					}
				}
			})
		}
		all.Wait()
		b.StopTimer()
		report(b, cpuTime()-began, refused.Load())
	})
}

// report adds figures. There is room for all calls, so whoever refuses some has
// given up on them; many would say that something else was measured.
func report(b *testing.B, cpu time.Duration, refused int64) {
	n := float64(b.N)
	if cpu > 0 {
		b.ReportMetric(float64(cpu.Nanoseconds())/n, "cpu-ns/op")
	}
	b.ReportMetric(float64(refused)/n, "refused/op")
	if refused > 1 && float64(refused) > n/100 {
		b.Fatalf("%d of %d calls were refused, want room for all", refused, b.N)
	}
}

// BenchmarkMemory is a million keys at rest. Time is that of filling.
func BenchmarkMemory(b *testing.B) {
	keys := workload.Distinct(million, 0).All()
	for _, r := range rivals() {
		if !r.keyed {
			continue
		}
		b.Run(fmt.Sprintf("keys=%d/limiter=%s", len(keys), r.name), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				before := liveHeap()
				l := r.limiter(b, enough)
				b.StartTimer()
				fill(b, l, keys)
				b.StopTimer()
				b.ReportMetric(float64(liveHeap()-before)/million, "bytes/key")
				runtime.KeepAlive(l)
				b.StartTimer()
			}
		})
	}
}

// liveHeap is the heap that is in use, in bytes, after a collection.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what the first one found dead is swept now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
