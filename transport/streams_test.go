package transport_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// A prompt owner decides at once, but for keys that begin with "slow".
type promptOwner struct{ owner }

func (o *promptOwner) Begin(time.Duration, *bucketring.Request, bucketring.Waiter) bool { return false }

func (o *promptOwner) TakeEachNow(reqs []*bucketring.Request, ds []bucketring.Decision, done []bool) {
	for i, req := range reqs {
		done[i] = req != nil && o.takeNow(req, &ds[i])
	}
}

func (o *promptOwner) takeNow(req *bucketring.Request, d *bucketring.Decision) bool {
	if len(req.Key) >= 4 && req.Key[:4] == "slow" || req.Validate() != nil {
		return false
	}
	decided, err := o.Take(context.Background(), *req)
	*d = decided
	return err == nil
}

// messages count those of a stream, both ways.
type messages struct {
	grpc.ServerStream
	wire           time.Duration // that one takes to arrive
	mu             sync.Mutex
	received, sent int // guarded by mu
}

func (m *messages) RecvMsg(msg any) error {
	m.mu.Lock()
	m.received++
	m.mu.Unlock()
	err := m.ServerStream.RecvMsg(msg)
	time.Sleep(m.wire)
	return err
}

func (m *messages) SendMsg(msg any) error {
	m.mu.Lock()
	m.sent++
	m.mu.Unlock()
	return m.ServerStream.SendMsg(msg)
}

func (m *messages) count() (received, sent int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.received, m.sent
}

// A counted server counts the messages of its last stream.
type countedServer struct {
	*transport.Server
	wire time.Duration
	of   atomic.Pointer[messages]
}

func (s *countedServer) TakeStream(stream limitpb.Limiter_TakeStreamServer) error {
	m := &messages{ServerStream: stream, wire: s.wire}
	s.of.Store(m)
	return s.Server.TakeStream(&grpc.GenericServerStream[limitpb.StreamRequest, limitpb.StreamResponse]{ServerStream: m})
}

// streamClient asks a server that o decides for.
func streamClient(w *world, o bucketring.Limiter) (*transport.StreamClient, *countedServer) {
	w.Helper()
	s := &countedServer{Server: transport.NewServer(o)}
	g := grpc.NewServer()
	limitpb.RegisterLimiterServer(g, s)
	c := transport.NewStreamClient(w.connected(g))
	w.Cleanup(c.Close)
	return c, s
}

func streamTake(ctx context.Context, c *transport.StreamClient, key string) (bucketring.Decision, error) {
	return c.Take(ctx, bucketring.Request{Key: key, Limits: perMinute, Cost: 1})
}

// TestCallersShareMessages: each gets its own answer, and there are far fewer messages
// than calls.
func TestCallersShareMessages(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &promptOwner{}
		c, s := streamClient(w, o)
		const callers, calls = 100, 50
		var group sync.WaitGroup
		for caller := range callers {
			group.Go(func() {
				for i := range calls {
					key := fmt.Sprint(caller, "-", i)
					if d, err := streamTake(t.Context(), c, key); err != nil || !d.Allowed || o.times(key) != 1 {
						t.Errorf("Take(%q) = %+v, %v, decided %d times, want it allowed once", key, d, err, o.times(key))
					}
				}
			})
		}
		group.Wait()
		received, sent := s.of.Load().count()
		if received > callers*calls/2 || sent > callers*calls/2 {
			t.Errorf("%d calls took %d messages and %d back, want far fewer", callers*calls, received, sent)
		}
		t.Logf("%d calls, %d messages, %d back", callers*calls, received, sent)
	})
}

// TestStreamClientSaysWhatUnaryDoes compares both for verbs and errors.
func TestStreamClientSaysWhatUnaryDoes(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &promptOwner{}
		o.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			switch req.Key {
			case "panic", "slow panic":
				panic("boom")
			case "slow away":
				return bucketring.Decision{}, bucketring.ErrUnavailable
			}
			return allow(req), nil
		}
		c, s := streamClient(w, o)
		for i, key := range []string{"panic", "slow panic"} {
			_, err := streamTake(t.Context(), c, key)
			if wantUnavailable(t, key, err); s.Panics() != int64(i)+1 {
				t.Errorf("Panics() = %d after Take(%q), want it counted once", s.Panics(), key)
			}
		}
		for _, req := range []bucketring.Request{
			{Key: "k", Limits: perMinute, Cost: 3},
			{Key: "k", Limits: perMinute},
			{Key: "k", Limits: bucketring.MustParse("5/m, 10/h unavailable=deny"), Cost: 1},
			{Verb: bucketring.VerbPeek, Key: "k", Limits: perMinute, Cost: 3},
			{Verb: bucketring.VerbRefund, Key: "k", Limits: perMinute, Cost: 3},
			{Verb: bucketring.VerbReset, Key: "k", Limits: perMinute},
			{Key: "slow away", Limits: perMinute, Cost: 1},
			{Key: "", Limits: perMinute, Cost: 1},
			{Key: "\xff", Limits: perMinute, Cost: 1},
			{Namespace: "shop", Attributes: map[string]string{"user": "u"}, Cost: 1},
			{Verb: bucketring.VerbRenew, IDs: []string{"x"}},
			{Verb: 99},
		} {
			got, gotErr := c.Take(t.Context(), req)
			want, wantErr := c.Client.Take(t.Context(), req)
			if fmt.Sprint(got) != fmt.Sprint(want) || (gotErr == nil) != (wantErr == nil) {
				t.Errorf("Take(%+v) = %+v, %v, by unary %+v, %v", req, got, gotErr, want, wantErr)
			}
			for _, kind := range []error{bucketring.ErrInvalid, bucketring.ErrUnavailable, bucketring.ErrNoPolicy} {
				if errors.Is(gotErr, kind) != errors.Is(wantErr, kind) {
					t.Errorf("Take(%+v): errors.Is(%v, %v) differs from that of %v", req, gotErr, kind, wantErr)
				}
			}
		}
	})
}

// TestEndedStreamsDecideOnce: when a node ends its streams, whoever gets an answer was
// decided once, and whoever gets none was not.
func TestEndedStreamsDecideOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &promptOwner{}
		o.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			if req.Key[:4] == "slow" {
				time.Sleep(10 * time.Millisecond)
			}
			return allow(req), nil
		}
		c, s := streamClient(w, o)
		var group sync.WaitGroup
		var mu sync.Mutex
		answered, refused := 0, 0
		for caller := range 20 {
			group.Go(func() {
				for i := range 100 {
					key := fmt.Sprint([]string{"fast", "slow"}[i%2], caller, "-", i)
					_, err := streamTake(t.Context(), c, key)
					mu.Lock()
					if err == nil {
						answered++
					} else {
						refused++
						wantUnavailable(t, key, err)
					}
					mu.Unlock()
					if want := map[bool]int{true: 1}[err == nil]; o.times(key) != want {
						t.Errorf("Take(%q) ended with %v and was decided %d times, want %d", key, err, o.times(key), want)
					}
				}
			})
		}
		time.Sleep(123 * time.Millisecond)
		s.EndStreams()
		group.Wait()
		if answered < 100 || refused < 100 {
			t.Errorf("%d calls answered and %d refused, want many of both", answered, refused)
		}
	})
}

// TestStreamsAge: a stream ends by itself while calls are on their way to it, and their
// callers do not notice.
func TestStreamsAge(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &promptOwner{}
		c, s := streamClient(w, o)
		s.wire = 30 * time.Millisecond
		var group sync.WaitGroup
		var mu sync.Mutex
		streams := map[*messages]bool{}
		for caller := range 3 {
			group.Go(func() {
				for began, i := time.Now(), 0; time.Since(began) < 1000*time.Second; i++ {
					key := fmt.Sprint(caller, "-", i)
					if _, err := streamTake(t.Context(), c, key); err != nil || o.times(key) != 1 {
						t.Errorf("Take(%q) = %v, decided %d times, want once", key, err, o.times(key))
					}
					mu.Lock()
					streams[s.of.Load()] = true
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if got := len(streams); got < 4 || got > 6 {
			t.Errorf("%d streams in 1000 s, want 4 to 6", got)
		}
	})
}

// TestStreamClientGivesUp: a caller waits as long as it wants and no longer, and the
// node knows how long that is.
func TestStreamClientGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &promptOwner{}
		var budget time.Duration
		o.decide = func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
			until, _ := ctx.Deadline()
			budget = time.Until(until)
			<-ctx.Done()
			return bucketring.Decision{}, ctx.Err()
		}
		c, _ := streamClient(w, o)
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := streamTake(ctx, c, "slow")
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 70*time.Millisecond {
			t.Errorf("Take = %v after %v, want DeadlineExceeded after 70ms", err, took)
		}
		if synctest.Wait(); budget != 70*time.Millisecond {
			t.Errorf("the node was told to take %v, want 70ms", budget)
		}
	})
}

// TestTakeWithin: an answer that comes in time counts, and after one that was late the next
// call has all its time.
func TestTakeWithin(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var wait atomic.Int64
		c, _ := streamClient(w, limiterFunc(func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			time.Sleep(time.Duration(wait.Load()))
			return allow(req), nil
		}))
		for _, tt := range []struct{ answers, most, ctx, took time.Duration }{
			{100, 0, 1000, 100}, {100, 101, 1000, 100}, {100, 50, 1000, 50}, {100, 101, 1000, 100}, {100, 200, 30, 30}, {100, 101, 1000, 100},
		} {
			for _, verb := range []bucketring.Verb{bucketring.VerbTake, bucketring.VerbSet} { // on the stream, and not
				wait.Store(int64(tt.answers * time.Millisecond))
				ctx, cancel := context.WithTimeout(t.Context(), tt.ctx*time.Millisecond)
				req, began := aliceOnce(), time.Now()
				if req.Verb = verb; verb == bucketring.VerbSet {
					req = bucketring.Request{Verb: verb, Namespace: "n"}
				}
				_, err := c.TakeWithin(ctx, tt.most*time.Millisecond, req)
				cancel()
				late := tt.took < tt.answers
				if took := time.Since(began); took != tt.took*time.Millisecond || errors.Is(err, context.DeadlineExceeded) != late {
					t.Errorf("TakeWithin(%v) of an answer after %v = %v after %v, want %v", tt.most*time.Millisecond, tt.answers*time.Millisecond, err, took, tt.took*time.Millisecond)
				}
				time.Sleep(time.Second)
			}
		}
	})
}

// limiterFunc is a Limiter made of a function.
type limiterFunc func(context.Context, bucketring.Request) (bucketring.Decision, error)

func (f limiterFunc) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return f(ctx, req)
}

// TestStreamClientCloses: calls under way end, and later ones too.
func TestStreamClientCloses(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &promptOwner{}
		o.decide = func(ctx context.Context, _ bucketring.Request) (bucketring.Decision, error) {
			<-ctx.Done()
			return bucketring.Decision{}, ctx.Err()
		}
		c, _ := streamClient(w, o)
		ended := make(chan error, 1)
		go func() {
			_, err := streamTake(t.Context(), c, "slow")
			ended <- err
		}()
		synctest.Wait()
		c.Close()
		wantUnavailable(t, "slow", <-ended)
		_, err := streamTake(t.Context(), c, "later")
		wantUnavailable(t, "later", err)
	})
}

// TestBatchDoesNotWaitForSingleKeys: keys that other nodes have to decide are decided side
// by side, one key's calls in their order.
func TestBatchDoesNotWaitForSingleKeys(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o, other, costs := &promptOwner{}, make(chan struct{}), []int64{}
		o.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			switch req.Key {
			case "slow first":
				<-other
				costs = append(costs, req.Cost)
			case "slow second":
				close(other)
			}
			return allow(req), nil
		}
		api := limitpb.NewLimiterClient(w.serve(transport.NewServer(o)))
		m := &limitpb.TakeBatchRequest{}
		for i, key := range []string{"slow first", "fast", "slow first", "slow second", ""} {
			cost := int64(i)
			m.Requests = append(m.Requests, &limitpb.TakeRequest{Key: key, Limit: "10/m", Cost: &cost})
		}
		answers, err := api.TakeBatch(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range answers.GetAnswers() {
			if last := i == 4; a.GetDecision().GetAllowed() == last || (a.GetError() != nil) != last {
				t.Errorf("answer %d = %v, want all allowed but the last, which has no key", i, a)
			}
			if d := a.GetDecision(); d != nil && d.GetRemaining() != 10-int64(i) {
				t.Errorf("answer %d has %d remaining, want that of its own cost", i, d.GetRemaining())
			}
		}
		if len(costs) != 2 || costs[0] != 0 || costs[1] != 2 {
			t.Errorf("calls of one key were decided with costs %v, want 0 and then 2", costs)
		}
	})
}

// A deafServer answers the first message of a stream and reads no further ones.
type deafServer struct{ *transport.Server }

func (s *deafServer) TakeStream(stream limitpb.Limiter_TakeStreamServer) error {
	m, err := stream.Recv()
	if err != nil {
		return err
	}
	decided := &limitpb.Answer{Result: &limitpb.Answer_Decision{Decision: &limitpb.Decision{Allowed: true}}}
	if err := stream.Send(&limitpb.StreamResponse{Id: m.GetId(), Answer: decided}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

// TestNoCallerWaitsForRoom: a node that reads nothing costs no caller more than its patience,
// however much waits on the stream.
func TestNoCallerWaitsForRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		g := grpc.NewServer()
		limitpb.RegisterLimiterServer(g, &deafServer{transport.NewServer(&promptOwner{})})
		c := transport.NewStreamClient(w.connected(g))
		t.Cleanup(c.Close)
		if d, err := streamTake(t.Context(), c, "first"); err != nil || !d.Allowed {
			t.Fatalf("first Take = %+v, %v, want it allowed", d, err)
		}
		const patience = 50 * time.Millisecond
		large := map[string]string{"text": strings.Repeat("x", 30<<10)}
		for i := range 40 { // far more than the stream has room for
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			began := time.Now()
			_, err := c.Take(ctx, bucketring.Request{Namespace: "n", Attributes: large, Cost: 1})
			cancel()
			if took := time.Since(began); took > patience || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("call %d took %v and ended with %v, want its deadline after %v", i, took, err, patience)
			}
		}
	})
}
