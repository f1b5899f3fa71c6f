package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// serve starts the public API in memory and returns a connection to it.
func (w *world) serve(s *transport.Server) *grpc.ClientConn {
	w.Helper()
	return w.connected(s.GRPC())
}

// connected serves g and returns a connection to it.
func (w *world) connected(g *grpc.Server) *grpc.ClientConn {
	w.Helper()
	listener := bufconn.Listen(1 << 20)
	go g.Serve(listener)
	w.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:///api", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	return conn
}

// api returns a Client of a server whose calls o decides.
func (w *world) api(o *owner) *transport.Client {
	return transport.NewClient(w.serve(transport.NewServer(o)))
}

func TestPublicVerbs(t *testing.T) {
	o := &owner{}
	api := limitpb.NewLimiterClient(newWorld(t).serve(transport.NewServer(o)))
	m := &limitpb.TakeRequest{Key: "alice", Limit: "3/m"}
	for verb, call := range map[bucketring.Verb]func(context.Context, *limitpb.TakeRequest, ...grpc.CallOption) (*limitpb.Decision, error){
		bucketring.VerbTake: api.Take, bucketring.VerbPeek: api.Peek,
		bucketring.VerbRefund: api.Refund, bucketring.VerbReset: api.Reset,
	} {
		d, err := call(t.Context(), m)
		if err != nil || !d.GetAllowed() || d.GetLimit() != 3 || d.GetRemaining() != 2 || d.GetPolicy() != "inline" {
			t.Errorf("%v = %v, %v, want 2 of 3 left", verb, d, err)
		}
		if o.last.Verb != verb {
			t.Errorf("%v arrived as %v", verb, o.last.Verb)
		}
	}
}

func TestCostOnTheWire(t *testing.T) {
	o := &owner{}
	api := limitpb.NewLimiterClient(newWorld(t).serve(transport.NewServer(o)))
	zero, five := int64(0), int64(5)
	for _, tt := range []struct {
		sent *int64
		want int64
	}{{nil, 1}, {&zero, 0}, {&five, 5}} {
		if _, err := api.Take(t.Context(), &limitpb.TakeRequest{Key: "k", Limit: "9/m", Cost: tt.sent}); err != nil || o.last.Cost != tt.want {
			t.Errorf("cost %v arrived as %d, %v, want %d", tt.sent, o.last.Cost, err, tt.want)
		}
	}
}

func TestPublicErrors(t *testing.T) {
	o := &owner{}
	api := limitpb.NewLimiterClient(newWorld(t).serve(transport.NewServer(o)))
	o.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		switch req.Key {
		case "away":
			return bucketring.Decision{}, fmt.Errorf("%w: the owner is away", bucketring.ErrUnavailable)
		case "panic":
			panic("boom")
		}
		return allow(req), nil
	}
	minus := int64(-1)
	for _, tt := range []struct {
		m    *limitpb.TakeRequest
		code codes.Code
		text string
	}{
		{&limitpb.TakeRequest{Limit: "3/m"}, codes.InvalidArgument, "key is missing: name whose tokens are meant, for example a user or an address"},
		{&limitpb.TakeRequest{Key: "k"}, codes.InvalidArgument, "limit is missing: give one such as 100/m"},
		{&limitpb.TakeRequest{Key: "k", Limit: "3/x"}, codes.InvalidArgument, "limit 1, column 3:"},
		{&limitpb.TakeRequest{Key: "k", Limit: "3/m, 4/m"}, codes.InvalidArgument, "limits 1 and 2 count the same window"},
		{&limitpb.TakeRequest{Key: "k", Limit: "3/m", Cost: &minus}, codes.InvalidArgument, "cost is -1, it must be 0 or more"},
		{&limitpb.TakeRequest{Key: strings.Repeat("k", 513), Limit: "3/m"}, codes.InvalidArgument, "key has 513 bytes, at most 512 are allowed"},
		{&limitpb.TakeRequest{Key: strings.Repeat("k", transport.MaxMessage), Limit: "3/m"}, codes.ResourceExhausted, "larger than max"},
		{&limitpb.TakeRequest{Key: "away", Limit: "3/m"}, codes.Unavailable, "the owner is away"},
		{&limitpb.TakeRequest{Key: "panic", Limit: "3/m"}, codes.Internal, "the call ended in a panic, which was counted"},
	} {
		_, err := api.Take(t.Context(), tt.m)
		if status.Code(err) != tt.code || !strings.Contains(status.Convert(err).Message(), tt.text) {
			t.Errorf("Take(%.20q, %q) = %v, want %v with %q", tt.m.GetKey(), tt.m.GetLimit(), err, tt.code, tt.text)
		}
	}
}

func TestPanicOfAPublicCallIsCounted(t *testing.T) {
	o := &owner{decide: func(context.Context, bucketring.Request) (bucketring.Decision, error) { panic("boom") }}
	s := transport.NewServer(o)
	api := limitpb.NewLimiterClient(newWorld(t).serve(s))
	m := &limitpb.TakeRequest{Key: "k", Limit: "3/m"}
	if _, err := api.Take(t.Context(), m); status.Code(err) != codes.Internal {
		t.Errorf("Take = %v, want Internal", err)
	}
	if _, err := api.TakeBatch(t.Context(), &limitpb.TakeBatchRequest{Requests: []*limitpb.TakeRequest{m, m}}); err != nil {
		t.Errorf("TakeBatch = %v, want errors of its items", err)
	}
	if got := s.Panics(); got != 3 {
		t.Errorf("Panics() = %d, want 3", got)
	}
}

func TestTakeBatch(t *testing.T) {
	o := &owner{}
	s := transport.NewServer(o)
	api := limitpb.NewLimiterClient(newWorld(t).serve(s))
	o.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		if req.Key == "panic" {
			panic("boom")
		}
		return allow(req), nil
	}
	batch := &limitpb.TakeBatchRequest{}
	for i := range transport.MaxBatch {
		m := &limitpb.TakeRequest{Key: fmt.Sprint(i), Limit: fmt.Sprintf("%d/m", i+1)}
		switch i {
		case 10:
			m.Limit = "nonsense"
		case 20:
			m.Key = "panic"
		}
		batch.Requests = append(batch.Requests, m)
	}
	got, err := api.TakeBatch(t.Context(), batch)
	if err != nil || len(got.GetAnswers()) != transport.MaxBatch {
		t.Fatalf("TakeBatch = %d answers, %v, want %d", len(got.GetAnswers()), err, transport.MaxBatch)
	}
	for i, a := range got.GetAnswers() {
		code := codes.Code(a.GetError().GetCode())
		switch i {
		case 10:
			if code != codes.InvalidArgument || !strings.Contains(a.GetError().GetDetail(), "limit 1, column 1") {
				t.Errorf("answer %d = %v, want InvalidArgument that says where", i, a)
			}
		case 20:
			if code != codes.Internal {
				t.Errorf("answer %d = %v, want Internal", i, a)
			}
		default:
			if d := a.GetDecision(); d.GetLimit() != int64(i+1) || !d.GetAllowed() {
				t.Fatalf("answer %d = %v, want that of limit %d", i, a, i+1)
			}
		}
	}
}

func TestBatchThatIsTooLarge(t *testing.T) {
	o := &owner{}
	api := limitpb.NewLimiterClient(newWorld(t).serve(transport.NewServer(o)))
	items := func(n int, key string) *limitpb.TakeBatchRequest {
		m := &limitpb.TakeBatchRequest{}
		for range n {
			m.Requests = append(m.Requests, &limitpb.TakeRequest{Key: key, Limit: "3/m"})
		}
		return m
	}
	for _, tt := range []struct {
		m    *limitpb.TakeBatchRequest
		want codes.Code
	}{
		{items(transport.MaxBatch+1, "k"), codes.OutOfRange},
		{items(600, strings.Repeat("k", 512)), codes.ResourceExhausted},
		{items(0, ""), codes.OK},
	} {
		if _, err := api.TakeBatch(t.Context(), tt.m); status.Code(err) != tt.want {
			t.Errorf("TakeBatch of %d = %v, want %v", len(tt.m.GetRequests()), err, tt.want)
		}
	}
	if got := o.total(); got != 0 {
		t.Errorf("%d items of refused batches were decided, want 0", got)
	}
}

// TestKeyThatTheAPICannotCarry: protobuf text is UTF-8. Asking again would not help.
func TestKeyThatTheAPICannotCarry(t *testing.T) {
	api := newWorld(t).api(&owner{})
	_, err := api.Take(t.Context(), bucketring.Request{Key: "\xff", Limits: perMinute, Cost: 1})
	if !errors.Is(err, bucketring.ErrInvalid) {
		t.Errorf("Take(%q) = %v, want ErrInvalid", "\xff", err)
	}
}

func TestCallersDeadlineReachesTheLimiter(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &owner{decide: func(ctx context.Context, _ bucketring.Request) (bucketring.Decision, error) {
			<-ctx.Done()
			return bucketring.Decision{}, ctx.Err()
		}}
		api := w.api(o)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := api.Take(ctx, bucketring.Request{Key: "k", Limits: perMinute, Cost: 1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Take = %v, want DeadlineExceeded", err)
		}
	})
}
