// garbage.go lets a small heap collect its garbage less often than each time it doubles:
// a node with few keys would collect a hundred times a second.

package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// leastGarbage is how much garbage may lie before a collection; a live heap of that size or
// more may double, as usual. A memory limit, if there is one, comes first.
const leastGarbage = 16 << 20

// collectSeldom has each collection decide when the next one is due, until the process ends.
// Whoever sets GOGC decides otherwise.
func collectSeldom() {
	if os.Getenv("GOGC") != "" {
		return
	}
	paceGarbage(new(sentinel))
}

// A sentinel is garbage by which one collection is noticed.
type sentinel struct {
	percent int
	_       [16]byte // not so small that it shares a block, which may live on
}

func paceGarbage(s *sentinel) {
	in := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(in)
	percent := garbagePercent(in[0].Value.Uint64(), in[1].Value.Uint64()+in[2].Value.Uint64())
	if old := s.percent; percent > old+old/8 || percent < old-old/8 { // changing it stops the world for a moment
		debug.SetGCPercent(percent)
		s.percent = percent
	}
	next := *s
	runtime.SetFinalizer(&next, paceGarbage)
}

// leastHeap is below what no heap is collected, at 100 percent; it grows with the percentage.
const leastHeap = 4 << 20

// garbagePercent is how much a heap may grow, in percent of what is live there and of the
// roots, which count as well.
func garbagePercent(live, roots uint64) int {
	percent := leastGarbage * 100 / max(live+roots, 1)
	return int(max(100, min(percent, (live+leastGarbage)*100/leastHeap)))
}
