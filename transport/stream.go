// stream.go answers the calls of one stream of the public API. What needs no other node
// is decided by the goroutine that received it, and answered in one message.

package transport

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// streamAge is how long a stream lives, up to a fifth less. It ends in good order then,
// before its connection is cut off because of its age.
const streamAge = 4 * time.Minute

// maxPacked is how many answers share a message: policies have long ones.
const maxPacked = 250

type callStream = grpc.BidiStreamingServer[limitpb.StreamRequest, limitpb.StreamResponse]

// A streamed is one stream.
type streamed struct {
	server   *Server
	stream   callStream
	places   chan struct{} // one for each request that is not answered
	deciding sync.WaitGroup

	reading sync.Mutex  // held while requests are taken in
	calls   streamCalls // guarded by reading
	decided prompts     // what came of the next few of them; guarded by reading
	made    answers     // to the calls of a message, so far; guarded by reading
	ended   bool        // nothing is taken in any more; guarded by reading

	mu      sync.Mutex
	ready   answers // to be sent; guarded by mu
	sending bool    // somebody sends; guarded by mu
	leaving answers // belongs to whoever sends, like out
	out     packed
	packs   bool  // the caller understands several in one message; guarded by mu
	failed  error // of sending; guarded by mu
}

// answers are written one behind the other: the fields of a limitpb.StreamResponse each.
type answers struct {
	bytes []byte
	ends  []int
}

// add writes an answer.
func (a *answers) add(id uint64, d *bucketring.Decision, err error) {
	b, mark := begin(appendNumber(a.bytes, 1, id), 2)
	a.bytes = end(appendAnswer(b, d, err), mark)
	a.ends = append(a.ends, len(a.bytes))
}

func (a *answers) clear() { a.bytes, a.ends = keptBytes(a.bytes), a.ends[:0] }

// more appends what b has.
func (a *answers) more(b *answers) {
	first := len(a.bytes)
	a.bytes = append(a.bytes, b.bytes...)
	for _, at := range b.ends {
		a.ends = append(a.ends, first+at)
	}
}

// message writes some answers as one message.
func (a *answers) message(b []byte, first, count int) []byte {
	start := 0
	if first > 0 {
		start = a.ends[first-1]
	}
	b = append(b, a.bytes[start:a.ends[first]]...)
	for i := first + 1; i < first+count; i++ {
		b = protowire.AppendBytes(appendTag(b, 3, protowire.BytesType), a.bytes[a.ends[i-1]:a.ends[i]])
	}
	return b
}

// keptSize bounds the buffers that a stream keeps between messages.
const keptSize = 64 << 10

// keptBytes returns b to be used again, or nil if it is too large to be kept.
func keptBytes(b []byte) []byte {
	if cap(b) > keptSize {
		return nil
	}
	return b[:0]
}

// TakeStream implements limitpb.LimiterServer. Each request is decided on its
// own, so that one that is forwarded holds up no other.
func (s *Server) TakeStream(stream callStream) error {
	select {
	case <-s.ending:
		return status.Error(codes.Unavailable, "the node is stopping: ask another one")
	default:
	}
	c := &streamed{server: s, stream: stream, places: make(chan struct{}, maxInFlight), calls: streamCalls{parser: &s.parser}}
	c.out.Message = (*limitpb.StreamResponse)(nil).ProtoReflect()
	age := time.NewTimer(streamAge - rand.N(streamAge/5)) // #nosec: jitter needs no secrecy
	defer age.Stop()
	read := make(chan error, 1)
	go func() { read <- c.read() }()
	var err error
	select {
	case err = <-read:
	case <-s.ending:
	case <-age.C:
	}
	c.reading.Lock() // waits for what is being taken in
	c.ended = true
	c.reading.Unlock()
	c.deciding.Wait()
	return errors.Join(err, c.sent())
}

// read takes in requests until the caller has sent all, or the stream has ended.
func (c *streamed) read() error {
	m := &packed{Message: (*limitpb.StreamRequest)(nil).ProtoReflect()}
	for {
		err := c.stream.RecvMsg(m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = fits(len(m.raw))
		}
		if err == nil {
			err = c.takeIn(m.raw)
		}
		if err != nil {
			return err
		}
		m.raw = keptBytes(m.raw)
	}
}

// takeIn decides what needs no other node, and leaves the rest to goroutines.
func (c *streamed) takeIn(raw []byte) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.ended {
		return nil
	}
	if err := c.server.known(c.stream.Context()); err != nil {
		return err
	}
	if err := c.calls.readStream(raw); err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	switch further := c.calls.count; {
	case further > maxBatch:
		return status.Errorf(codes.OutOfRange, "%d requests in a message, at most %d are allowed: send several", further, maxBatch)
	case c.calls.nested:
		return status.Error(codes.InvalidArgument, "a further request has further requests: put them side by side")
	case further > 0:
		c.mu.Lock()
		c.packs = true
		c.mu.Unlock()
	}
	c.made.clear()
	for calls := c.calls.calls; len(calls) > 0; {
		some := calls[:min(len(calls), togetherAtMost)]
		c.server.takeEachNow(c.stream.Context(), some, &c.decided)
		for i := range some {
			c.begin(&some[i], &c.decided, i)
		}
		calls = calls[len(some):]
	}
	c.send(&c.made)
	if c.calls.forget(); cap(c.calls.calls) > keptCalls {
		c.calls.calls = nil
	}
	return c.stream.Context().Err()
}

// togetherAtMost is how many calls of a message are decided before the first of them is
// written: their decisions stay in the nearest cache.
const togetherAtMost = 16

// begin notes the answer to a request that is decided, or leaves it to a goroutine.
func (c *streamed) begin(one *streamCall, decided *prompts, i int) {
	select {
	case c.places <- struct{}{}:
	default: // what is decided must go before there is room
		c.send(&c.made)
		c.made.clear()
		c.places <- struct{}{}
	}
	if decided.done[i] {
		c.made.add(one.id, &decided.ds[i], decided.errs[i])
		return
	}
	later := &lateCall{stream: c, streamCall: *one} // its place is used again
	if !c.server.beginLate(later) {
		c.deciding.Go(func() { c.decide(&later.streamCall) })
	}
}

// A lateCall is decided by another node.
type lateCall struct {
	streamCall
	stream *streamed
}

// Answered implements bucketring.Waiter. It leaves the sending to a goroutine: whoever
// brings the answer has others to bring.
func (l *lateCall) Answered(d *bucketring.Decision, err error) {
	if err != nil {
		err = toStatus(err)
	}
	c := l.stream
	if c.server.guard != nil && d != nil {
		told := *d
		c.server.hide(c.stream.Context(), &told)
		d = &told
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready.add(l.id, d, err)
	if !c.sending {
		c.sending = true
		go c.sendReady()
	}
}

// beginLate begins a take that needs another node, and nothing else.
func (s *Server) beginLate(one *lateCall) (begun bool) {
	if s.prompt == nil || one.verb != int32(limitpb.Verb_TAKE) || one.invalid != nil {
		return false
	}
	var err error
	defer s.recovered(&err)
	return s.prompt.Begin(one.budget, &one.req, one)
}

// decide waits for the decision on a request, and sends it.
func (c *streamed) decide(one *streamCall) {
	ctx, cancel := c.stream.Context(), func() {}
	if one.budget > 0 {
		ctx, cancel = context.WithTimeout(ctx, one.budget)
	}
	defer cancel()
	d, err := c.server.takeCall(ctx, one)
	var a answers
	a.add(one.id, &d, err)
	c.send(&a)
}

// takeCall decides a call. The error is one for the answer; a panic makes one too.
func (s *Server) takeCall(ctx context.Context, one *streamCall) (d bucketring.Decision, err error) {
	defer s.recovered(&err)
	if _, known := limitpb.Verb_name[one.verb]; !known {
		return d, toStatus(bucketring.Invalidf("unknown verb %d: streams carry take, peek, refund and reset", one.verb))
	}
	if one.invalid != nil {
		return d, toStatus(one.invalid)
	}
	one.req.Verb = bucketring.Verb(one.verb)
	if d, err = s.limiter.Take(ctx, one.req); err != nil {
		err = toStatus(err)
	}
	s.hide(ctx, &d)
	return d, err
}

// send sends answers, or leaves that to whoever sends already. What comes meanwhile
// shares a message. After an error it only makes room.
func (c *streamed) send(made *answers) {
	if len(made.ends) == 0 {
		return
	}
	c.mu.Lock()
	c.ready.more(made)
	if sends := c.sending; sends {
		c.mu.Unlock()
		return
	}
	c.sending = true
	c.mu.Unlock()
	c.sendReady()
}

// sendReady sends until nothing is left, for whoever has set sending.
func (c *streamed) sendReady() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.ready.ends) > 0 {
		c.ready, c.leaving = c.leaving, c.ready
		most, failed := 1, c.failed
		if c.packs {
			most = maxPacked
		}
		c.mu.Unlock()
		failed = c.sendLeaving(most, failed)
		c.mu.Lock()
		c.failed = failed
	}
	c.sending = false
}

// sendLeaving sends what leaves, so many answers in a message.
func (c *streamed) sendLeaving(most int, failed error) error {
	for first := 0; first < len(c.leaving.ends); {
		count := min(len(c.leaving.ends)-first, most)
		if failed == nil {
			c.out.raw = c.leaving.message(c.out.raw[:0], first, count)
			failed = c.stream.SendMsg(&c.out) // which copies it
			c.out.raw = keptBytes(c.out.raw)
		}
		first += count
		for range count {
			<-c.places
		}
	}
	c.leaving.clear()
	return failed
}

// sent waits until everything that was decided is sent. Nobody decides any more.
func (c *streamed) sent() error {
	for range cap(c.places) { // each place is free again
		c.places <- struct{}{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}
