package grpclimit_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client/grpclimit"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
)

// A decider is a Limiter made of a function.
type decider func(context.Context, bucketring.Request) (bucketring.Decision, error)

func (f decider) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return f(ctx, req)
}

// newNode returns a node with policies.
func newNode(t testing.TB, policies ...string) *node.Node {
	t.Helper()
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	set := &policy.Set{}
	for _, text := range policies {
		p, err := policy.Parse("test.yaml", []byte(text), policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		set = set.WithPolicy(p)
	}
	n.SetPolicies(set)
	return n
}

// An app is an application: gRPC's own health service, whose work is a function.
type app struct {
	grpc_health_v1.UnimplementedHealthServer
	work func(ctx context.Context) error // nil does nothing
}

func (h *app) do(ctx context.Context) error {
	if h.work == nil {
		return nil
	}
	return h.work(ctx)
}

func (h *app) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, h.do(ctx)
}

func (h *app) Watch(_ *grpc_health_v1.HealthCheckRequest, s grpc_health_v1.Health_WatchServer) error {
	if err := s.Send(&grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}); err != nil {
		return err
	}
	return h.do(s.Context())
}

// A caller calls a server that is limited.
type caller struct {
	health grpc_health_v1.HealthClient
	ctx    context.Context
}

// serve starts a server without sockets, limited as cfg says.
func serve(t testing.TB, cfg grpclimit.Config, work func(context.Context) error, opts ...grpc.DialOption) *caller {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.UnaryInterceptor(grpclimit.Unary(cfg)), grpc.StreamInterceptor(grpclimit.Stream(cfg)))
	grpc_health_v1.RegisterHealthServer(server, &app{work: work})
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	conn, err := grpc.NewClient("passthrough:///bufconn", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &caller{grpc_health_v1.NewHealthClient(conn), t.Context()}
}

// check makes a call of one message.
func (c *caller) check(ctx context.Context) (header, trailer metadata.MD, err error) {
	_, err = c.health.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
	return header, trailer, err
}

// watch opens a stream and waits for its first message.
func (c *caller) watch(ctx context.Context) (grpc_health_v1.Health_WatchClient, metadata.MD, error) {
	stream, err := c.health.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return nil, nil, err
	}
	_, err = stream.Recv()
	header, _ := stream.Header()
	return stream, header, err
}

// A recorder is a Limiter that keeps what was asked.
type recorder struct {
	bucketring.Limiter
	mu   sync.Mutex
	asks []bucketring.Request // guarded by mu
}

func (r *recorder) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	r.mu.Lock()
	r.asks = append(r.asks, req)
	r.mu.Unlock()
	return r.Limiter.Take(ctx, req)
}

// count returns how often a verb was asked for.
func (r *recorder) count(verb bucketring.Verb) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.asks {
		if r.asks[i].Verb == verb {
			n++
		}
	}
	return n
}
