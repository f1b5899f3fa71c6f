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
// more may double, as usual. The memory limit comes first.
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
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := garbagePercent(live[0].Value.Uint64())
	if old := s.percent; percent > old+old/8 || percent < old-old/8 { // changing it stops the world for a moment
		debug.SetGCPercent(percent)
		s.percent = percent
	}
	next := *s
	runtime.SetFinalizer(&next, paceGarbage)
}

// garbagePercent is how much a heap may grow, in percent of what is live.
func garbagePercent(live uint64) int {
	return int(max(100, leastGarbage*100/max(live, 1<<20)))
}
