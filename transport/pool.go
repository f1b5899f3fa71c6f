package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// PeerConfig says how this node speaks to others, as dialer and as listener.
type PeerConfig struct {
	// Node and Boot name this start of this node; a nil Boot is 0. It must not change
	// once there are links.
	Node string
	Boot func() uint64
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
	// Joined, if set, is closed once this node can hear others: links to it wait until
	// then, so that nothing that they bring is lost.
	Joined <-chan struct{}
	// View, if set, returns what this node knows of the members, for the others, and a
	// number above 0 that changes with it.
	View func() (version uint64, view *peerpb.View)
	// Heard, if set, takes what other nodes know and the messages they send, in the
	// order in which they came. Either may be missing.
	Heard func(from Sender, view *peerpb.View, msgs []*peerpb.Msg)
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
	peers  map[string]*peer      // by address; guarded by mu
	links  uint64                // made so far; guarded by mu
	closed bool                  // guarded by mu
	rest   atomic.Bool           // nothing happens on this node
	gone   map[*peer]*time.Timer // links that nobody wants any more; guarded by mu
	ending sync.WaitGroup        // links that Retain ended
}

// keepGone is how long a link to a member that went is kept: calls to it are under way,
// and it still tells whom to ask.
const keepGone = 5 * time.Second

// linkIDs is how many ids a link has. Those of the next one lie above: a peer
// that goes and comes back remembers the verdicts of its earlier link.
const linkIDs = 1 << 40

// NewPool returns a pool without links.
func NewPool(cfg PeerConfig) *Pool {
	return &Pool{cfg: cfg.withDefaults(), peers: map[string]*peer{}, gone: map[*peer]*time.Timer{}}
}

func (cfg PeerConfig) withDefaults() PeerConfig {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Silence == 0 {
		cfg.Silence = DefaultSilence
	}
	if cfg.Boot == nil {
		cfg.Boot = func() uint64 { return 0 }
	}
	return cfg
}

// Retain makes the pool hold links to exactly these peers. Links that stay are
// not disturbed. A link that goes ends 5 s later, and at once if its address is wanted
// for another peer; calls under way on it then end as unavailable.
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
		t, ok := wanted[addr]
		switch timer := p.gone[peer]; {
		case ok && t != peer.target:
			p.endLocked(addr, peer)
		case ok && timer != nil:
			timer.Stop()
			delete(p.gone, peer)
		case !ok && timer == nil:
			p.gone[peer] = time.AfterFunc(keepGone, func() { p.endGone(addr, peer) })
		}
	}
	for addr, t := range wanted {
		if p.peers[addr] == nil {
			p.peers[addr] = newPeer(p.cfg, t, p.links*linkIDs, &p.rest)
			p.links++
		}
	}
}

// endGone ends a link unless it is wanted again.
func (p *Pool) endGone(addr string, peer *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone[peer] != nil && !p.closed {
		p.endLocked(addr, peer)
	}
}

func (p *Pool) endLocked(addr string, peer *peer) {
	delete(p.peers, addr)
	delete(p.gone, peer)
	p.ending.Go(peer.close) // a link needs a moment to end; nobody uses it any more
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
	for _, timer := range p.gone {
		timer.Stop()
	}
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
		if p.gone[peer] == nil {
			all = append(all, peer.stats())
		}
	}
	return all
}

// noPeer is the Limiter of an address without a link.
type noPeer string

func (a noPeer) Take(context.Context, bucketring.Request) (bucketring.Decision, error) {
	return bucketring.Decision{}, fmt.Errorf("transport: take from %s: no link: %w", string(a), bucketring.ErrUnavailable)
}
