// streams.go is the asking side of TakeStream: one stream to a node carries the calls of
// many callers.

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
	proven  bool                // this stream has brought an answer; guarded by mu
}

var _ bucketring.Limiter = (*StreamClient)(nil)

// A calling is a call on its way. It is used again after an answer.
type calling struct {
	id       uint64
	req      bucketring.Request
	deadline time.Time
	decision bucketring.Decision
	err      error         // what came in place of a decision
	answered chan struct{} // one slot: whoever answers never waits
	timer    *time.Timer   // of TakeWithin; nil before the first
}

// NewStreamClient returns a StreamClient on a connection, which stays the caller's.
func NewStreamClient(conn grpc.ClientConnInterface) *StreamClient {
	ctx, cancel := context.WithCancel(context.Background())
	return &StreamClient{
		Client: NewClient(conn), ctx: ctx, cancel: cancel, out: packed{Message: (*limitpb.StreamRequest)(nil).ProtoReflect()},
		wake: make(chan struct{}, 1), sending: make(chan struct{}, 1), pending: map[uint64]*calling{},
	}
}

// Close ends the stream. Calls under way end as unavailable.
func (c *StreamClient) Close() {
	c.cancel()
	c.mu.Lock()
	c.closed = true // nobody begins to run any more
	c.mu.Unlock()
	c.running.Wait()
}

// Take asks the node to carry out req.
func (c *StreamClient) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return c.TakeWithin(ctx, 0, req)
}

// TakeWithin is Take for a caller who does something else after most: the error is
// context.DeadlineExceeded then. 0 means no bound beside ctx. It costs less than a context.
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
	o.deadline, _ = ctx.Deadline()
	late := o.within(most)
	c.enqueue(o)
	select {
	case <-o.answered:
		d, err := o.decision, o.err
		o.req, o.decision, o.err = bucketring.Request{}, bucketring.Decision{}, nil
		if late != nil {
			o.timer.Stop()
		}
		c.unused.Put(o)
		return d, err
	case <-ctx.Done():
		c.forget(o) // it may still be written: nobody uses it again
		return bucketring.Decision{}, ctx.Err()
	case <-late:
		c.forget(o)
		return bucketring.Decision{}, context.DeadlineExceeded
	}
}

// within begins the time that a call has at most, beside that of its context.
func (o *calling) within(most time.Duration) (late <-chan time.Time) {
	if most == 0 {
		return nil
	}
	if until := time.Now().Add(most); o.deadline.IsZero() || until.Before(o.deadline) {
		o.deadline = until
	}
	if o.timer == nil {
		o.timer = time.NewTimer(most)
	} else {
		o.timer.Reset(most)
	}
	return o.timer.C
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
// nothing is left to be sent.
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
	if c.out.raw = c.next(c.out.raw[:0]); len(c.out.raw) > 0 && c.stream.SendMsg(&c.out) != nil {
		return true // the reader knows why the stream broke, and what becomes of the call
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) == 0
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

// run keeps a stream open while there is something to ask.
func (c *StreamClient) run() {
	for silent := 0; ; {
		answered, err := c.session()
		if silent++; answered {
			silent = 0
		}
		c.mu.Lock()
		// After a good end nobody has decided what is not answered. Twice without any
		// answer it is no good end.
		if !errors.Is(err, io.EOF) || silent > 1 {
			for _, o := range c.pending {
				o.err = broken(err)
				o.answered <- struct{}{}
			}
			clear(c.pending)
		}
		c.queue = slices.SortedFunc(maps.Values(c.pending), func(a, b *calling) int { return int(int64(a.id - b.id)) })
		if c.open = len(c.queue) > 0; !c.open {
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

// broken is the error of calls on a stream that ended with err.
func broken(err error) error {
	if code := status.Code(err); code == codes.Unauthenticated || code == codes.PermissionDenied {
		return fromStatus(err) // another try, or another node, would not help
	}
	return fmt.Errorf("%w: stream of calls broke: %s", bucketring.ErrUnavailable, status.Convert(err).Message())
}

// session is one stream, from its beginning to its end. The error is io.EOF if the node
// ended it in good order; answered says that it brought something.
func (c *StreamClient) session() (answered bool, err error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	stream, err := c.api.TakeStream(ctx)
	if err != nil {
		return false, err
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	defer cancel()
	writing.Go(func() {
		if c.write(ctx, stream) != nil {
			cancel() // the reader knows why
		}
	})
	m := &packed{Message: (*limitpb.StreamResponse)(nil).ProtoReflect()}
	var reader decisionReader
	for {
		if err := stream.RecvMsg(m); err != nil {
			return answered, err
		}
		answered = true
		if err := reader.readStream(m.raw, c.settle); err != nil {
			return answered, err
		}
	}
}

// write sends what is queued. It yields once before it looks, so that callers that are
// about to ask share the message; it never waits for one to fill.
func (c *StreamClient) write(ctx context.Context, stream limitpb.Limiter_TakeStreamClient) error {
	c.use(stream)
	defer c.use(nil)
	c.notify() // calls may wait from before
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.wake:
		}
		runtime.Gosched()
		if err := c.flush(); err != nil {
			return err
		}
	}
}

// use makes stream the present one.
func (c *StreamClient) use(stream limitpb.Limiter_TakeStreamClient) {
	c.sending <- struct{}{}
	defer func() { <-c.sending }()
	c.stream = stream
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent, c.proven = 0, false
}

// flush sends all that is queued.
func (c *StreamClient) flush() error {
	c.sending <- struct{}{}
	defer func() { <-c.sending }()
	for c.out.raw = c.next(c.out.raw[:0]); len(c.out.raw) > 0; c.out.raw = c.next(c.out.raw[:0]) {
		if err := c.stream.SendMsg(&c.out); err != nil {
			return fmt.Errorf("transport: send calls: %w", err)
		}
	}
	return nil
}

// next appends a message of the next calls to b, leaving out those whose callers are gone.
func (c *StreamClient) next(b []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, taken := time.Now(), 0
	for _, o := range c.queue {
		if taken == packedCalls || len(b) >= packedBytes {
			break
		}
		taken++
		if c.pending[o.id] == nil {
			continue
		}
		c.sent++
		var budget time.Duration
		if !o.deadline.IsZero() {
			budget = max(o.deadline.Sub(now), 1)
		}
		if len(b) == 0 {
			b = c.writer.appendCall(b, o.id, budget, &o.req)
			continue
		}
		var mark int
		b, mark = begin(b, 4)
		b = end(c.writer.appendCall(b, o.id, budget, &o.req), mark)
	}
	clear(c.queue[:taken])
	if c.queue = c.queue[taken:]; len(c.queue) == 0 {
		c.queue = nil // lets go of the array
	}
	return b
}

// settle hands an answer to its caller, if that one still waits.
func (c *StreamClient) settle(id uint64, d *bucketring.Decision, err error) {
	c.mu.Lock()
	o := c.pending[id]
	delete(c.pending, id)
	c.sent, c.proven = max(c.sent-1, 0), true
	c.mu.Unlock()
	if o != nil {
		o.decision, o.err = *d, err
		o.answered <- struct{}{}
	}
}
