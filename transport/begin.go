// begin.go asks a peer without a goroutine that waits for the answer.

package transport

import (
	"context"
	"fmt"
	"time"

	"github.com/bucketring/bucketring"
)

// Begin asks the peer to decide req, whose limits are named, and tells w the decision, or an
// error soon after deadline has come. req must not change until then, and after an error
// never: a message that is being written may have it.
func (p *peer) Begin(req *bucketring.Request, deadline time.Time, w bucketring.Waiter) (id uint64) {
	o, err := p.begin(req, deadline, w)
	if err != nil {
		p.give(&outgoing{waiter: w}, &answer{err: err})
		return 0
	}
	return o.id
}

func (p *peer) begin(req *bucketring.Request, deadline time.Time, w bucketring.Waiter) (*outgoing, error) {
	p.stir()
	if err := p.away(); err != nil {
		return nil, err
	}
	o, err := newOutgoing(req)
	if err != nil {
		return nil, err
	}
	o.deadline, o.waiter = deadline, w
	return o, p.enqueue(o)
}

// GiveUp drops a call that was begun. It is not sent if it has not been yet, and its waiter
// is told nothing unless it is being told.
func (p *peer) GiveUp(id uint64) {
	p.mu.Lock()
	delete(p.pending, id)
	p.mu.Unlock()
}

// give hands an answer to whoever waits for it.
func (p *peer) give(o *outgoing, a *answer) {
	if o.waiter == nil {
		o.answer <- *a
		return
	}
	if a.err != nil {
		p.failed.Add(1)
		a.err = fmt.Errorf("transport: take from %s: %w", p.target.Name, a.err)
	} else {
		p.answered.Add(1)
	}
	o.waiter.Answered(&a.decision, a.err)
}

// endCalls ends calls whose deadline has come.
func (p *peer) endCalls() {
	var over []*outgoing
	var next time.Time
	now := time.Now()
	p.mu.Lock()
	for id, o := range p.pending {
		switch {
		case o.waiter == nil:
		case !now.Before(o.deadline):
			delete(p.pending, id)
			over = append(over, o)
		case next.IsZero() || o.deadline.Before(next):
			next = o.deadline
		}
	}
	p.ending.afterLocked(now, next, endEvery)
	p.mu.Unlock()
	for _, o := range over {
		p.give(o, &answer{err: fmt.Errorf("%w: no answer: %w", bucketring.ErrUnavailable, context.DeadlineExceeded)})
	}
}
