// slots.go counts in slots of time on the wall clock: 61 of them for a sliding
// window, one for an epoch window whose counts do not fit a word.
//
// A sliding window cuts Per in 60 slots; a unit in slot k counts until the end
// of slot k plus Per. So any interval of length Per admits at most the amount,
// and a unit is held at most Per/60 too long. This is the sliding window counter
// with exact slots instead of an assumed even spread (compare Cloudflare, "How
// we built rate limiting", 2017).

package bucket

import (
	"math/bits"
	"time"

	"github.com/bucketring/bucketring"
)

// slots are the counts of the newest len(counts) slots; slot k is counts[k mod
// len(counts)].
type slots struct {
	newest int64
	counts []int64
}

// slot numbers the slot of a moment: floor(t / (Per/perSlots)), exactly. The one
// slot of a calendar window is its start in Unix seconds.
func (r *rule) slot(wall int64) int64 {
	if r.calendar != nil {
		return r.calendar.span(wall / inSec).start
	}
	per := int64(r.limit.Per)
	return wall/per*r.perSlots + wall%per*r.perSlots/per
}

// leaves returns the moment from which slot k no longer counts.
func (r *rule) leaves(k int64) int64 {
	if r.calendar != nil {
		return r.calendar.span(k).end * inSec
	}
	hi, lo := bits.Mul64(uint64(k+r.slots), uint64(r.limit.Per))
	lo, carry := bits.Add64(lo, uint64(r.perSlots-1), 0)
	at, _ := bits.Div64(hi+carry, lo, uint64(r.perSlots))
	return int64(min(at, uint64(1<<63-1)))
}

// advance empties the slots that have left. Time never goes back.
func (s *slots) advance(r *rule, now Now) {
	current := r.slot(r.wall(now))
	size := int64(len(s.counts))
	if current <= s.newest {
		return
	}
	for k := max(s.newest+1, current-size+1); k <= current; k++ {
		s.counts[k%size] = 0
	}
	s.newest = current
}

func (s *slots) sum() int64 {
	sum := int64(0)
	for _, c := range s.counts {
		sum += c
	}
	return sum
}

// oldest calls yield with the slots from the oldest on, until it returns false.
func (s *slots) oldest(yield func(k, count int64) bool) {
	size := int64(len(s.counts))
	for k := max(s.newest-size+1, 0); k <= s.newest; k++ {
		if !yield(k, s.counts[k%size]) {
			return
		}
	}
}

func (s *slots) step(r *rule, op *Op, now Now, res *Result) {
	s.advance(r, now)
	used, wall, at := s.sum(), r.wall(now), s.newest
	if op.Window != 0 {
		at = op.Window - 1
		op = s.inSlot(op, at)
	}
	next := r.count(op, used, 0, res)
	if !res.Allowed && res.Retry != bucketring.Never {
		res.Retry = time.Duration(s.fits(r, used-(r.capacity-op.need())) - wall)
	}
	switch {
	case next > used || next < used && op.Window != 0:
		s.counts[at%int64(len(s.counts))] += next - used
	case next < used:
		s.giveBack(used - next)
	}
	peeked := res.Used - next // what a take would add to the newest slot
	res.Window = s.newest + 1
	res.Reset = s.empty(r, wall, peeked > 0)
	if res.Remaining < r.capacity {
		res.Next = time.Duration(s.fits(r, res.Used-r.capacity+res.Remaining+1) - wall)
	}
}

// inSlot returns op, which is a refund or settlement in slot k, bounded to what
// that slot has; one that only looks if the slot has left.
func (s *slots) inSlot(op *Op, k int64) *Op {
	size := int64(len(s.counts))
	if k > s.newest || k <= s.newest-size || k < 0 {
		return &Op{Verb: bucketring.VerbPeek}
	}
	part := *op
	if has := s.counts[k%size]; op.Verb == bucketring.VerbSettle {
		part.N = max(op.N, -has)
	} else {
		part.N = min(op.N, has)
	}
	return &part
}

// fits returns when at least excess units have left: with the newest slot all.
func (s *slots) fits(r *rule, excess int64) int64 {
	for k, count := range s.oldest {
		if excess -= count; excess <= 0 {
			return r.leaves(k)
		}
	}
	return r.leaves(s.newest)
}

// giveBack takes n units out again, the newest first: a refund follows its take.
func (s *slots) giveBack(n int64) {
	size := int64(len(s.counts))
	for k := s.newest; n > 0 && k > s.newest-size && k >= 0; k-- {
		d := min(n, s.counts[k%size])
		s.counts[k%size] -= d
		n -= d
	}
}

// empty returns the time until the last counted slot leaves. An epoch window
// always shows its end; a peek shows what a take would.
func (s *slots) empty(r *rule, wall int64, charged bool) time.Duration {
	size := int64(len(s.counts))
	for k := s.newest; k > s.newest-size && k >= 0; k-- {
		if charged || r.perSlots == 1 || s.counts[k%size] > 0 {
			return time.Duration(r.leaves(k) - wall)
		}
	}
	return 0
}
