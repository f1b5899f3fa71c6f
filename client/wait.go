// wait.go takes calls that may wait, such as the jobs of a queue's workers.

package client

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// Wait asks until req is admitted. After a denial it sleeps as long as the decision
// says and asks again. Processes that wait for one limit spread a little: a wait of
// more than a second is made up to a sixty-fourth longer, at most by a second.
//
// It returns early when ctx is done; when the denial can never pass, with ErrNever;
// and when the Limiter fails, with its error. Beside the first two, the Decision is
// the last denial.
func Wait(ctx context.Context, lim bucketring.Limiter, req bucketring.Request) (bucketring.Decision, error) {
	for {
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
		timer := time.NewTimer(pause(d.RetryAfter))
		select {
		case <-ctx.Done():
			timer.Stop()
			return d, ctx.Err()
		case <-timer.C:
		}
	}
}

// shortestPause keeps a Limiter from being asked in a loop, whatever it says.
const shortestPause = time.Millisecond

// pause is how long to sleep for a denial. Short waits stay exact: who waits for the
// tokens of a bucket, one by one, would else miss the moment at which each comes.
func pause(retry time.Duration) time.Duration {
	retry = max(retry, shortestPause)
	if retry > time.Second {
		retry += rand.N(min(retry/64, time.Second))
	}
	return retry
}

// A Queue lets calls of this process wait in line: first come, first admitted. Only
// the first in line asks the Limiter, so one that cannot be admitted yet holds up
// all behind it. Use a Queue for each thing that is waited for. It is safe for
// concurrent use.
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
		return Wait(ctx, q.lim, req)
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
