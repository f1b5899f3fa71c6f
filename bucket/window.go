// window.go counts fixed windows in one word: which window, and how much of it
// is used. A new window begins by itself, because its number differs.

package bucket

import (
	"math"
	"time"

	"github.com/bucketring/bucketring"
)

func (r *rule) pack(window, count int64) uint64 {
	return uint64(window)<<r.countBits | uint64(count)
}

func (r *rule) unpack(word uint64) (window, count int64) {
	return int64(word >> r.countBits), int64(word & (1<<r.countBits - 1))
}

// window numbers the window of a moment: of the epoch by counting, of a calendar
// by its start in Unix seconds.
func (r *rule) window(now Now) int64 {
	if r.calendar != nil {
		return r.calendar.span(r.wall(now) / inSec).start
	}
	return r.wall(now) / int64(r.limit.Per)
}

// windowEnds returns the moment at which a window is over.
func (r *rule) windowEnds(window int64) int64 {
	if r.calendar != nil {
		return r.calendar.span(window).end * inSec
	}
	return (window + 1) * int64(r.limit.Per)
}

// stepWindow counts windows of the epoch or a calendar on the wall clock. A
// counter's window never goes back, even if the clock does.
func (r *rule) stepWindow(op *Op, word uint64, now Now, res *Result) uint64 {
	window, count := r.unpack(word)
	if current := r.window(now); current > window {
		window, count = current, 0
	}
	ends := time.Duration(r.windowEnds(window) - r.wall(now))
	next := r.count(op.within(window+1), count, ends, res)
	res.Reset, res.Window = ends, window+1
	if next == count {
		return word // a denial or a peek opens no window
	}
	return r.pack(window, next)
}

// within returns op, or one that only looks if op is for another window.
func (op *Op) within(window int64) *Op {
	if op.Window != 0 && op.Window != window {
		return &Op{Verb: bucketring.VerbPeek}
	}
	return op
}

// stepFirst counts windows that begin with the first charge.
func (r *rule) stepFirst(op *Op, word uint64, now Now, res *Result) uint64 {
	start, count := r.unpack(word)
	next := r.stepStarted(op, started{start, count}, now, res)
	return r.pack(next.start, next.count)
}

// A started is a first-request window: its start in the rule's startUnit plus 1,
// so that the zero value means none, and its count.
type started struct{ start, count int64 }

// firstClock is the clock of first-request windows: months and years need a date.
func (r *rule) firstClock(now Now) int64 {
	if r.calendar != nil {
		return r.wall(now)
	}
	return r.mono(now)
}

// ends returns the end of the window on that clock.
func (s started) ends(r *rule) int64 {
	if r.calendar != nil {
		return r.calendar.later(s.start-1) * inSec
	}
	return (s.start-1)*inMs + int64(r.limit.Per)
}

// open reports whether there is a window and it has not ended.
func (s started) open(r *rule, now Now) bool {
	return s.start > 0 && r.firstClock(now) < s.ends(r)
}

// stepStarted rounds the start up to a startUnit, so that a window is never too
// short.
func (r *rule) stepStarted(op *Op, s started, now Now, res *Result) started {
	clock := r.firstClock(now)
	would, open := s, false
	ends := int64(0)
	if s.start > 0 {
		ends = s.ends(r)
		open = clock < ends
	}
	if !open {
		would = started{ceilDiv(clock, r.startUnit) + 1, 0}
		ends = would.ends(r)
	}
	in := op.within(would.start)
	if op.Verb == bucketring.VerbSettle && op.N > 0 && clock < (started{start: op.Window}).ends(r) {
		// A reserve of 0 opened no window. If another call has, it counts there.
		in = op
		if !open {
			would.start, ends = op.Window, started{start: op.Window}.ends(r)
		}
	}
	wait := time.Duration(ends - clock)
	next := r.count(in, would.count, wait, res)
	res.Window = would.start
	switch {
	case op.Verb == bucketring.VerbReset:
		return started{}
	case next != would.count:
		s, open = started{would.start, next}, true
	}
	if open || op.Verb == bucketring.VerbPeek && op.N > 0 && res.Allowed {
		res.Reset = wait
	}
	return s // as it was after a denial or a peek, even if its window has ended
}

// count is what all windows share: whether n fits beside count, which changes
// if it does. ends is the time until the window is over.
func (r *rule) count(op *Op, count int64, ends time.Duration, res *Result) int64 {
	*res = Result{Allowed: true}
	room := max(r.capacity-count, 0) // a lowered limit can leave more used than allowed
	res.Used = count
	switch n := op.N; op.Verb {
	case bucketring.VerbTake, bucketring.VerbPeek:
		switch need := op.need(); {
		case need > r.capacity:
			res.Allowed, res.Retry = false, bucketring.Never
		case need > room:
			// A cost of 0 always fits, so need > 0 here and waiting helps.
			res.Allowed, res.Retry = false, ends
		case op.Verb == bucketring.VerbTake:
			count += n
			res.Used = count
		default:
			res.Used += n
		}
	case bucketring.VerbRefund:
		count = max(count-n, 0)
		res.Used = count
	case bucketring.VerbSettle:
		count = max(count+min(n, math.MaxInt64-count), 0)
		res.Used = count
	case bucketring.VerbReset:
		count, res.Used = 0, 0
	}
	res.Remaining = max(r.capacity-res.Used, 0)
	if res.Remaining < r.capacity {
		res.Next = ends
	}
	return count
}
