// window.go counts fixed windows in one word: which window, and how much of it
// is used. A new window begins by itself, because its number differs.

package bucket

import (
	"time"

	"github.com/bucketring/bucketring"
)

func (r *rule) pack(window, count int64) uint64 {
	return uint64(window)<<r.countBits | uint64(count)
}

func (r *rule) unpack(word uint64) (window, count int64) {
	return int64(word >> r.countBits), int64(word & (1<<r.countBits - 1))
}

// window numbers the epoch window of a moment.
func (r *rule) window(now Now) int64 { return r.wall(now) / int64(r.limit.Per) }

// stepEpoch counts windows at multiples of Per on the wall clock. A counter's
// window never goes back, even if the clock does.
func (r *rule) stepEpoch(verb bucketring.Verb, word uint64, now Now, n int64) (uint64, Result) {
	window, count := r.unpack(word)
	if current := r.window(now); current > window {
		window, count = current, 0
	}
	ends := time.Duration((window+1)*int64(r.limit.Per) - r.wall(now))
	next, res := r.count(verb, count, n, ends)
	res.Reset = ends
	if next == count {
		return word, res // a denial or a peek opens no window
	}
	return r.pack(window, next), res
}

// stepFirst counts windows that begin with the first charge.
func (r *rule) stepFirst(verb bucketring.Verb, word uint64, now Now, n int64) (uint64, Result) {
	start, count := r.unpack(word)
	next, res := r.stepStarted(verb, started{start, count}, now, n)
	return r.pack(next.start, next.count), res
}

// A started is a first-request window: its start in milliseconds plus 1, so
// that the zero value means none, and its count.
type started struct{ start, count int64 }

// open reports whether there is a window and it has not ended.
func (s started) open(r *rule, now Now) bool {
	return s.start > 0 && r.mono(now) < (s.start-1)*inMs+int64(r.limit.Per)
}

// stepStarted rounds the start up to a millisecond, so that a window is never
// shorter than Per.
func (r *rule) stepStarted(verb bucketring.Verb, s started, now Now, n int64) (started, Result) {
	open := s.open(r, now)
	would := s
	if !open {
		would = started{ceilDiv(r.mono(now), inMs) + 1, 0}
	}
	ends := time.Duration((would.start-1)*inMs + int64(r.limit.Per) - r.mono(now))
	next, res := r.count(verb, would.count, n, ends)
	switch {
	case verb == bucketring.VerbReset:
		return started{}, res
	case next != would.count:
		s, open = started{would.start, next}, true
	}
	if open || verb == bucketring.VerbPeek && n > 0 && res.Allowed {
		res.Reset = ends
	}
	return s, res // as it was after a denial or a peek, even if its window has ended
}

// count is what all windows share: whether n fits beside count, which changes
// if it does. ends is the time until the window is over.
func (r *rule) count(verb bucketring.Verb, count, n int64, ends time.Duration) (int64, Result) {
	res := Result{Allowed: true}
	room := max(r.capacity-count, 0) // a lowered limit can leave more used than allowed
	switch verb {
	case bucketring.VerbTake, bucketring.VerbPeek:
		switch {
		case n > r.capacity:
			res.Allowed, res.Retry = false, bucketring.Never
		case n > room:
			// A cost of 0 always fits, so n > 0 here and waiting helps.
			res.Allowed, res.Retry = false, ends
		case verb == bucketring.VerbTake:
			count += n
			room -= n
		default:
			room -= n
		}
	case bucketring.VerbRefund:
		count = max(count-n, 0)
		room = max(r.capacity-count, 0)
	case bucketring.VerbReset:
		count, room = 0, r.capacity
	}
	res.Remaining = room
	return count, res
}
