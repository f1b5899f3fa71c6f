package transport_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

var perMinute = bucketring.MustParse("10/m")

// An owner is the limiter behind a server. It notes what it decides.
type owner struct {
	decide func(context.Context, bucketring.Request) (bucketring.Decision, error)

	mu   sync.Mutex
	seen map[string]int // decisions by key; guarded by mu
	last bucketring.Request
}

// Take refuses what node.Local refuses, and decides as the test says.
func (o *owner) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	if err := valid(&req); err != nil {
		return bucketring.Decision{}, err
	}
	o.mu.Lock()
	if o.seen == nil {
		o.seen = map[string]int{}
	}
	o.seen[req.Key]++
	o.last = req
	o.mu.Unlock()
	if o.decide != nil {
		return o.decide(ctx, req)
	}
	return allow(req), nil
}

func valid(req *bucketring.Request) error {
	if req.Charges == nil && len(req.IDs) == 0 && req.Namespace == "" {
		return req.Validate()
	}
	for _, c := range req.Charges {
		if err := c.Limit.Validate(); err != nil {
			return err
		}
	}
	return nil
}

func (o *owner) times(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen[key]
}

func (o *owner) total() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, times := range o.seen {
		n += times
	}
	return n
}

// allow is a decision that fits req and tells its first limit.
func allow(req bucketring.Request) bucketring.Decision {
	d := bucketring.Decision{Allowed: true, Leases: req.IDs}
	var states []bucketring.LimitState
	for i := range req.Limits {
		states = append(states, untouched(&req.Limits[i], req.Cost))
	}
	for _, c := range req.Charges {
		states = append(states, untouched(c.Limit, c.Cost))
	}
	if len(states) > 0 {
		d.LimitState = states[0]
	}
	if len(states) > 1 {
		d.Limits = states
	}
	return d
}

// untouched is the state of a limit after its first call.
func untouched(l *bucketring.Limit, cost int64) bucketring.LimitState {
	return bucketring.LimitState{
		Name: l.Name, Allowed: true, Limit: l.Capacity(), Remaining: l.Capacity() - cost, Used: cost,
		Kind: l.Kind, Precision: l.Precision,
	}
}

// A world is a network without sockets, usable in a bubble.
type world struct {
	*testing.T
	mu    sync.Mutex
	hosts map[string]*host // by address; guarded by mu
}

// inBubble runs test in virtual time. What it leaves running ends after it.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		// Time passes before the end, so that timers of gRPC do not outlive the bubble.
		t.Cleanup(func() { time.Sleep(time.Minute) })
		test(t, w)
	})
}

func newWorld(t *testing.T) *world { return &world{T: t, hosts: map[string]*host{}} }

// A host is a node that answers links, until it is down.
type host struct {
	w      *world
	cfg    transport.PeerConfig
	owner  *owner
	server *transport.PeerServer
	stats  *sizes

	mu       sync.Mutex
	listener *bufconn.Listener // nil while down; guarded by mu
	grpc     *grpc.Server
	conns    []*gate       // dialed; guarded by mu
	dials    int           // guarded by mu
	door     chan struct{} // dialers wait here, unless it is nil; guarded by mu
}

func (w *world) host(name string) *host {
	h := &host{w: w, cfg: transport.PeerConfig{Node: name, Boot: one, RingSettings: 7}, owner: &owner{}, stats: &sizes{}}
	h.server = transport.NewPeerServer(h.cfg, h.owner)
	w.mu.Lock()
	w.hosts[name+":7755"] = h
	w.mu.Unlock()
	w.Cleanup(h.stop)
	return h
}

func (h *host) addr() string { return h.cfg.Node + ":7755" }

func (h *host) target() transport.Target { return transport.Target{Name: h.cfg.Node, Addr: h.addr()} }

func (h *host) start() *host {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listener = bufconn.Listen(1 << 20)
	h.grpc = grpc.NewServer(append(transport.Bounds(transport.MaxFrame), grpc.StatsHandler(h.stats))...)
	h.server.Register(h.grpc)
	listener := h.listener
	go h.grpc.Serve(listener)
	return h
}

func (h *host) stop() {
	h.mu.Lock()
	g := h.grpc
	h.listener, h.grpc = nil, nil
	h.mu.Unlock()
	h.cut()
	if g != nil {
		g.Stop()
	}
}

// cut breaks all connections; the host stays up.
func (h *host) cut() {
	h.mu.Lock()
	conns := h.conns
	h.conns = nil
	h.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

// freeze lets nothing that the host says arrive; thaw ends that.
func (h *host) freeze() { h.each((*gate).freeze) }
func (h *host) thaw()   { h.each((*gate).thaw) }

func (h *host) each(f func(*gate)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		f(c)
	}
}

// shut lets dialers wait until open is called.
func (h *host) shut() (open func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	door := make(chan struct{})
	h.door = door
	return sync.OnceFunc(func() { close(door) })
}

func (h *host) dialed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dials
}

// dial is PeerConfig.Dial.
func (w *world) dial(ctx context.Context, addr string) (net.Conn, error) {
	w.mu.Lock()
	h := w.hosts[addr]
	w.mu.Unlock()
	if h == nil {
		<-ctx.Done() // a hole in the network: no answer of any kind
		return nil, ctx.Err()
	}
	h.mu.Lock()
	door := h.door
	h.mu.Unlock()
	if door != nil {
		select {
		case <-door:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dials++
	if h.listener == nil {
		return nil, errors.New("connection refused")
	}
	conn, err := h.listener.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	g := &gate{Conn: conn}
	h.conns = append(h.conns, g)
	return g, nil
}

// pool returns the links of node n1 to these hosts.
func (w *world) pool(hosts ...*host) *transport.Pool {
	p := transport.NewPool(transport.PeerConfig{
		Node: "n1", Boot: one, RingSettings: 7, Dial: w.dial,
		Logger: slog.New(slog.NewTextHandler(w.Output(), nil)),
	})
	w.Cleanup(p.Close)
	var targets []transport.Target
	for _, h := range hosts {
		targets = append(targets, h.target())
	}
	p.Retain(targets)
	return p
}

// raw opens a stream to h by hand.
func (w *world) raw(h *host) grpc.BidiStreamingClient[peerpb.Frame, peerpb.Frame] {
	w.Helper()
	conn, err := grpc.NewClient("passthrough:///"+h.addr(), grpc.WithContextDialer(w.dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	stream, err := peerpb.NewPeerClient(conn).Link(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	return stream
}

// A gate is a connection whose reading side can be held.
type gate struct {
	net.Conn
	mu   sync.Mutex
	held chan struct{} // nil while open; guarded by mu
	gone bool          // closed, and what was held is lost; guarded by mu
}

func (g *gate) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	g.mu.Lock()
	held := g.held
	g.mu.Unlock()
	if held != nil {
		<-held
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.gone {
			return 0, net.ErrClosed
		}
	}
	return n, err
}

func (g *gate) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = make(chan struct{})
}

func (g *gate) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held != nil {
		close(g.held)
		g.held = nil
	}
}

// Close also ends a read that is held. What it had read is lost.
func (g *gate) Close() error {
	g.mu.Lock()
	g.gone = true
	g.mu.Unlock()
	g.thaw()
	return g.Conn.Close()
}

func take(p *transport.Pool, h *host, key string) (bucketring.Decision, error) {
	return p.Peer(h.addr()).Take(context.Background(), bucketring.Request{Key: key, Limits: perMinute, Cost: 1})
}

// takeWithin gives the call a deadline, as node.Node does.
func takeWithin(p *transport.Pool, h *host, key string, budget time.Duration) (bucketring.Decision, error) {
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	return p.Peer(h.addr()).Take(ctx, bucketring.Request{Key: key, Limits: perMinute, Cost: 1})
}

// mustTake takes, and fails the test if that brings an error.
func mustTake(t *testing.T, p *transport.Pool, h *host, key string) bucketring.Decision {
	t.Helper()
	d, err := take(p, h, key)
	if err != nil {
		t.Fatalf("Take(%q) = %v, want a decision", key, err)
	}
	return d
}

// linkStats returns the figures of the only link, in a bubble. A frame is counted
// after it was sent, perhaps when its answer is here already.
func linkStats(t *testing.T, p *transport.Pool) transport.PeerStats {
	t.Helper()
	synctest.Wait()
	all := p.Stats()
	if len(all) != 1 {
		t.Fatalf("Stats() has %d links, want 1", len(all))
	}
	return all[0]
}

func wantUnavailable(t *testing.T, key string, err error) {
	t.Helper()
	if !errors.Is(err, bucketring.ErrUnavailable) {
		t.Errorf("Take(%q) = %v, want ErrUnavailable", key, err)
	}
}

// one is the boot of every node of these tests.
func one() uint64 { return 1 }
