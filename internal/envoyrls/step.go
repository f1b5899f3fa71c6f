// step.go is how the dialect counts: a number of hits in the present window.

package envoyrls

import (
	"math"
	"time"

	"github.com/bucketring/bucketring"
)

// StepID tells the registers of this door from those of others: every node of a cluster must
// know Step by it. It is the FNV-1a hash, of 64 bits, of "_envoy ratelimit", and must never
// change: nodes of different versions name counters by it.
const StepID = 0xfc91ff810ff432f0

// localID tells the limits that stand for registers whose owner cannot be asked: likewise the
// hash of "_envoy ratelimit local".
const localID = 0xb1ca4d0d410c616b

// A change is what a step does to a counter.
type change struct {
	hits   int64 // below 0 they are given back, 0 only looks
	window int64 // seconds, 1 or more
	idle   int64 // seconds after which an untouched counter is dropped; 0 for never
	most   int64 // charge only if no more than so many are used then; below 0 for any number
	start  int64 // give back only in the window that began then; 0 in any
}

// args are the change as a step gets it.
func (c change) args() []int64 { return []int64{c.hits, c.window, c.idle, c.most, c.start} }

// A reading is what a step says of a counter.
type reading struct {
	before, after int64 // used
	left          int64 // seconds until the window ends, 1 or more
	start         int64 // of the window, in Unix seconds
}

// readingOf makes a reading of a step's answer; ok is false if it is none.
func readingOf(values []int64) (r reading, ok bool) {
	if len(values) != 4 {
		return reading{}, false
	}
	return reading{values[0], values[1], values[2], values[3]}, true
}

// Step is the bucketring.Step of the dialect. Its register holds when the window began, in
// Unix seconds, and how many hits it has. What is used goes on beyond any limit: limits are
// no part of a counter.
//
// A counter of which everything was given back stays until its window ends, so that no older
// copy of it can come to life again.
func Step(r *bucketring.Register, args []int64) []int64 {
	if len(args) != 5 || args[1] < 1 {
		return nil // of another version: the caller can do without
	}
	c := change{args[0], args[1], args[2], args[3], args[4]}
	now := r.Now / int64(time.Second)
	start := now - now%c.window
	var used int64
	if len(r.Numbers) == 2 && r.Numbers[0] == start && r.Until > r.Now {
		used = r.Numbers[1]
	}
	before := used
	switch {
	case c.hits > 0 && (c.most < 0 || plus(used, c.hits) <= c.most):
		used = plus(used, c.hits)
	case c.hits < 0 && (c.start == 0 || c.start == start):
		used = max(0, used+c.hits)
	}
	if used != before {
		r.Numbers, r.Until = []int64{start, used}, until(r.Now, start, &c)
	}
	return []int64{before, used, start + c.window - now, start}
}

// until is when a counter is forgotten, in ns since 1970.
func until(now, start int64, c *change) int64 {
	const most = math.MaxInt64 / int64(time.Second)
	end := int64(math.MaxInt64)
	if start+c.window <= most {
		end = (start + c.window) * int64(time.Second)
	}
	if c.idle > 0 && c.idle <= most {
		end = min(end, plus(now, c.idle*int64(time.Second)))
	}
	return end
}

// plus adds, and stops at the largest and smallest numbers there are.
func plus(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}
