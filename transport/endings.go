// endings.go gives up calls that have waited long enough, with one timer for all of a link
// or stream: setting one for each call would cost more than the rest of the wait.

package transport

import (
	"context"
	"math"
	"time"
)

const (
	never = time.Duration(math.MaxInt64)
	// endEvery is how late a call of a link may end: those of a peer that is slow end
	// together.
	endEvery = time.Millisecond
	// endPart is the part of its bound that a call of a stream may end late.
	endPart = 8
)

// endings are when calls end. The timer is set for the first of them. It is left alone when
// that one is answered, and looks at what there is then: most calls find it set, since nearly
// all have the same time. Where nobody asks any more it fires once.
type endings struct {
	timer *time.Timer
	next  time.Time // when timer fires; zero for never; guarded by the owner's mu
}

// newEndings has end called whenever a call may have waited long enough.
func newEndings(end func()) endings {
	timer := time.AfterFunc(never, end)
	timer.Stop()
	return endings{timer: timer}
}

// atLocked has a call end at its deadline.
func (e *endings) atLocked(deadline time.Time) {
	if e.next.IsZero() || deadline.Before(e.next) {
		e.next = deadline
		e.timer.Reset(time.Until(deadline))
	}
}

// afterLocked goes on after the timer has fired: next is the first deadline of the calls that
// are left, zero for none, and rest how long the timer leaves them alone at least.
func (e *endings) afterLocked(now, next time.Time, rest time.Duration) {
	e.next = time.Time{}
	if next.IsZero() {
		return
	}
	if soonest := now.Add(rest); next.Before(soonest) {
		next = soonest
	}
	e.atLocked(next)
}

func (e *endings) stop() { e.timer.Stop() }

// endCalls ends calls whose time is over. The timer rests for a part of the shortest bound:
// it looks at all calls, and thousands may end one after the other.
func (c *StreamClient) endCalls() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return // whoever runs ends all
	}
	var next time.Time
	now, rest := time.Now(), never
	for id, o := range c.pending {
		switch {
		case o.within == 0: // its caller looks at the context
		case !now.Before(o.deadline):
			delete(c.pending, id)
			o.err = context.DeadlineExceeded
			o.answered <- struct{}{}
		default:
			rest = min(rest, o.within/endPart)
			if next.IsZero() || o.deadline.Before(next) {
				next = o.deadline
			}
		}
	}
	c.ending.afterLocked(now, next, rest)
}
