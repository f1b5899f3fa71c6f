// leaky.go is LEAKY_BUCKET: it refills evenly, and what it has may be spent at once.
//
// What remains is kept exactly: whole tokens, and a fraction that is counted in parts of
// which window make a token. So each ms that passes brings limit parts. If the window
// changes, the fraction is rounded down to the new parts, less than a ms is worth.

package gubernatorapi

import (
	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// A leaky is the state of a LEAKY_BUCKET.
type leaky struct {
	window  int64 // ms in which limit tokens flow in; above 0
	burst   int64 // as of the last request
	whole   int64 // tokens; may be above burst, where hits were given back
	part    int64 // of a token, in 1/window; less than one
	updated int64 // ms since 1970 when this was so
	expires int64 // ms since 1970 after which it is forgotten, as full
}

// leakyOf reads a register. It is not ok if that holds something else.
func leakyOf(n []int64) (l leaky, ok bool) {
	if len(n) != numNumbers || n[0] != isLeaky || n[1] <= 0 || n[3] < 0 || n[4] < 0 || n[4] >= n[1] {
		return l, false
	}
	return leaky{n[1], n[2], n[3], n[4], n[5], n[6]}, true
}

func (l *leaky) store(r *bucketring.Register, q *question) {
	keep(r, q, l.expires, []int64{isLeaky, l.window, l.burst, l.whole, l.part, l.updated, l.expires})
}

// take carries out a question. Unless there is a bucket already, it makes one.
func (l *leaky) take(q *question, exists bool) answer {
	burst := q.burst
	if burst == 0 {
		burst = q.limit
	}
	if !exists || q.window == 0 {
		*l = leaky{window: q.window, burst: burst, whole: burst, updated: q.at, expires: q.expires()}
		if q.hits > burst {
			l.whole = 0
			return l.answer(q, true)
		}
	} else {
		l.adjust(q, burst)
		l.refill(q)
	}
	if q.hits <= l.whole {
		l.whole = minus(l.whole, q.hits)
		return l.answer(q, false)
	}
	before := l.reset(q)
	if q.has(pb.Behavior_DRAIN_OVER_LIMIT) && l.whole > 0 {
		l.whole, l.part = 0, 0
	}
	a := l.answer(q, true)
	a.reset = before
	return a
}

// adjust has a bucket follow other parameters than before. One that may hold more than
// it does is full at once.
func (l *leaky) adjust(q *question, burst int64) {
	if q.has(pb.Behavior_RESET_REMAINING) {
		l.whole, l.part = burst, 0
	}
	if l.burst != burst && burst > l.whole {
		l.whole, l.part = burst, 0
	}
	l.burst = burst
	if l.window != q.window {
		l.part, _ = share(l.part, q.window, 0, l.window)
		l.window = q.window
	}
	if q.hits != 0 {
		l.expires = q.expires()
	}
}

// refill adds what has flowed in.
func (l *leaky) refill(q *question) {
	flowed, part := share(minus(q.at, l.updated), q.limit, uint64(l.part), l.window)
	l.whole, l.part, l.updated = plus(l.whole, flowed), part, q.at
	if l.whole >= l.burst {
		l.whole, l.part = l.burst, 0
	}
}

func (l *leaky) answer(q *question, over bool) answer {
	a := answer{over: over, remaining: l.whole, reset: l.reset(q)}
	if over {
		a.retry = l.retry(q)
	}
	return a
}

// reset returns when limit tokens remain, as clients compute it: by whole tokens, and
// before now where there are more.
func (l *leaky) reset(q *question) int64 {
	if q.limit == 0 || l.window == 0 {
		return q.at
	}
	if missing := q.limit - l.whole; missing >= 0 {
		wait, _ := share(missing, l.window, uint64(q.limit-1), q.limit)
		return plus(q.at, wait)
	}
	since, _ := share(l.whole-q.limit, l.window, 0, q.limit)
	return minus(q.at, since)
}

// retry returns the time until there are as many tokens as the request wanted, if ever:
// they have flowed in, or the bucket is forgotten.
func (l *leaky) retry(q *question) int64 {
	if q.hits > l.burst {
		return never
	}
	moment := plus(l.expires, 1)
	if q.limit > 0 {
		// All but one of the missing tokens, and what is missing of that one, rounded up.
		more := uint64(l.window-l.part) + uint64(q.limit-1)
		wait, _ := share(q.hits-l.whole-1, l.window, more, q.limit)
		moment = min(moment, plus(q.at, wait))
	}
	return max(minus(moment, q.clock), 1)
}
