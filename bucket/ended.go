// ended.go remembers how long the leases of a limit lasted, to estimate when the
// next one is free.

package bucket

import (
	"slices"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

// Bounds of an estimate.
const (
	minEstimate = time.Second
	maxEstimate = 30 * time.Second
)

// A limitID is what tells limits apart for one key.
type limitID struct {
	id        uint64
	kind      bucketring.Kind
	algorithm bucketring.Algorithm
	align     bucketring.Align
	precision uint8
	per       time.Duration
	zone      string
}

func identity(l *bucketring.Limit) limitID {
	return limitID{l.ID, l.Kind, l.Algorithm, l.Align, l.Precision, l.Per, l.Zone}
}

// endings has the lives of the leases of every limit.
type endings struct {
	mu sync.Mutex
	of map[limitID]*lives // guarded by mu
}

// get returns the lives of a limit's leases. It keeps them for no more limits
// than rules are kept for.
func (e *endings) get(l *bucketring.Limit) *lives {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := identity(l)
	if known := e.of[id]; known != nil {
		return known
	}
	if e.of == nil || len(e.of) >= maxRules {
		e.of = make(map[limitID]*lives) // counters keep theirs
	}
	e.of[id] = &lives{}
	return e.of[id]
}

// lives are the durations of the last leases of one limit that ended.
type lives struct {
	mu       sync.Mutex // guards all below
	last     [64]time.Duration
	count    int           // that have ended so far
	estimate time.Duration // the clamped median; 0 if it has to be found
}

func (e *lives) add(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last[e.count%len(e.last)] = d
	e.count++
	e.estimate = 0
}

// median returns the median of the lives, within the bounds of an estimate. It
// is kept until another lease ends: denials come in floods.
func (e *lives) median() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count == 0 {
		return minEstimate
	}
	if e.estimate == 0 {
		sorted := e.last
		known := sorted[:min(e.count, len(sorted))]
		slices.Sort(known)
		low, high := known[(len(known)-1)/2], known[len(known)/2]
		e.estimate = min(max(low+(high-low)/2, minEstimate), maxEstimate)
	}
	return e.estimate
}
