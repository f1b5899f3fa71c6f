// verdicts.go remembers what owners said last, for the moment when one is away.

package node

import (
	"sync"

	"github.com/bucketring/bucketring"
)

const (
	// freshFor is how long a verdict says something about a counter.
	freshFor = int64(1e9) // ns
	// A counter has its line; in it a newer verdict pushes out the oldest.
	verdictLines = 1024
	verdictWays  = 4
)

// A verdicts is a lossy cache: what an owner said last of a counter. The zero
// value is empty. It is safe for concurrent use.
type verdicts [verdictLines]struct {
	mu   sync.Mutex
	ways [verdictWays]verdict // guarded by mu
}

// A verdict is what was left of one counter when its owner last spoke.
type verdict struct {
	counter   uint64 // hash of key and limit; 0 is none
	at        int64  // monotonic ns
	remaining int64
	denied    bool
}

// note remembers what a take has left. Other verbs show what is not so.
func (v *verdicts) note(hash uint64, req *bucketring.Request, d *bucketring.Decision, now int64) {
	if req.Verb != bucketring.VerbTake {
		return
	}
	c := callOf(req)
	for i := range c.len() {
		s := &d.LimitState
		if d.Limits != nil {
			s = &d.Limits[i]
		}
		charge := c.at(i)
		v.put(verdict{counterOf(hash, &charge), now, s.Remaining, !s.Allowed})
	}
}

func (v *verdicts) put(one verdict) {
	line := &v[one.counter%verdictLines]
	line.mu.Lock()
	defer line.mu.Unlock()
	oldest := 0
	for i := range line.ways {
		if line.ways[i].counter == one.counter {
			oldest = i
			break
		}
		if line.ways[i].at < line.ways[oldest].at {
			oldest = i
		}
	}
	line.ways[oldest] = one
}

// part returns one member's part of what an owner said it had left: rounded
// down, but 1 of anything, and 0 after a denial. It is 1 if nothing is known.
func (v *verdicts) part(counter uint64, now int64, members int) int64 {
	one, known := v.last(counter, now)
	switch {
	case !known:
		return 1
	case one.denied:
		return 0
	default:
		return shareLeft(one.remaining, members)
	}
}

// shareLeft is one member's part of what is left: rounded down, but 1 of anything.
func shareLeft(remaining int64, members int) int64 {
	if remaining <= 0 {
		return 0
	}
	return max(remaining/int64(max(members, 1)), 1)
}

// last returns a verdict that is still fresh.
func (v *verdicts) last(counter uint64, now int64) (verdict, bool) {
	line := &v[counter%verdictLines]
	line.mu.Lock()
	defer line.mu.Unlock()
	for _, one := range line.ways {
		if one.counter == counter && now-one.at < freshFor {
			return one, true
		}
	}
	return verdict{}, false
}

// counterOf tells the counters of a place apart. Two that meet share a verdict,
// which is worth no more than a first guess.
func counterOf(place uint64, c *bucketring.Charge) uint64 {
	l := c.Limit
	h := place ^ l.ID ^ (uint64(l.Window())+uint64(l.Algorithm)<<8+uint64(l.Align))*0x9e3779b97f4a7c15
	for i := range len(c.Key) { // FNV-1a (Fowler, Noll, Vo)
		h = (h ^ uint64(c.Key[i])) * 0x100000001b3
	}
	return max(h^h>>29, 1)
}
