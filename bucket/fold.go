// fold.go makes one state of what several lineages have counted, and takes the part
// of one lineage out again. Takes of windows and changes of levels add up; a token
// bucket is as empty as the emptiest says.

package bucket

import (
	"math"
	"slices"
	"time"

	"github.com/bucketring/bucketring"
)

// fold joins marks to the state that decides. The result has no lineage.
func (r *rule) fold(marks []Mark, now Now) Mark {
	switch {
	case r.limit.Kind == bucketring.KindConcurrency:
		return foldLeases(marks)
	case r.limit.Kind == bucketring.KindLevel:
		return foldLevel(marks)
	case r.limit.Kind == bucketring.KindRegister:
		return foldRegister(marks, now)
	case r.limit.Refills():
		return r.foldMissing(marks, now)
	case r.limit.Algorithm == bucketring.SlidingWindow:
		return r.foldSlots(marks, now)
	}
	total := Mark{}
	for i := range marks {
		if m := &marks[i]; r.countsIn(m, now) {
			total.At = max(total.At, m.At)
		}
	}
	for i := range marks {
		if m := &marks[i]; r.countsIn(m, now) && r.together(m.At, total.At) {
			total.N = sum(total.N, m.N)
		}
	}
	total.N = max(total.N, 0)
	return total
}

// countsIn reports whether a window can still be said to be open. One far in the
// future is a mistake of somebody's clock.
func (r *rule) countsIn(m *Mark, now Now) bool {
	if r.limit.Align == bucketring.AlignFirstRequest {
		soon := (r.firstClock(now) + int64(time.Minute)) / r.startUnit
		return m.At <= soon && started{start: m.At}.open(r, now)
	}
	current := r.window(now)
	return m.At <= current || m.At <= r.window(Now{Wall: r.windowEnds(current)})
}

// together reports whether two windows are one. Windows that began with a request
// began at another moment in each lineage.
func (r *rule) together(a, b int64) bool {
	return a == b || r.limit.Align == bucketring.AlignFirstRequest
}

// unfold returns what the holder itself has counted of a total, beside others.
func (r *rule) unfold(total Mark, others []Mark, now Now) Mark {
	own := total
	switch {
	case r.limit.Kind == bucketring.KindConcurrency || r.limit.Kind == bucketring.KindRegister:
	case r.limit.Kind == bucketring.KindLevel:
		own.N -= own.Part
		for i := range others {
			if others[i].At == total.At {
				own.N -= others[i].N
			}
		}
	case r.limit.Refills():
	case r.limit.Algorithm == bucketring.SlidingWindow:
		own.Slots = slices.Clone(total.Slots)
		for i := range others {
			addSlots(&own, &others[i], -1)
		}
	default:
		for i := range others {
			if m := &others[i]; r.countsIn(m, now) && r.together(m.At, total.At) {
				own.N -= m.N
				if total.At == 0 { // after a reset, which ends with the windows that it ended
					own.At = max(own.At, m.At)
				}
			}
		}
	}
	return own
}

func foldLeases(marks []Mark) (total Mark) {
	seen := map[bucketring.ID]int{}
	for i := range marks {
		for _, l := range marks[i].Leases {
			at, known := seen[l.ID]
			switch {
			case !known:
				seen[l.ID] = len(total.Leases)
				total.Leases = append(total.Leases, l)
			case l.Expires > total.Leases[at].Expires:
				total.Leases[at] = l
			}
		}
	}
	return total
}

func foldLevel(marks []Mark) Mark {
	total := Mark{}
	for i := range marks {
		if m := &marks[i]; m.At > total.At {
			total.At, total.Part = m.At, m.Part
		} else if m.At == total.At {
			total.Part = max(total.Part, m.Part)
		}
	}
	total.N = total.Part
	for i := range marks {
		if marks[i].At == total.At {
			total.N = sum(total.N, marks[i].N)
		}
	}
	total.N = max(total.N, 0)
	return total
}

func (r *rule) foldMissing(marks []Mark, now Now) Mark {
	clock := r.mono(now) / r.tick
	total := Mark{At: clock}
	for i := range marks {
		m := missing{whole: max(marks[i].N, 0), frac: min(max(marks[i].Part, 0), r.token-1), at: min(marks[i].At, clock)}
		m.advance(r, now)
		// At a moment that is still to come it lacks so much, so now it lacks more.
		m.ahead(r, min(max(marks[i].At-clock, 0), int64(time.Second)/r.tick))
		if m.whole > total.N || m.whole == total.N && m.frac > total.Part {
			total.N, total.Part = m.whole, m.frac
		}
	}
	return total
}

func (r *rule) foldSlots(marks []Mark, now Now) Mark {
	total := Mark{At: r.slot(r.wall(now)), Slots: make([]int64, r.slots)}
	for i := range marks {
		if m := &marks[i]; m.At > total.At && m.At <= r.slot(r.wall(now))+r.slots {
			total.At = m.At
		}
	}
	for i := range marks {
		addSlots(&total, &marks[i], 1)
	}
	for i := range total.Slots { // so that their sum stays within int64
		total.Slots[i] = min(max(total.Slots[i], 0), math.MaxInt64/r.slots)
	}
	return total
}

// addSlots adds the slots of a mark that the total has too, sign times.
func addSlots(total, m *Mark, sign int64) {
	size := int64(len(total.Slots))
	if int64(len(m.Slots)) != size {
		return
	}
	for k := max(m.At-size, total.At-size, -1) + 1; k <= min(m.At, total.At); k++ {
		total.Slots[k%size] = sum(total.Slots[k%size], sign*m.Slots[k%size])
	}
}

// sum adds and stays within int64.
func sum(a, b int64) int64 {
	switch c := a + b; {
	case a > 0 && b > 0 && c < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && c >= 0:
		return math.MinInt64
	default:
		return c
	}
}

// total returns the state of a bucket that is not a set of leases.
func (b *bucket) total(now Now) Mark {
	r := b.rule
	switch {
	case r.limit.Kind == bucketring.KindConcurrency:
		return b.leased()
	case r.limit.Kind == bucketring.KindLevel:
		b.wide.mu.Lock()
		defer b.wide.mu.Unlock()
		l := b.wide.level
		return Mark{At: l.version, N: l.n, Part: l.base}
	case r.limit.Kind == bucketring.KindRegister:
		b.wide.mu.Lock()
		defer b.wide.mu.Unlock()
		return b.wide.register.mark()
	case r.limit.Refills():
		return b.missing(now)
	case r.limit.Align == bucketring.AlignFirstRequest:
		s := b.started()
		return Mark{At: s.start, N: s.count}
	case r.limit.Algorithm == bucketring.SlidingWindow:
		s := b.slots()
		return Mark{At: s.newest, Slots: s.counts}
	default:
		s := b.slots()
		return Mark{At: s.newest, N: s.counts[0]}
	}
}

// missing returns what a token bucket lacks.
func (b *bucket) missing(now Now) Mark {
	r := b.rule
	if b.wide != nil {
		b.wide.mu.Lock()
		defer b.wide.mu.Unlock()
		b.wide.bucket.advance(r, now)
		return Mark{At: b.wide.bucket.at, N: b.wide.bucket.whole, Part: b.wide.bucket.frac}
	}
	lacks := max(int64(b.word.Load()&^sealed)-r.clock(now), 0)
	return Mark{At: r.mono(now) / r.tick, N: lacks / r.token, Part: lacks % r.token}
}

// put gives a new bucket a state. Leases are put by their index.
func (b *bucket) put(m Mark, now Now) {
	r := b.rule
	switch {
	case r.limit.Kind == bucketring.KindConcurrency:
	case r.limit.Kind == bucketring.KindLevel:
		b.wide.level = level{n: m.N, version: m.At, base: m.Part}
	case r.limit.Kind == bucketring.KindRegister:
		b.wide.register.putMark(m, now)
	case r.limit.Refills():
		b.putMissing(m, now)
	case r.limit.Align == bucketring.AlignFirstRequest:
		b.putStarted(started{m.At, m.N})
	case r.limit.Algorithm == bucketring.SlidingWindow:
		b.putSlots(slots{m.At, m.Slots})
	default:
		b.putSlots(slots{m.At, []int64{m.N}})
	}
}

// putMissing gives a new token bucket what it lacks, bounded by maxDebt.
func (b *bucket) putMissing(m Mark, now Now) {
	r := b.rule
	lacks := missing{whole: m.N, frac: m.Part, at: m.At}
	if lacks.advance(r, now); lacks.whole > r.capacity { // a debt, or nonsense
		debt := missing{at: lacks.at}
		debt.settle(r, lacks.whole)
		lacks.whole = debt.whole
	}
	if b.wide != nil {
		b.wide.bucket = lacks
		return
	}
	b.word.Store(uint64(lacks.at*r.unit + lacks.whole*r.token + lacks.frac))
}
