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

// slot numbers the slot of a moment: floor(t / (Per/perSlots)), exactly.
func (r *rule) slot(wall int64) int64 {
	per := int64(r.limit.Per)
	return wall/per*r.perSlots + wall%per*r.perSlots/per
}

// leaves returns the moment from which slot k no longer counts.
func (r *rule) leaves(k int64) int64 {
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

func (s *slots) step(r *rule, verb bucketring.Verb, now Now, n int64) Result {
	s.advance(r, now)
	used := s.sum()
	next, res := r.count(verb, used, n, 0)
	wall := r.wall(now)
	if !res.Allowed && res.Retry != bucketring.Never {
		res.Retry = time.Duration(s.fits(r, used-(r.capacity-n)) - wall)
	}
	size := int64(len(s.counts))
	switch {
	case next > used:
		s.counts[s.newest%size] += next - used
	case next < used:
		s.giveBack(used - next)
	}
	res.Reset = s.empty(r, wall, verb == bucketring.VerbPeek && res.Allowed && n > 0)
	return res
}

// fits returns when at least excess units have left.
func (s *slots) fits(r *rule, excess int64) int64 {
	at := int64(0)
	for k, count := range s.oldest {
		if excess -= count; excess <= 0 {
			return r.leaves(k)
		}
		at = r.leaves(k)
	}
	return at
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
	last := int64(-1)
	for k, count := range s.oldest {
		if count > 0 {
			last = k
		}
	}
	if charged || r.perSlots == 1 {
		last = s.newest
	}
	if last < 0 {
		return 0
	}
	return time.Duration(r.leaves(last) - wall)
}
