package client_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/transport"
)

var perMinute = bucketring.MustParse("10/m")

// A decider is a Limiter made of a function.
type decider func(context.Context, bucketring.Request) (bucketring.Decision, error)

func (f decider) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return f(ctx, req)
}

// A world has nodes on a network without sockets, by their addresses.
type world struct {
	*testing.T
	mu    sync.Mutex
	nodes map[string]*fake // guarded by mu
}

// A fake is a node that decides as a function says.
type fake struct {
	listener *bufconn.Listener
	grpc     *grpc.Server
	mu       sync.Mutex
	asked    int                // guarded by mu
	decide   decider            // nil allows; guarded by mu
	last     bucketring.Request // guarded by mu
}

func newWorld(t *testing.T) *world { return &world{T: t, nodes: map[string]*fake{}} }

// start lets a node answer at addr.
func (w *world) start(addr string, decide decider) *fake {
	n := &fake{listener: bufconn.Listen(1 << 20), decide: decide}
	n.grpc = transport.NewServer(decider(n.take)).GRPC()
	go n.grpc.Serve(n.listener)
	w.Cleanup(n.grpc.Stop)
	w.mu.Lock()
	w.nodes[addr] = n
	w.mu.Unlock()
	return n
}

// stop ends a node: who dials it is refused.
func (w *world) stop(addr string) {
	w.mu.Lock()
	n := w.nodes[addr]
	delete(w.nodes, addr)
	w.mu.Unlock()
	n.grpc.Stop()
}

func (w *world) dial(ctx context.Context, addr string) (net.Conn, error) {
	w.mu.Lock()
	n := w.nodes[addr]
	w.mu.Unlock()
	if n == nil {
		return nil, errors.New("connection refused")
	}
	return n.listener.DialContext(ctx)
}

// client dials the nodes a, b and c. They are not told apart by what they own.
func (w *world) client() *client.Client { return w.dialed(true) }

func (w *world) dialed(sticky bool) *client.Client { return w.with(client.Config{Sticky: sticky}) }

// with dials them with further settings.
func (w *world) with(cfg client.Config) *client.Client {
	w.Helper()
	cfg.Addrs, cfg.Options = []string{"passthrough:///a", "passthrough:///b", "passthrough:///c"}, dialing(w)
	c, err := client.Dial(w.Context(), cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { c.Close() })
	return c
}

func dialing(w *world) []grpc.DialOption {
	return []grpc.DialOption{grpc.WithContextDialer(w.dial)}
}

func (n *fake) take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	n.mu.Lock()
	n.asked++
	n.last = req
	decide := n.decide
	n.mu.Unlock()
	if decide != nil {
		return decide(ctx, req)
	}
	return allow(req), nil
}

// set has the node decide otherwise.
func (n *fake) set(decide decider) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.decide = decide
}

// times returns how often the node was asked.
func (n *fake) times() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func allow(req bucketring.Request) bucketring.Decision {
	if len(req.Limits) == 0 {
		return bucketring.Decision{Allowed: true, Leases: req.IDs}
	}
	capacity := req.Limits[0].Capacity()
	return bucketring.Decision{Allowed: true, LimitState: bucketring.LimitState{
		Name: req.Limits[0].Name, Allowed: true, Limit: capacity, Remaining: capacity - req.Cost,
	}}
}

// away is a node that cannot decide.
func away(context.Context, bucketring.Request) (bucketring.Decision, error) {
	return bucketring.Decision{}, bucketring.ErrUnavailable
}

// hang is a node that says nothing.
func hang(ctx context.Context, _ bucketring.Request) (bucketring.Decision, error) {
	<-ctx.Done()
	return bucketring.Decision{}, ctx.Err()
}
