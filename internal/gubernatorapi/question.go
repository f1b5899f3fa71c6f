// question.go is what the door tells the step about an item.

package gubernatorapi

import (
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// A question is one item as a step sees it. Times are in ms since 1970.
type question struct {
	algorithm pb.Algorithm
	behavior  pb.Behavior
	hits      int64
	limit     int64 // at least 0
	// duration is as the caller gave it, in ms or a Gregorian code; at least 0.
	duration int64
	burst    int64 // capacity of a leaky bucket; at least 0
	at       int64 // time of the request
	skew     int64 // how far at may be from the owner's clock; negative means any
	// bounds are where the interval before that of the door's clock begins, that one,
	// the next, and the one after it. All are 0 where the duration is in ms.
	bounds [4]int64

	// The rest is known to the owner alone.

	clock  int64 // its time
	window int64 // what duration stands for, in ms
	end    int64 // the last ms of the Gregorian interval of clock
}

// counted are the behaviors that a step looks at.
const counted = pb.Behavior_DURATION_IS_GREGORIAN | pb.Behavior_RESET_REMAINING | pb.Behavior_DRAIN_OVER_LIMIT

func (q *question) has(flag pb.Behavior) bool { return q.behavior&flag != 0 }

// appendArgs appends the question for [Step]. The order is frozen, as StepID is.
func (q *question) appendArgs(args []int64) []int64 {
	args = append(args, int64(q.algorithm), int64(q.behavior&counted), q.hits, q.limit, q.duration, q.burst, q.at, q.skew)
	if q.has(pb.Behavior_DURATION_IS_GREGORIAN) {
		args = append(args, q.bounds[:]...)
	}
	return args
}

// questionOf reads arguments at the owner, whose time is clock. It is not ok if they are
// none that this version makes.
func questionOf(clock int64, args []int64) (q question, ok bool) {
	if len(args) < 8 {
		return q, false
	}
	q = question{
		algorithm: pb.Algorithm(args[0]), behavior: pb.Behavior(args[1]), hits: args[2],
		limit: max(args[3], 0), duration: max(args[4], 0), burst: max(args[5], 0), skew: args[7], clock: clock,
	}
	if args[0] != int64(pb.Algorithm_TOKEN_BUCKET) && args[0] != int64(pb.Algorithm_LEAKY_BUCKET) {
		return q, false
	}
	q.at = args[6]
	if q.skew >= 0 {
		q.at = min(max(q.at, minus(clock, q.skew)), plus(clock, q.skew))
	}
	if !q.has(pb.Behavior_DURATION_IS_GREGORIAN) {
		q.window = q.duration
		return q, len(args) == 8
	}
	copy(q.bounds[:], args[8:])
	if b := &q.bounds; len(args) != 8+len(b) || b[0] >= b[1] || b[1] >= b[2] || b[2] >= b[3] {
		return q, false
	}
	q.interval()
	return q, true
}

// interval chooses the Gregorian interval of the owner's clock, which may be the
// neighbour of that of the door's.
func (q *question) interval() {
	i := 1
	if q.clock < q.bounds[1] {
		i = 0
	} else if q.clock >= q.bounds[2] {
		i = 2
	}
	q.end, q.window = q.bounds[i+1]-1, minus(q.bounds[i+1], q.bounds[i])
}

// expires returns the last ms of a bucket that begins, or is prolonged, now.
func (q *question) expires() int64 {
	if q.has(pb.Behavior_DURATION_IS_GREGORIAN) {
		return q.end
	}
	return plus(q.at, q.duration)
}

// notBefore moves the question to where a bucket already is: to the moment when it last
// changed and, if it has expired, to its end. So callers who choose the time of their
// requests gain it once, and not with every bucket anew.
func (q *question) notBefore(last, expires int64) {
	q.at = max(q.at, last)
	if expires < q.clock {
		q.at = max(q.at, expires+1)
	}
}
