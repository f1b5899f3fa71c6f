// step.go counts: it chooses the algorithm, and knows what a register looks like.

package gubernatorapi

import (
	"math"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// StepID is the ID of [Step], by which the nodes of a cluster know it. It is the FNV-1a
// hash, of 64 bits, of "_gubernator v1", and must never change: nor may what Step does
// with a register that a node of another version has written.
const StepID = 0xceb29463b74df1fc

// A register begins with one of these. All numbers of it are frozen.
const (
	isToken    = 1
	isLeaky    = 2
	numNumbers = 7
)

// An answer is what a step says about an item.
type answer struct {
	over      bool
	remaining int64
	reset     int64 // ms since 1970
	retry     int64 // ms until the same request could pass; 0 if not over, never
}

// never is the retry of what no waiting helps.
const never = -1

// numAnswer is how many numbers an answer has on its way.
const numAnswer = 4

func (a *answer) numbers() []int64 {
	over := int64(0)
	if a.over {
		over = 1
	}
	return []int64{over, a.remaining, a.reset, a.retry}
}

// answerOf reads an answer's numbers. It is not ok if they are none that this version
// makes.
func answerOf(numbers []int64) (a answer, ok bool) {
	if len(numbers) != numAnswer {
		return a, false
	}
	return answer{numbers[0] != 0, numbers[1], numbers[2], numbers[3]}, true
}

// Step is the [bucketring.Step] of this door. It answers nothing, and changes nothing,
// if the arguments are not those that a [Server] makes.
func Step(r *bucketring.Register, args []int64) []int64 {
	q, ok := questionOf(r.Now/int64(time.Millisecond), args)
	if !ok {
		return nil
	}
	t, token := tokenOf(r.Numbers)
	l, leaky := leakyOf(r.Numbers)
	switch {
	case token:
		q.notBefore(t.created, t.expires)
		token = t.expires >= q.clock
	case leaky:
		q.notBefore(l.updated, l.expires)
		leaky = l.expires >= q.clock
	}
	var a answer
	switch {
	case q.algorithm == pb.Algorithm_LEAKY_BUCKET:
		a = l.take(&q, leaky)
		l.store(r, &q)
	case q.has(pb.Behavior_RESET_REMAINING) && (token || leaky):
		a = answer{remaining: q.limit}
		forget(r)
	default:
		a = t.take(&q, token)
		t.store(r, &q)
	}
	return a.numbers()
}

// keep has the register hold numbers until a bucket has expired, and as much longer as
// a request could claim to be older than it is. A bucket without a window is none.
func keep(r *bucketring.Register, q *question, expires int64, numbers []int64) {
	last := plus(expires, max(q.skew, 0))
	until := int64(math.MaxInt64)
	if last < math.MaxInt64/int64(time.Millisecond) {
		until = (max(last, 0) + 1) * int64(time.Millisecond)
	}
	if q.window == 0 || until <= r.Now {
		forget(r)
		return
	}
	r.Numbers, r.Until = numbers, until
}

func forget(r *bucketring.Register) { r.Numbers, r.Until = nil, 0 }
