// wait.go takes calls that may wait, such as the jobs of a queue's workers.

package client

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

// Errors of waiting.
var (
	// ErrNever marks a call that no waiting can get admitted.
	ErrNever = errors.New("client: waiting cannot help")
	// ErrQueueFull marks a call that found no place in a Queue.
	ErrQueueFull = errors.New("client: queue is full")
)

// Wait asks until req is admitted. After a denial it sleeps as long as the decision says,
// never less, and asks again. Many may wait for one moment, so it sleeps a little longer, by
// chance:
//
//   - for a window, whose tokens come back all at once, up to an eighth of the wait, and for
//     anything else that takes more than a second up to a sixty-fourth; at most a second;
//   - once others were quicker, up to as long again as it has waited in all, at most ten
//     seconds: those who compete ask less and less often, and the limit is used all the same.
//
// That is never more than half of what is left of ctx then. A Queue keeps order, and its first
// asks as soon as it may.
//
// It returns early when ctx is done; when the denial can never pass, with ErrNever;
// and when the Limiter fails, with its error. Beside the first two, the Decision is
// the last denial.
func Wait(ctx context.Context, lim bucketring.Limiter, req bucketring.Request) (bucketring.Decision, error) {
	began := time.Now()
	return wait(ctx, lim, req, func(d *bucketring.Decision, denials int) time.Duration {
		return pause(ctx, d.RetryAfter, crowd(d, denials, time.Since(began)))
	})
}

// wait is Wait with a function that says how long to sleep after so many denials.
func wait(ctx context.Context, lim bucketring.Limiter, req bucketring.Request, pause func(d *bucketring.Decision, denials int) time.Duration) (bucketring.Decision, error) {
	for denials := 1; ; denials++ {
		d, err := lim.Take(ctx, req)
		if err != nil || d.Allowed {
			return d, err
		}
		if rule, ok := ruleOf(&d); ok {
			return d, fmt.Errorf("%w: access rule%s refuses this call", ErrNever, rule)
		}
		if d.RetryAfter == bucketring.Never {
			return d, fmt.Errorf("%w: %s denies this call for ever", ErrNever, d.Name)
		}
		if err := sleep(ctx, pause(&d, denials)); err != nil {
			return d, err
		}
	}
}

const (
	// shortestPause keeps a Limiter from being asked in a loop, whatever it says.
	shortestPause = time.Millisecond
	// longestSpread bounds what others cost who were quicker.
	longestSpread = 10 * time.Second
)

// pause is how long to sleep for a denial, with others who are to be spread over some time.
// Short waits stay exact where no others are known: who waits for the tokens of a bucket, one
// by one, would else miss the moment at which each comes. ctx is not to end in the part that
// was added.
func pause(ctx context.Context, retry, others time.Duration) time.Duration {
	retry = max(retry, shortestPause)
	if retry > time.Second {
		others = max(others, min(retry/64, time.Second))
	}
	if deadline, ok := ctx.Deadline(); ok {
		others = min(others, (time.Until(deadline)-retry)/2)
	}
	return spread(retry, others)
}

// crowd is over how long those are to be spread who wait for what d denies. How many there are
// is not known, but the longer this one has waited in vain, the more.
func crowd(d *bucketring.Decision, denials int, waited time.Duration) (most time.Duration) {
	if d.Limit > 1 && d.ResetAfter == d.RetryAfter {
		most = min(d.RetryAfter/8, time.Second)
	}
	if denials > 1 {
		most = max(most, min(waited, longestSpread))
	}
	return most
}

// A Queue lets calls of this process wait in line: first come, first admitted. Only
// the first in line asks the Limiter, so one that cannot be admitted yet holds up
// all behind it. Use a Queue for each thing that is waited for. The first asks as soon as it
// may, so that nothing is left unused; of several processes, then, one call each asks at a
// moment. It is safe for concurrent use.
type Queue struct {
	lim bucketring.Limiter
	max int

	mu   sync.Mutex
	line list.List // of chan struct{}, closed when its turn comes; guarded by mu
}

// DefaultQueue is the length of a Queue unless NewQueue is told another.
const DefaultQueue = 1024

// NewQueue returns an empty line of at most longest calls; 0 means DefaultQueue.
func NewQueue(lim bucketring.Limiter, longest int) *Queue {
	if longest == 0 {
		longest = DefaultQueue
	}
	return &Queue{lim: lim, max: longest}
}

// Wait waits in line until req is admitted, and has the errors of the function
// Wait. If the line is full, it fails at once with ErrQueueFull.
func (q *Queue) Wait(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	place, err := q.enter()
	if err != nil {
		return bucketring.Decision{}, err
	}
	defer q.leave(place)
	select {
	case <-ctx.Done():
		return bucketring.Decision{}, ctx.Err()
	case <-place.Value.(chan struct{}):
		return wait(ctx, q.lim, req, func(d *bucketring.Decision, _ int) time.Duration { return pause(ctx, d.RetryAfter, 0) })
	}
}

// Len returns how many calls are in line, with the one that asks.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.line.Len()
}

func (q *Queue) enter() (*list.Element, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.line.Len() >= q.max {
		return nil, fmt.Errorf("%w: %d calls wait already", ErrQueueFull, q.max)
	}
	turn := make(chan struct{})
	if q.line.Len() == 0 {
		close(turn)
	}
	return q.line.PushBack(turn), nil
}

// leave gives the turn to the next, if it was this one's.
func (q *Queue) leave(place *list.Element) {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := q.line.Front() == place
	q.line.Remove(place)
	if next := q.line.Front(); first && next != nil {
		close(next.Value.(chan struct{}))
	}
}
