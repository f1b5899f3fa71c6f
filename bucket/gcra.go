// gcra.go is the token bucket as the generic cell rate algorithm (ITU-T I.371,
// annex A): instead of tokens and a time it keeps one number, the theoretical
// arrival time (TAT) at which the bucket will be full again.
//
// Changed against the source: time is measured in units of the limit, 1/unit of
// a microsecond, in which a token costs a whole number. All sums are exact. A
// settlement may move the TAT beyond an empty bucket's: that is a debt.

package bucket

import (
	"math"
	"time"

	"github.com/bucketring/bucketring"
)

// maxDebt bounds the time in which a bucket with a debt is full again, so that
// no sum can wrap. What a settlement goes beyond it is forgiven.
const maxDebt = 2 * bucketring.MaxRefill

// clock returns the time in units.
func (r *rule) clock(now Now) int64 { return r.mono(now) / tick * r.unit }

// stepGCRA is one decision. The word is the TAT; one that has passed means full.
func (r *rule) stepGCRA(op *Op, word uint64, now Now, res *Result) uint64 {
	mono := r.mono(now)
	ticks := mono / tick
	clock, passed := ticks*r.unit, mono-ticks*tick
	tat := max(int64(word), clock)
	free := r.full - (tat - clock) // below 0 only for a debt, or a clock reading from the past
	*res = Result{Allowed: true}
	switch n := op.N; op.Verb {
	case bucketring.VerbTake, bucketring.VerbPeek:
		switch need := op.need(); {
		case need > r.capacity:
			res.Allowed, res.Retry = false, bucketring.Never
		case need == 0: // only looks
		case need*r.token > free:
			res.Allowed, res.Retry = false, r.wait(need*r.token-free, passed)
		case n == 0: // has room for what is settled later
		case op.Verb == bucketring.VerbTake:
			tat += n * r.token
			word = uint64(tat)
			free -= n * r.token
		default: // a peek shows what a take would leave
			free -= n * r.token
		}
	case bucketring.VerbRefund:
		word, free = r.giveBack(n, word, tat, clock)
	case bucketring.VerbSettle:
		switch {
		case r.capacity == 0:
		case n < 0:
			word, free = r.giveBack(-n, word, tat, clock)
		default: // debtFits has said that there is room
			tat += n * r.token
			word, free = uint64(tat), free-n*r.token
		}
	case bucketring.VerbReset:
		word, free = 0, r.full
	}
	res.Used = ceilDiv(r.full-free, r.token)
	res.Remaining = max(r.capacity-res.Used, 0)
	res.Reset = r.wait(r.full-free, passed)
	switch r.capacity - res.Remaining {
	case 0:
	case 1:
		res.Next = res.Reset
	default:
		res.Next = r.wait((res.Remaining+1)*r.token-free, passed)
	}
	return word
}

// giveBack returns the word and the free units after a refund of n tokens. A full
// bucket stays as it is.
func (r *rule) giveBack(n int64, word uint64, tat, clock int64) (next uint64, free int64) {
	tat = max(tat-min(n, r.capacity)*r.token, clock)
	return min(word, uint64(tat)), r.full - (tat - clock)
}

// debtFits reports whether a word can bear a settlement of n ≥ 0 tokens more.
func (r *rule) debtFits(word uint64, now Now, n int64) bool {
	clock := r.clock(now)
	tat := max(int64(word), clock)
	room := min(clock, math.MaxInt64-int64(maxDebt)/tick*r.unit) + int64(maxDebt)/tick*r.unit - tat
	return n <= max(room, 0)/r.token
}

// wait returns how long the clock needs for a number of units. The reading was
// cut to a whole tick, so the part of the tick that has passed counts, in ns.
func (r *rule) wait(units, passed int64) time.Duration {
	if units <= 0 {
		return 0
	}
	return time.Duration(ceilDiv(units, r.unit)*tick - passed)
}
