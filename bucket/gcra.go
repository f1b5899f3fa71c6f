// gcra.go is the token bucket as the generic cell rate algorithm (ITU-T I.371,
// annex A): instead of tokens and a time it keeps one number, the theoretical
// arrival time (TAT) at which the bucket will be full again.
//
// Changed against the source: time is measured in units of the limit, 1/unit of
// a microsecond, in which a token costs a whole number. All sums are exact.

package bucket

import (
	"time"

	"github.com/bucketring/bucketring"
)

// clock returns the time in units.
func (r *rule) clock(now Now) int64 { return r.mono(now) / tick * r.unit }

// stepGCRA is one decision. The word is the TAT; one that has passed means full.
func (r *rule) stepGCRA(verb bucketring.Verb, word uint64, now Now, n int64) (uint64, Result) {
	clock := r.clock(now)
	tat := max(int64(word), clock)
	free := r.full - (tat - clock) // below 0 only for a clock reading from the past
	res := Result{Allowed: true}
	switch verb {
	case bucketring.VerbTake, bucketring.VerbPeek:
		switch {
		case n > r.capacity:
			res.Allowed, res.Retry = false, bucketring.Never
		case n == 0: // only looks
		case n*r.token > free:
			res.Allowed, res.Retry = false, r.wait(n*r.token-free, now)
		case verb == bucketring.VerbTake:
			tat += n * r.token
			word = uint64(tat)
			free -= n * r.token
		default: // a peek shows what a take would leave
			free -= n * r.token
		}
	case bucketring.VerbRefund:
		tat = max(tat-min(n, r.capacity)*r.token, clock)
		word, free = min(word, uint64(tat)), r.full-(tat-clock) // a full one stays as it is
	case bucketring.VerbReset:
		word, free = 0, r.full
	}
	res.Remaining = max(free, 0) / r.token
	res.Reset = r.wait(r.full-free, now)
	return word, res
}

// wait returns how long the clock needs for a number of units. The reading was
// cut to a whole tick, so the part of the tick that has passed counts.
func (r *rule) wait(units int64, now Now) time.Duration {
	if units <= 0 {
		return 0
	}
	return time.Duration(ceilDiv(units, r.unit)*tick - r.mono(now)%tick)
}
