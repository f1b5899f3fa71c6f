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

	mu      sync.Mutex
	open    bool                // somebody runs; guarded by mu
	queue   []*calling          // not sent yet; guarded by mu
	pending map[uint64]*calling // not answered, sent or not; guarded by mu
	lastID  uint64              // guarded by mu
}

var _ bucketring.Limiter = (*StreamClient)(nil)

// A calling is a call on its way.
type calling struct {
	m        limitpb.StreamRequest
	request  limitpb.TakeRequest
	cost     int64
	size     int
	deadline time.Time
	answer   chan streamAnswer // one slot: whoever answers never waits
}

type streamAnswer struct {
	m   *limitpb.Answer
	err error
}

// NewStreamClient returns a StreamClient on a connection, which stays the caller's.
func NewStreamClient(conn grpc.ClientConnInterface) *StreamClient {
	ctx, cancel := context.WithCancel(context.Background())
	return &StreamClient{
		Client: NewClient(conn), ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), pending: map[uint64]*calling{},
	}
}

// Close ends the stream. Calls under way end as unavailable.
func (c *StreamClient) Close() {
	c.cancel()
	c.running.Wait()
}

// Take asks the node to carry out req.
func (c *StreamClient) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	if req.Verb > bucketring.VerbReset {
		return c.Client.Take(ctx, req)
	}
	if err := sendable(&req); err != nil {
		return bucketring.Decision{}, err
	}
	o := &calling{answer: make(chan streamAnswer, 1)}
	o.m.Verb, o.m.Request = limitpb.Verb(req.Verb), &o.request
	c.writer.take(&o.request, &o.cost, &req)
	o.request.Attributes = maps.Clone(req.Attributes) // read after a caller has given up, too
	o.size = len(req.Key) + len(o.request.Limit) + len(req.Namespace) + len(req.Token) + 64
	for name, value := range req.Attributes {
		o.size += len(name) + len(value) + 8
	}
	if o.size > maxMessage-packedBytes {
		return c.Client.Take(ctx, req) // which says what is wrong
	}
	o.deadline, _ = ctx.Deadline()
	if err := ctx.Err(); err != nil {
		return bucketring.Decision{}, err
	}
	c.enqueue(o)
	select {
	case a := <-o.answer:
		return a.decision()
	case <-ctx.Done():
		c.forget(o)
		return bucketring.Decision{}, ctx.Err()
	}
}

func (a *streamAnswer) decision() (bucketring.Decision, error) {
	switch e := a.m.GetError(); {
	case a.err != nil:
		return bucketring.Decision{}, fmt.Errorf("%w: stream of calls broke: %s", bucketring.ErrUnavailable, status.Convert(a.err).Message())
	case e != nil:
		return bucketring.Decision{}, fromCode(codes.Code(e.GetCode()), e.GetReason(), e.GetDetail())
	}
	return fromDecision(a.m.GetDecision()), nil
}

func (c *StreamClient) enqueue(o *calling) {
	c.mu.Lock()
	c.lastID++
	o.m.Id = c.lastID
	c.pending[o.m.Id] = o
	c.queue = append(c.queue, o)
	if !c.open {
		c.open = true
		c.running.Go(c.run)
	}
	c.mu.Unlock()
	c.notify()
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
	delete(c.pending, o.m.Id)
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
				o.answer <- streamAnswer{err: err}
			}
			clear(c.pending)
		}
		c.queue = slices.SortedFunc(maps.Values(c.pending), func(a, b *calling) int { return int(int64(a.m.Id - b.m.Id)) })
		if c.open = len(c.queue) > 0; !c.open {
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
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
	for {
		m, err := stream.Recv()
		if err != nil {
			return answered, err
		}
		answered = true
		c.settle(m)
		for _, one := range m.GetMore() {
			c.settle(one)
		}
	}
}

// write sends what is queued. It yields once before it looks, so that callers that are
// about to ask share the message; it never waits for one to fill.
func (c *StreamClient) write(ctx context.Context, stream limitpb.Limiter_TakeStreamClient) error {
	c.notify() // calls may wait from before
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.wake:
		}
		runtime.Gosched()
		for m := c.next(); m != nil; m = c.next() {
			if err := stream.Send(m); err != nil {
				return fmt.Errorf("transport: send calls: %w", err)
			}
		}
	}
}

// next makes a message of the next calls, leaving out those whose callers are gone; nil
// of none.
func (c *StreamClient) next() (m *limitpb.StreamRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, size, taken := time.Now(), 0, 0
	for _, o := range c.queue {
		if taken == packedCalls || size >= packedBytes {
			break
		}
		taken++
		if c.pending[o.m.Id] == nil {
			continue
		}
		if o.m.More = nil; !o.deadline.IsZero() {
			o.m.BudgetNs = max(int64(o.deadline.Sub(now)), 1)
		}
		if size += o.size; m == nil {
			m = &o.m
		} else {
			m.More = append(m.More, &o.m)
		}
	}
	if c.queue = c.queue[taken:]; len(c.queue) == 0 {
		c.queue = nil // lets go of the array
	}
	return m
}

// settle hands an answer to its caller, if that one still waits.
func (c *StreamClient) settle(m *limitpb.StreamResponse) {
	c.mu.Lock()
	o := c.pending[m.GetId()]
	delete(c.pending, m.GetId())
	c.mu.Unlock()
	if o != nil {
		o.answer <- streamAnswer{m: m.GetAnswer()}
	}
}
