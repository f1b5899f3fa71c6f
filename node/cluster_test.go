// cluster_test.go joins nodes in memory: what a test does to links and rings.

package node_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/ring"
)

// A mode is how an address behaves.
type mode int

const (
	works   mode = iota
	refuses      // fails at once
	hangs        // says nothing until the asker gives up
	loses        // decides, and the answer is lost
)

// wires are the links between the nodes of a test.
type wires struct {
	ctx   context.Context // of the test
	mu    sync.Mutex
	at    map[string]bucketring.Limiter // by address; guarded by mu
	modes map[string]mode               // guarded by mu
	delay time.Duration                 // each way; guarded by mu
	asks  []string                      // "n1>n2" for each ask; guarded by mu
}

func (w *wires) set(addr string, m mode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.modes[addr] = m
}

// put makes another one answer at an address.
func (w *wires) put(addr string, l bucketring.Limiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[addr] = l
}

// slow makes each way of all links last d.
func (w *wires) slow(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = d
}

// asked returns the asks since the last time.
func (w *wires) asked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	asks := w.asks
	w.asks = nil
	return asks
}

// A side is the wires as one node sees them. It is a node.Peers.
type side struct {
	w    *wires
	name string
}

func (s side) Peer(addr string) bucketring.Limiter {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if _, ok := s.w.at[addr].(panicking); ok { // where the call can recover
		return struct{ bucketring.Limiter }{link{s.w, s.name, addr}}
	}
	return link{s.w, s.name, addr}
}

// A panicking node is broken.
type panicking struct{}

func (panicking) Take(context.Context, bucketring.Request) (bucketring.Decision, error) {
	panic("asked")
}

type link struct {
	w        *wires
	from, to string
}

// Begin is Take for who does not wait, as links of package transport have it.
func (l link) Begin(req *bucketring.Request, ends time.Time, w bucketring.Waiter) (id uint64) {
	go func() {
		ctx, cancel := context.WithDeadline(l.w.ctx, ends)
		defer cancel()
		d, err := l.Take(ctx, *req)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", bucketring.ErrUnavailable, ctx.Err())
		}
		w.Answered(&d, err)
	}()
	return 0
}

// GiveUp does nothing: all calls are sent at once.
func (link) GiveUp(uint64) {}

// Take carries a call over, and of the answer what a wire carries: durations,
// but no moments and no names of nodes.
func (l link) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	l.w.mu.Lock()
	l.w.asks = append(l.w.asks, l.from+">"+l.to)
	m, limiter, delay := l.w.modes[l.to], l.w.at[l.to], l.w.delay
	l.w.mu.Unlock()
	if m == refuses || limiter == nil {
		return bucketring.Decision{}, fmt.Errorf("%w: connection refused", bucketring.ErrUnavailable)
	}
	if m == hangs || !pause(ctx, delay) {
		return unanswered(ctx)
	}
	d, err := limiter.Take(ctx, req)
	if m == loses || !pause(ctx, delay) {
		return unanswered(ctx)
	}
	d.ResetAt, d.Node, d.Owner = 0, "", ""
	d.Limits = slices.Clone(d.Limits)
	for i := range d.Limits {
		d.Limits[i].ResetAt = 0
	}
	return d, err
}

func unanswered(ctx context.Context) (bucketring.Decision, error) {
	<-ctx.Done()
	return bucketring.Decision{}, fmt.Errorf("%w: no answer: %w", bucketring.ErrUnavailable, ctx.Err())
}

// pause waits and reports whether ctx lasted.
func pause(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// A cluster is nodes n1, n2 and so on, whose addresses are their names.
type cluster struct {
	t     testing.TB
	wires *wires
	nodes []*node.Node
	seed  uint64
}

// newCluster joins n nodes. change, if there, alters their Configs.
func newCluster(t testing.TB, n int, change ...func(*node.Config)) *cluster {
	t.Helper()
	c := &cluster{t: t, seed: 42, wires: &wires{ctx: t.Context(), at: map[string]bucketring.Limiter{}, modes: map[string]mode{}}}
	for i := range n {
		name := nodeName(i)
		cfg := node.Config{Name: name, Placer: ring.Placer{Seed: c.seed}, Peers: side{c.wires, name}}
		for _, f := range change {
			f(&cfg)
		}
		nd, err := node.New(cfg)
		if err != nil {
			t.Fatalf("New(%q) = %v, want a node", name, err)
		}
		c.nodes = append(c.nodes, nd)
		c.wires.put(name, nd.Local())
	}
	for i, nd := range c.nodes {
		nd.SetRing(c.ring(nodeName(i), names(n)...))
	}
	return c
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i+1) }

// names are n1 to n with number n.
func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = nodeName(i)
	}
	return all
}

// rings keeps the rings that were built: tests want the same ones again.
var rings sync.Map

// ring is how self sees members.
func (c *cluster) ring(self string, members ...string) *ring.Ring {
	c.t.Helper()
	id := fmt.Sprint(c.seed, self, members)
	if r, ok := rings.Load(id); ok {
		return r.(*ring.Ring)
	}
	all := make([]ring.Member, len(members))
	for i, name := range members {
		all[i] = ring.Member{Name: name, Addr: name}
	}
	r, err := ring.NewBuilder(ring.Placer{Seed: c.seed}, self).Build(all)
	if err != nil {
		c.t.Fatalf("Build(%v) = %v, want a ring", members, err)
	}
	rings.Store(id, r)
	return r
}

// partition is where a key's counters are.
func (c *cluster) partition(key string) uint32 {
	return ring.Partition(ring.Placer{Seed: c.seed}.Key("", key))
}

// owner is the number of the node that owns a key.
func (c *cluster) owner(key string) int {
	r := c.nodes[0].Ring()
	m, _ := r.Owner(c.partition(key))
	return slices.Index(names(len(r.Members)), m.Name)
}

// keyOf returns a key that a node owns.
func (c *cluster) keyOf(owner int) string {
	for i := 0; ; i++ {
		if key := fmt.Sprintf("key-%d", i); c.owner(key) == owner {
			return key
		}
	}
}

// limits parses limits.
func limits(t testing.TB, text string) []bucketring.Limit {
	t.Helper()
	all, err := bucketring.Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q) = %v, want limits", text, err)
	}
	return all
}

// take is a request for one token.
func take(key string, limits []bucketring.Limit) bucketring.Request {
	return bucketring.Request{Key: key, Limits: limits, Cost: 1}
}

// mustTake decides and expects no error.
func mustTake(t testing.TB, l bucketring.Limiter, req bucketring.Request) bucketring.Decision {
	t.Helper()
	d, err := l.Take(t.Context(), req)
	if err != nil {
		t.Fatalf("Take(%v %q %v) = %v, want a decision", req.Verb, req.Key, req.Limits, err)
	}
	return d
}

// peek asks what is left of limits.
func peek(t testing.TB, l bucketring.Limiter, key string, limits []bucketring.Limit) []bucketring.LimitState {
	t.Helper()
	d := mustTake(t, l, bucketring.Request{Verb: bucketring.VerbPeek, Key: key, Limits: limits})
	return d.All()
}
