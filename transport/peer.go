// peer.go is the asking side of a link: a peer as a Limiter.

package transport

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	maxQueued = 65536   // calls that wait to be sent
	maxBytes  = 8 << 20 // bytes of their keys and ids
	maxDetail = 200     // bytes of an error's text; a full frame of them stays below maxFrame
)

// A linkState says what a new call can expect.
type linkState int32

const (
	linking linkState = iota // being made, or made again: calls wait for it
	linked
	refused // the last attempt failed: calls fail at once
	closed
)

// A peer is one other node. Its link is kept by run, in link.go.
type peer struct {
	cfg    PeerConfig
	target Target
	base   time.Time // of the monotonic readings
	cancel context.CancelFunc
	done   chan struct{} // closed when run has ended
	wake   chan struct{} // one slot: the queue has calls

	state    atomic.Int32
	boot     atomic.Uint64 // of the start that answers
	wire     atomic.Uint32 // which version it speaks
	sessions atomic.Uint64 // counts links
	silence

	mu      sync.Mutex
	ending  endings
	queue   []*outgoing          // not sent yet, in the order of ids; guarded by mu
	queued  int                  // bytes of their keys and ids; guarded by mu
	pending map[uint64]*outgoing // unanswered, sent or not; guarded by mu
	lastID  uint64               // guarded by mu

	messages []*peerpb.Msg // not sent yet; guarded by mu
	copies   int           // bytes of copies among them; guarded by mu
	lossy    bool          // the last message was lost; guarded by mu
	bulk     bulk

	answered, failed, frames, items, reconnects atomic.Int64
}

var _ bucketring.Limiter = (*peer)(nil)

// newPeer starts a link whose calls have ids above lastID. rest says whether nothing happens
// on this node.
func newPeer(cfg PeerConfig, target Target, lastID uint64, rest *atomic.Bool) *peer {
	ctx, cancel := context.WithCancel(context.Background())
	p := &peer{
		cfg: cfg, target: target, base: time.Now(), cancel: cancel,
		done: make(chan struct{}), wake: make(chan struct{}, 1), pending: map[uint64]*outgoing{}, lastID: lastID,
	}
	p.rest, p.stirred = rest, make(chan struct{}, 1)
	p.sessions.Store(lastID) // above those of an earlier link to the same peer
	p.bulk = bulk{peer: p, wake: make(chan struct{}, 1)}
	p.ending = newEndings(p.endCalls)
	go p.run(ctx)
	return p
}

// close ends the link and waits until it has ended.
func (p *peer) close() {
	p.cancel()
	<-p.done
}

// Take asks the peer to decide req, whose limits are named. It waits until ctx
// is done at most, and not at all for a peer that is known to be away.
func (p *peer) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	d, err := p.take(ctx, &req)
	if err != nil {
		p.failed.Add(1)
		return d, fmt.Errorf("transport: take from %s: %w", p.target.Name, err)
	}
	p.answered.Add(1)
	return d, nil
}

func (p *peer) take(ctx context.Context, req *bucketring.Request) (bucketring.Decision, error) {
	p.stir()
	if err := p.away(); err != nil {
		return bucketring.Decision{}, err
	}
	o, err := newOutgoing(req)
	if err != nil {
		return bucketring.Decision{}, err
	}
	o.answer = make(chan answer, 1)
	o.deadline, _ = ctx.Deadline()
	if err := p.enqueue(o); err != nil {
		return bucketring.Decision{}, err
	}
	select {
	case a := <-o.answer:
		return a.decision, a.err
	case <-ctx.Done():
		p.forget(o)
		return bucketring.Decision{}, fmt.Errorf("%w: no answer: %w", bucketring.ErrUnavailable, ctx.Err())
	}
}

// enqueue gives the call its id and hands it to the writer.
func (p *peer) enqueue(o *outgoing) error {
	p.mu.Lock()
	// The state again, under the lock: whoever ends all calls sets it first.
	if len(p.queue) >= maxQueued || p.queued >= maxBytes || linkState(p.state.Load()) >= refused {
		p.mu.Unlock()
		return fmt.Errorf("%w: queue is full or link is gone", bucketring.ErrUnavailable)
	}
	p.lastID++
	o.id = p.lastID
	p.queue = append(p.queue, o)
	p.queued += o.held
	p.pending[o.id] = o
	if o.waiter != nil {
		p.ending.atLocked(o.deadline)
	}
	p.mu.Unlock()
	p.notify()
	return nil
}

// forget gives up a call whose caller no longer waits.
func (p *peer) forget(o *outgoing) {
	p.mu.Lock()
	delete(p.pending, o.id)
	p.mu.Unlock()
}

// dequeue returns the next calls to send, at most frameItems of about
// frameBytes, leaving out those whose callers are gone.
func (p *peer) dequeue() (calls []*outgoing, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size, taken := 0, 0
	for _, o := range p.queue {
		if len(calls) == frameItems || size >= frameBytes {
			break
		}
		taken++
		p.queued -= o.held
		if p.pending[o.id] == nil {
			continue
		}
		calls = append(calls, o)
		size += o.size
	}
	p.queue = p.queue[taken:]
	if len(p.queue) == 0 {
		p.queue = nil // lets go of the array
	}
	return calls, len(p.queue) > 0
}

// requeue puts all unanswered calls first again, for a new link. Their ids stay,
// so that one which was decided already is answered and not decided again.
func (p *peer) requeue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.queued, p.messages, p.copies = p.queue[:0], 0, nil, 0
	for _, o := range p.pending {
		p.queue = append(p.queue, o)
		p.queued += o.held
	}
	slices.SortFunc(p.queue, func(a, b *outgoing) int { return int(int64(a.id) - int64(b.id)) })
}

// failAll ends every call under way.
func (p *peer) failAll(err error) {
	p.mu.Lock()
	pending := p.pending
	p.pending, p.queue, p.queued = map[uint64]*outgoing{}, nil, 0
	p.mu.Unlock()
	for _, o := range pending {
		p.give(o, &answer{err: err})
	}
}

// settle hands a verdict to its caller, if that one still waits.
func (p *peer) settle(v *peerpb.Verdict) {
	p.mu.Lock()
	o := p.pending[v.GetId()]
	delete(p.pending, v.GetId())
	p.mu.Unlock()
	if o == nil {
		return
	}
	var a answer
	switch v.GetCode() {
	case peerpb.Verdict_ALLOW, peerpb.Verdict_DENY:
		var ok bool
		if a.decision, ok = fromVerdict(v, o.req); !ok {
			a.err = fmt.Errorf("%w: verdict does not fit the call", bucketring.ErrUnavailable)
		}
	case peerpb.Verdict_NOT_HOLDER:
		a.err = &bucketring.NotOwner{Hint: v.GetHint().GetNode(), Gen: v.GetHint().GetGen()}
	case peerpb.Verdict_INVALID:
		a.err = bucketring.Invalidf("%s", v.GetDetail())
	default:
		a.err = fmt.Errorf("%w: peer could not decide", bucketring.ErrUnavailable)
	}
	p.give(o, &a)
}

func (p *peer) stats() PeerStats {
	up := linkState(p.state.Load()) == linked && p.away() == nil
	return PeerStats{
		Peer: p.target.Name, Up: up, Answered: p.answered.Load(), Failed: p.failed.Load(),
		Frames: p.frames.Load(), Items: p.items.Load(), Reconnects: p.reconnects.Load(),
	}
}
