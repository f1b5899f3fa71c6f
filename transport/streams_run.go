// streams_run.go is the life of a stream on the asking side: open it, write what is queued,
// read answers, and all again while there is something to ask.

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

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

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
	var came []cameBack
	for {
		if err := stream.RecvMsg(m); err != nil {
			return answered, err
		}
		answered = true
		if came, err = reader.readStream(m.raw, came[:0]); err != nil {
			return answered, err
		}
		c.settle(came)
		clear(came)
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

// use makes stream the present one, nil for none.
func (c *StreamClient) use(stream limitpb.Limiter_TakeStreamClient) {
	c.sending <- struct{}{}
	defer func() { <-c.sending }()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent, c.proven = 0, false; stream != nil { // answers on the one before may be read still
		c.upTo = 0
	}
	c.stream = stream
}

// flush sends all that is queued.
func (c *StreamClient) flush() error {
	c.sending <- struct{}{}
	defer func() { <-c.sending }()
	for more := true; more; {
		if c.out.raw, more = c.next(c.out.raw[:0]); len(c.out.raw) == 0 {
			continue
		}
		if err := c.stream.SendMsg(&c.out); err != nil {
			return fmt.Errorf("transport: send calls: %w", err)
		}
	}
	return nil
}

// next appends a message of the next calls to b, leaving out those whose callers are gone,
// and reports whether more wait.
func (c *StreamClient) next(b []byte) (_ []byte, more bool) {
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
		c.upTo = o.id
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
	return b, len(c.queue) > 0
}

// settle hands the answers of a message to their callers, if those still wait.
func (c *StreamClient) settle(came []cameBack) {
	c.mu.Lock()
	for i := range came {
		if one := &came[i]; one.id <= c.upTo { // else nobody has asked: the call is in the queue
			one.to = c.pending[one.id]
			delete(c.pending, one.id)
		}
	}
	c.sent, c.proven = max(c.sent-len(came), 0), true
	c.mu.Unlock()
	for i := range came {
		if o := came[i].to; o != nil {
			o.decision, o.err = came[i].decision, came[i].failed
			o.answered <- struct{}{}
		}
	}
}
