// token.go is TOKEN_BUCKET: a window that begins with the first hit.

package gubernatorapi

import (
	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// A token is the state of a TOKEN_BUCKET.
type token struct {
	over      bool  // hits were refused while nothing remained; means nothing once there is some
	limit     int64 // as of the last request
	duration  int64 // as it was given: in ms, or a Gregorian code
	remaining int64 // may be above limit, where hits were given back
	created   int64 // ms since 1970 when the window began
	expires   int64 // its last ms
}

// tokenOf reads a register. It is not ok if that holds something else.
func tokenOf(n []int64) (t token, ok bool) {
	if len(n) != numNumbers || n[0] != isToken || n[2] < 0 || n[4] < 0 {
		return t, false
	}
	return token{n[1] != 0, n[2], n[3], n[4], n[5], n[6]}, true
}

func (t *token) store(r *bucketring.Register, q *question) {
	over := int64(0)
	if t.over {
		over = 1
	}
	keep(r, q, t.expires, []int64{isToken, over, t.limit, t.duration, t.remaining, t.created, t.expires})
}

// take carries out a question. Unless there is a bucket already, it makes one.
func (t *token) take(q *question, exists bool) answer {
	if !exists || q.window == 0 {
		*t = token{limit: q.limit, duration: q.duration}
		t.renew(q)
	} else {
		t.adjust(q)
	}
	over := t.over // at 0, whoever only looks is told so as well
	switch {
	case q.hits > t.remaining:
		over = true
		t.over = t.remaining == 0 && exists
		if q.has(pb.Behavior_DRAIN_OVER_LIMIT) {
			t.remaining = 0
		}
	case q.hits != 0:
		over, t.remaining = false, minus(t.remaining, q.hits)
		t.over = t.over && t.remaining == 0
	}
	return answer{over, t.remaining, t.expires, t.retry(q, over)}
}

// renew begins a window.
func (t *token) renew(q *question) {
	t.over, t.remaining, t.created, t.expires = false, q.limit, q.at, q.expires()
}

// adjust has a bucket follow another limit or duration than before.
func (t *token) adjust(q *question) {
	t.remaining = max(plus(t.remaining, q.limit-t.limit), 0)
	t.limit = q.limit
	t.over = t.over && t.remaining == 0
	if t.duration == q.duration {
		return
	}
	t.duration = q.duration
	t.expires = q.end
	if !q.has(pb.Behavior_DURATION_IS_GREGORIAN) {
		t.expires = plus(t.created, q.duration)
	}
	if t.expires <= q.at {
		t.renew(q)
	}
}

// retry returns the time until the window is over, if that helps.
func (t *token) retry(q *question, over bool) int64 {
	switch {
	case !over:
		return 0
	case q.hits > q.limit:
		return never
	}
	return max(plus(minus(t.expires, q.clock), 1), 1)
}
