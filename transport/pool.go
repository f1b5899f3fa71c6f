package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

// PeerConfig says how this node speaks to others, as dialer and as listener.
type PeerConfig struct {
	// Node and Boot name this start of this node.
	Node string
	Boot uint64
	// RingSettings must be equal on both ends of a link.
	RingSettings uint32
	// Identity authenticates links; nil leaves them open, for loopback only.
	Identity *Identity
	// Dial opens connections; nil uses the network.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Silence is how long a link may say nothing before calls to it fail at once;
	// 0 means 300 ms. Whoever waits longer for a call waits longer here too.
	Silence time.Duration
	// Told, if set, takes the notices that other nodes bring. Its error is for the
	// node that brought it.
	Told func(Notice) error
	// Observe, if set, is told how many calls each frame carried.
	Observe func(calls int)
	// Logger gets the changes of links; nil discards them.
	Logger *slog.Logger
}

// A Target is a peer to keep a link to.
type Target struct{ Name, Addr string }

// A Pool keeps one link to each peer. Close ends them.
type Pool struct {
	cfg    PeerConfig
	mu     sync.Mutex
	peers  map[string]*peer // by address; guarded by mu
	links  uint64           // made so far; guarded by mu
	closed bool             // guarded by mu
	ending sync.WaitGroup   // links that Retain ended
}

// linkIDs is how many ids a link has. Those of the next one lie above: a peer
// that goes and comes back remembers the verdicts of its earlier link.
const linkIDs = 1 << 40

// NewPool returns a pool without links.
func NewPool(cfg PeerConfig) *Pool {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Silence == 0 {
		cfg.Silence = DefaultSilence
	}
	return &Pool{cfg: cfg, peers: map[string]*peer{}}
}

// Retain makes the pool hold links to exactly these peers. Links that stay are
// not disturbed; calls under way on a link that goes end as unavailable.
func (p *Pool) Retain(targets []Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	wanted := map[string]Target{}
	for _, t := range targets {
		wanted[t.Addr] = t
	}
	for addr, peer := range p.peers {
		if wanted[addr] != peer.target {
			delete(p.peers, addr)
			p.ending.Go(peer.close) // a link needs a moment to end; nobody uses it any more
		}
	}
	for addr, t := range wanted {
		if p.peers[addr] == nil {
			p.peers[addr] = newPeer(p.cfg, t, p.links*linkIDs)
			p.links++
		}
	}
}

// Peer returns the peer at addr as a Limiter that is decided there or not at
// all. Without a link to addr every call fails with ErrUnavailable.
func (p *Pool) Peer(addr string) bucketring.Limiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if peer := p.peers[addr]; peer != nil {
		return peer
	}
	return noPeer(addr)
}

// Close ends all links and waits for their goroutines.
func (p *Pool) Close() {
	p.mu.Lock()
	peers := p.peers
	p.peers, p.closed = nil, true
	p.mu.Unlock()
	for _, peer := range peers {
		peer.close()
	}
	p.ending.Wait()
}

// PeerStats are figures of one link since it was made.
type PeerStats struct {
	Peer       string // name of the member
	Up         bool   // a link is there and was heard of lately
	Answered   int64  // calls that brought a decision
	Failed     int64  // calls that brought an error
	Frames     int64  // frames sent, without pings
	Items      int64  // calls sent, again after a reconnect counted again
	Reconnects int64
}

// Stats returns the present figures of each link, in no order.
func (p *Pool) Stats() []PeerStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]PeerStats, 0, len(p.peers))
	for _, peer := range p.peers {
		all = append(all, peer.stats())
	}
	return all
}

// noPeer is the Limiter of an address without a link.
type noPeer string

func (a noPeer) Take(context.Context, bucketring.Request) (bucketring.Decision, error) {
	return bucketring.Decision{}, fmt.Errorf("transport: take from %s: no link: %w", string(a), bucketring.ErrUnavailable)
}
