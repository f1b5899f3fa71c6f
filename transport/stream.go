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

	reading sync.Mutex // held while requests are taken in
	ended   bool       // nothing is taken in any more; guarded by reading

	mu      sync.Mutex
	ready   []*limitpb.StreamResponse // to be sent; guarded by mu
	sending bool                      // somebody sends; guarded by mu
	packs   bool                      // the caller understands several in one message; guarded by mu
	failed  error                     // of sending; guarded by mu
}

// TakeStream implements limitpb.LimiterServer. Each request is decided on its
// own, so that one that is forwarded holds up no other.
func (s *Server) TakeStream(stream callStream) error {
	select {
	case <-s.ending:
		return status.Error(codes.Unavailable, "the node is stopping: ask another one")
	default:
	}
	c := &streamed{server: s, stream: stream, places: make(chan struct{}, maxInFlight)}
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
	for {
		m, err := c.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = c.takeIn(m)
		}
		if err != nil {
			return err
		}
	}
}

func (c *streamed) takeIn(m *limitpb.StreamRequest) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.ended {
		return nil
	}
	if len(m.GetMore()) > 0 {
		if err := checkMore(m.GetMore()); err != nil {
			return err
		}
		c.mu.Lock()
		c.packs = true
		c.mu.Unlock()
	}
	answers := c.begin(nil, m)
	for _, one := range m.GetMore() {
		answers = c.begin(answers, one)
	}
	c.send(answers)
	return c.stream.Context().Err()
}

func checkMore(more []*limitpb.StreamRequest) error {
	if len(more) > maxBatch {
		return status.Errorf(codes.OutOfRange, "%d requests in a message, at most %d are allowed: send several", len(more), maxBatch)
	}
	for _, one := range more {
		if len(one.GetMore()) > 0 {
			return status.Error(codes.InvalidArgument, "a further request has further requests: put them side by side")
		}
	}
	return nil
}

// begin decides a request and appends its answer, or leaves it to a goroutine.
func (c *streamed) begin(answers []*limitpb.StreamResponse, m *limitpb.StreamRequest) []*limitpb.StreamResponse {
	select {
	case c.places <- struct{}{}:
	default: // what is decided must go before there is room
		c.send(answers)
		answers = nil
		c.places <- struct{}{}
	}
	if m.GetVerb() == limitpb.Verb_TAKE {
		if a := c.server.prompted(m.GetRequest()); a != nil {
			a.response.Id, a.response.Answer = m.GetId(), &a.answer
			return append(answers, &a.response)
		}
	}
	c.deciding.Go(func() {
		ctx, cancel := c.stream.Context(), func() {}
		if budget := m.GetBudgetNs(); budget > 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(budget))
		}
		defer cancel()
		c.send([]*limitpb.StreamResponse{{Id: m.GetId(), Answer: c.server.answerStreamed(ctx, m)}})
	})
	return answers
}

// answerNow answers a take that needs no other node; nil if it may.
func (s *Server) answerNow(m *limitpb.TakeRequest) *limitpb.Answer {
	if a := s.prompted(m); a != nil {
		return &a.answer
	}
	return nil
}

func (s *Server) prompted(m *limitpb.TakeRequest) *answered {
	if s.prompt == nil {
		return nil
	}
	var d bucketring.Decision
	switch done, err := s.takeNow(m, &d); {
	case err != nil:
		a := new(answered)
		a.answer.Result = &limitpb.Answer_Error{Error: toError(err)}
		return a
	case !done:
		return nil
	}
	return toAnswer(&d)
}

func (s *Server) takeNow(m *limitpb.TakeRequest, d *bucketring.Decision) (done bool, err error) {
	defer s.recovered(&err)
	req, invalid := s.parser.fromTake(bucketring.VerbTake, m)
	return invalid == nil && s.prompt.TakeNow(&req, d), nil
}

func (s *Server) answerStreamed(ctx context.Context, m *limitpb.StreamRequest) *limitpb.Answer {
	if _, known := limitpb.Verb_name[int32(m.GetVerb())]; !known {
		err := toStatus(bucketring.Invalidf("unknown verb %d: streams carry take, peek, refund and reset", m.GetVerb()))
		return &limitpb.Answer{Result: &limitpb.Answer_Error{Error: toError(err)}}
	}
	return s.answer(ctx, bucketring.Verb(m.GetVerb()), m.GetRequest())
}

// send sends answers, or leaves that to whoever sends already. What comes meanwhile
// shares a message. After an error it only makes room.
func (c *streamed) send(answers []*limitpb.StreamResponse) {
	if len(answers) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready = append(c.ready, answers...); c.sending {
		return
	}
	c.sending = true
	for len(c.ready) > 0 {
		count := 1
		if c.packs {
			count = min(len(c.ready), maxPacked)
		}
		m := c.ready[0]
		m.More = c.ready[1:count:count]
		c.ready = c.ready[count:]
		failed := c.failed
		c.mu.Unlock()
		if failed == nil {
			failed = c.stream.Send(m)
		}
		for range count {
			<-c.places
		}
		c.mu.Lock()
		c.failed = failed
	}
	c.ready, c.sending = nil, false
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
