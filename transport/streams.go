// streams.go is the asking side of TakeStream: one stream to a node carries the calls of
// many callers. Its life is in streams_run.go.

package transport

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

const (
	packedCalls = 500       // that share a message
	packedBytes = 128 << 10 // at which a message ends; with one more call it stays below maxMessage
	limitSize   = 160       // bytes of the text of a limit beside its zone, at most
)

// A StreamClient asks a node through the public API, as a Client does, with one stream for
// takes, peeks, refunds and resets. It opens one when there is something to ask. Calls
// that lie on a stream that breaks end as unavailable; those on one that the node has
// ended in good order go on another one. Close ends it.
type StreamClient struct {
	*Client // for what streams do not carry
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{} // one slot: the queue has calls
	unused  sync.Pool     // of *calling

	sending chan struct{}                    // full while somebody sends, which may last
	stream  limitpb.Limiter_TakeStreamClient // nil between streams; guarded by sending
	out     packed                           // what is sent; guarded by sending

	mu      sync.Mutex
	open    bool                // somebody runs; guarded by mu
	closed  bool                // guarded by mu
	queue   []*calling          // not sent yet; guarded by mu
	pending map[uint64]*calling // not answered, sent or not; guarded by mu
	lastID  uint64              // guarded by mu
	sent    int                 // calls on this stream without an answer; guarded by mu
	upTo    uint64              // no call with a higher id is on this stream; guarded by mu
	proven  bool                // this stream has brought an answer; guarded by mu
	ending  endings             // of what TakeWithin bounds; guarded by mu
}

var _ bucketring.Limiter = (*StreamClient)(nil)

// A calling is a call on its way. It is used again after a decision.
type calling struct {
	id       uint64
	req      bucketring.Request
	deadline time.Time
	within   time.Duration // of TakeWithin, if deadline comes from it, or 0
	decision bucketring.Decision
	err      error         // what came in place of a decision
	answered chan struct{} // one slot: whoever answers never waits
}

// NewStreamClient returns a StreamClient on a connection, which stays the caller's.
func NewStreamClient(conn grpc.ClientConnInterface) *StreamClient {
	ctx, cancel := context.WithCancel(context.Background())
	c := &StreamClient{
		Client: NewClient(conn), ctx: ctx, cancel: cancel, out: packed{Message: (*limitpb.StreamRequest)(nil).ProtoReflect()},
		wake: make(chan struct{}, 1), sending: make(chan struct{}, 1), pending: map[uint64]*calling{},
	}
	c.ending = newEndings(c.endCalls)
	return c
}

// Close ends the stream. Calls under way end as unavailable.
func (c *StreamClient) Close() {
	c.cancel()
	c.mu.Lock()
	c.closed = true // nobody begins to run any more
	c.ending.stop()
	c.mu.Unlock()
	c.running.Wait()
}

// Take asks the node to carry out req.
func (c *StreamClient) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return c.TakeWithin(ctx, 0, req)
}

// TakeWithin is Take for a caller who does something else after most, or up to an eighth
// later where many calls are late: the error is context.DeadlineExceeded then. 0 means no
// bound beside ctx. It costs less than a context.
func (c *StreamClient) TakeWithin(ctx context.Context, most time.Duration, req bucketring.Request) (bucketring.Decision, error) {
	if req.Verb > bucketring.VerbReset {
		return c.Client.TakeWithin(ctx, most, req)
	}
	if err := sendable(&req); err != nil {
		return bucketring.Decision{}, err
	}
	size := len(req.Key) + len(req.Namespace) + len(req.Token) + 64 // more than what it will be
	for i := range req.Limits {
		size += limitSize + len(req.Limits[i].Zone)
	}
	for name, value := range req.Attributes {
		size += len(name) + len(value) + 8
	}
	if size > maxMessage-packedBytes {
		return c.Client.TakeWithin(ctx, most, req) // which says what is wrong
	}
	if err := ctx.Err(); err != nil {
		return bucketring.Decision{}, err
	}
	o, _ := c.unused.Get().(*calling)
	if o == nil {
		o = &calling{answered: make(chan struct{}, 1)}
	}
	o.req = req
	o.req.Attributes = maps.Clone(req.Attributes) // read after a caller has given up, too
	o.bound(ctx, most)
	c.enqueue(o)
	select {
	case <-o.answered:
		if o.err != nil {
			return bucketring.Decision{}, o.err // perhaps given up while it waits to be sent
		}
		d := o.decision
		o.req, o.decision = bucketring.Request{}, bucketring.Decision{}
		c.unused.Put(o)
		return d, nil
	case <-ctx.Done():
		c.forget(o) // it may still be written: nobody uses it again
		return bucketring.Decision{}, ctx.Err()
	}
}

// bound notes how long a call may take.
func (o *calling) bound(ctx context.Context, most time.Duration) {
	o.deadline, _ = ctx.Deadline()
	if o.within = 0; most == 0 {
		return
	}
	if until := time.Now().Add(most); o.deadline.IsZero() || until.Before(o.deadline) {
		o.deadline, o.within = until, most
	}
}

// enqueue has a call sent. On a stream that has answered all, and so has room, a call that is
// alone is sent by its caller: nobody has to be woken.
func (c *StreamClient) enqueue(o *calling) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		o.err = fmt.Errorf("%w: the client is closed", bucketring.ErrUnavailable)
		o.answered <- struct{}{}
		return
	}
	c.lastID++
	o.id = c.lastID
	c.pending[o.id] = o
	c.queue = append(c.queue, o)
	if o.within > 0 {
		c.ending.atLocked(o.deadline)
	}
	if !c.open {
		c.open = true
		c.running.Go(c.run)
	}
	alone := len(c.queue) == 1 && c.sent == 0 && c.proven
	c.mu.Unlock()
	if !alone || !c.sendAlone() {
		c.notify()
	}
}

// sendAlone sends the next message, unless somebody sends already. It reports whether
// nothing was left to be sent.
func (c *StreamClient) sendAlone() (done bool) {
	select {
	case c.sending <- struct{}{}:
	default:
		return false
	}
	defer func() { <-c.sending }()
	if c.stream == nil {
		return false
	}
	var more bool
	if c.out.raw, more = c.next(c.out.raw[:0]); len(c.out.raw) > 0 && c.stream.SendMsg(&c.out) != nil {
		return true // the reader knows why the stream broke, and what becomes of the call
	}
	return !more
}

func (c *StreamClient) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// forget gives up a call whose caller no longer waits.
func (c *StreamClient) forget(o *calling) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, o.id)
}
