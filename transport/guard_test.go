package transport_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// A porter is a Guard that lets in whoever shows a scope's name as its token: for all
// namespaces, or for one behind an at sign. Closed it knows nobody any more.
type porter struct{ closed atomic.Bool }

type admitted struct{}

func (p *porter) Admit(ctx context.Context, token string) (context.Context, error) {
	name, _, _ := strings.Cut(token, "@")
	if _, err := bucketring.ParseScope(name); err != nil {
		return nil, fmt.Errorf("%w: show a good token", bucketring.ErrUnauthenticated)
	}
	return context.WithValue(ctx, admitted{}, token), nil
}

func (p *porter) Known(ctx context.Context) error {
	if p.closed.Load() || ctx.Value(admitted{}) == nil {
		return fmt.Errorf("%w: not known", bucketring.ErrUnauthenticated)
	}
	return nil
}

func (p *porter) May(ctx context.Context, of bucketring.Scope, namespace string) error {
	if err := p.Known(ctx); err != nil {
		return err
	}
	name, only, bound := strings.Cut(ctx.Value(admitted{}).(string), "@")
	scope, _ := bucketring.ParseScope(name)
	if scope&of == 0 || bound && only != namespace {
		return fmt.Errorf("%w: it needs %v", bucketring.ErrForbidden, of)
	}
	return nil
}

// showing returns a context whose calls show a token.
func showing(t *testing.T, token string) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

func TestWhoIsLetIn(t *testing.T) {
	o := &promptOwner{}
	api := limitpb.NewLimiterClient(newWorld(t).serve(transport.NewGuarded(transport.ServerConfig{Limiter: o, Guard: &porter{}})))
	for name, c := range map[string]struct {
		shown []string
		code  codes.Code
	}{
		"a token":          {[]string{"authorization", "Bearer take"}, codes.OK},
		"in other case":    {[]string{"authorization", "bearer take"}, codes.OK},
		"in ours":          {[]string{"x-bucketring-token", "take", "authorization", "Basic x"}, codes.OK},
		"nothing":          {nil, codes.Unauthenticated},
		"an unknown token": {[]string{"authorization", "Bearer no"}, codes.Unauthenticated},
		"another scheme":   {[]string{"authorization", "Basic take"}, codes.Unauthenticated},
		"two":              {[]string{"authorization", "Bearer take", "authorization", "Bearer take"}, codes.Unauthenticated},
		"another scope":    {[]string{"authorization", "Bearer read"}, codes.PermissionDenied},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), c.shown...)
		if _, err := api.Take(ctx, &limitpb.TakeRequest{Key: "k", Limit: "10/m"}); status.Code(err) != c.code {
			t.Errorf("%s: %v, want %v", name, err, c.code)
		}
	}
}

// Of a batch, and of a stream, a call fails alone that its caller may not make. It reaches
// no limiter, prompt or not.
func TestCallsFailAlone(t *testing.T) {
	for name, limiter := range map[string]bucketring.Limiter{"prompt": &promptOwner{}, "not prompt": &owner{}} {
		api := limitpb.NewLimiterClient(newWorld(t).serve(transport.NewGuarded(transport.ServerConfig{Limiter: limiter, Guard: &porter{}})))
		ctx := showing(t, "take@a")
		mine, other, inline := &limitpb.TakeRequest{Namespace: "a"}, &limitpb.TakeRequest{Namespace: "b"}, &limitpb.TakeRequest{Key: "k", Limit: "10/m"}
		batch, err := api.TakeBatch(ctx, &limitpb.TakeBatchRequest{Requests: []*limitpb.TakeRequest{mine, other, inline}})
		if err != nil {
			t.Fatal(err)
		}
		forbidden := int32(codes.PermissionDenied)
		if a := batch.GetAnswers(); len(a) != 3 || !a[0].GetDecision().GetAllowed() || a[1].GetError().GetCode() != forbidden || a[2].GetError().GetCode() != forbidden {
			t.Errorf("%s: the batch comes to %v", name, a)
		}
		stream, err := api.TakeStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got := map[uint64]int32{}
		calls := []*limitpb.StreamRequest{{Id: 1, Request: mine}, {Id: 2, Request: other}, {Id: 3, Request: mine, Verb: limitpb.Verb_REFUND}}
		for _, call := range calls {
			if err := stream.Send(call); err != nil {
				t.Fatal(err)
			}
		}
		for range calls {
			m, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			got[m.GetId()] = m.GetAnswer().GetError().GetCode()
		}
		if got[1] != 0 || got[2] != forbidden || got[3] != forbidden {
			t.Errorf("%s: the stream comes to %v", name, got)
		}
	}
}

// A stream whose token ends does so with the next message, and says why.
func TestStreamEndsWithItsToken(t *testing.T) {
	guard := &porter{}
	conn := newWorld(t).serve(transport.NewGuarded(transport.ServerConfig{Limiter: &promptOwner{}, Guard: guard}))
	stream, err := limitpb.NewLimiterClient(conn).TakeStream(showing(t, "take"))
	if err != nil {
		t.Fatal(err)
	}
	call := &limitpb.StreamRequest{Id: 1, Request: &limitpb.TakeRequest{Key: "k", Limit: "10/m"}}
	if err := stream.Send(call); err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || !m.GetAnswer().GetDecision().GetAllowed() {
		t.Fatalf("the first call: %v, %v", m, err)
	}
	guard.closed.Store(true)
	_ = stream.Send(call) // fails only if the end is here already
	if m, err := stream.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("after the token's end: %v, %v", m, err)
	}
}

// The asking side tells a refusal from a node that is away.
func TestRefusalsAreNoAbsence(t *testing.T) {
	conn := newWorld(t).serve(transport.NewGuarded(transport.ServerConfig{Limiter: &owner{}, Guard: &porter{}}))
	streams := transport.NewStreamClient(conn)
	defer streams.Close()
	for name, client := range map[string]bucketring.Limiter{"stream": streams, "unary": transport.NewClient(conn)} {
		req := bucketring.Request{Key: "k", Limits: perMinute, Cost: 1}
		if _, err := client.Take(t.Context(), req); !errors.Is(err, bucketring.ErrUnauthenticated) || errors.Is(err, bucketring.ErrUnavailable) {
			t.Errorf("%s without a token: %v", name, err)
		}
	}
}

// What is open needs no token.
func TestOpenMethods(t *testing.T) {
	s := transport.NewGuarded(transport.ServerConfig{
		Limiter: &owner{}, Guard: &porter{}, Open: []string{limitpb.Limiter_Usage_FullMethodName},
	})
	api := limitpb.NewLimiterClient(newWorld(t).serve(s))
	// The method itself still asks who may, of somebody who was not admitted.
	if _, err := api.Usage(t.Context(), &limitpb.UsageRequest{Namespace: "a"}); status.Convert(err).Message() != "bucketring: unauthenticated: not known" {
		t.Errorf("an open method: %v", err)
	}
}

func (*porter) Hide(_ context.Context, leases []string, reservation string) ([]string, string) {
	return leases, reservation
}

func (p *porter) Reveal(ctx context.Context, ids []string) ([]string, error) {
	return ids, p.May(ctx, bucketring.ScopeTake, "")
}
