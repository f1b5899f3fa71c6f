// sim_net_test.go is a network in memory for whole nodes: gossip is carried by package
// clustertest, connections by what stands here. Both obey the same cuts.

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/bucketring/bucketring/cluster/clustertest"
)

// A simNet carries packets and connections between hosts. What is sent into a cut
// arrives once it is healed, as with TCP.
type simNet struct {
	gossip *clustertest.Network
	pieces atomic.Int64 // written so far

	mu      sync.Mutex
	rand    *rand.Rand               // guarded by mu, as all below
	hosts   map[int]*simHost         // by number; the last start
	cut     map[[2]int]bool          // from, to
	slow    map[[2]int]time.Duration // more than the usual delay
	conns   map[*simConn]bool
	changed chan struct{} // closed and replaced when a dial may fare otherwise
}

// simDelay is what a piece takes one way, and simJitter at most more.
const simDelay, simJitter = 200 * time.Microsecond, 100 * time.Microsecond

func newSimNet(seed int64) *simNet {
	n := &simNet{
		gossip: clustertest.NewNetwork(seed), rand: rand.New(rand.NewPCG(uint64(seed), 1)), hosts: map[int]*simHost{},
		cut: map[[2]int]bool{}, slow: map[[2]int]time.Duration{}, conns: map[*simConn]bool{}, changed: make(chan struct{}),
	}
	n.gossip.Delay(simDelay)
	return n
}

func gossipAddr(host int) string { return fmt.Sprintf("10.0.0.%d:7752", host) }
func peerAddr(host int) string   { return fmt.Sprintf("10.0.0.%d:7755", host) }

// control changes the network and wakes all who wait in it.
func (n *simNet) control(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	close(n.changed)
	n.changed = make(chan struct{})
	for c := range n.conns {
		c.in.wakeReader()
	}
}

// cutOff stops all that goes from one host to another.
func (n *simNet) cutOff(from, to int) {
	n.gossip.Cut(gossipAddr(from), gossipAddr(to))
	n.control(func() { n.cut[[2]int{from, to}] = true })
}

func (n *simNet) healAll() {
	n.gossip.HealAll()
	n.control(func() { clear(n.cut); clear(n.slow) })
}

// split cuts two groups off from each other.
func (n *simNet) split(a, b []int) {
	for _, x := range a {
		for _, y := range b {
			n.cutOff(x, y)
			n.cutOff(y, x)
		}
	}
}

// slowDown makes connections from one host to another take longer.
func (n *simNet) slowDown(from, to int, by time.Duration) {
	n.control(func() { n.slow[[2]int{from, to}] = by })
}

// A simHost is one start of a machine.
type simHost struct {
	net    *simNet
	no     int
	gossip memberlist.Transport

	accept chan net.Conn // dialed by others
	closed chan struct{} // closed when the listener is
	down   chan struct{} // closed when the host is gone
	shut   bool          // the listener; guarded by net.mu
	gone   bool          // guarded by net.mu
	silent bool          // gone, and nothing tells; guarded by net.mu
}

// start brings a host up. One of the same number must be down.
func (n *simNet) start(no int) *simHost {
	h := &simHost{net: n, no: no, accept: make(chan net.Conn, 128), closed: make(chan struct{}), down: make(chan struct{})}
	n.control(func() {
		if old := n.hosts[no]; old != nil && !old.gone {
			panic(fmt.Sprintf("host %d is up", no))
		}
		n.hosts[no] = h
		for c := range n.conns { // what the last start left half open is reset
			if c.in.from == no || c.in.to == no {
				c.in.ended, c.out.ended = true, true
			}
		}
	})
	h.gossip = n.gossip.Transport(gossipAddr(no))
	return h
}

// stop takes the host away. If it is silent nobody notices: connections to it stay
// open and say nothing. Else they end, as when a process is killed.
func (h *simHost) stop(silent bool) {
	if silent {
		h.net.gossip.Kill(gossipAddr(h.no))
	}
	_ = h.gossip.Shutdown()
	h.net.control(func() {
		if h.gone {
			return
		}
		close(h.down)
		h.gone, h.silent = true, silent
		for c := range h.net.conns {
			if c.host == h {
				c.closeLocked()
			}
		}
	})
}

// Accept implements net.Listener.
func (h *simHost) Accept() (net.Conn, error) {
	select {
	case c := <-h.accept:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	case <-h.down:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener: whoever dials from now on is refused.
func (h *simHost) Close() error {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if !h.shut {
		h.shut = true
		close(h.closed)
	}
	return nil
}

// Addr implements net.Listener.
func (h *simHost) Addr() net.Addr { return simAddr(h.no) }

func (h *simHost) listen(string) (net.Listener, error) { return h, nil }

func simAddr(host int) net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(peerAddr(host)))
}

// dial connects to the host at addr. A cut or a silent host does not answer; it is
// tried again when the network changes.
func (h *simHost) dial(ctx context.Context, addr string) (net.Conn, error) {
	to := 0
	if _, err := fmt.Sscanf(addr, "10.0.0.%d:7755", &to); err != nil {
		return nil, err
	}
	for {
		select {
		case <-time.After(2 * simDelay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		c, changed, err := h.net.connect(h, to)
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-h.down:
			return nil, net.ErrClosed
		}
	}
}

func (n *simNet) connect(h *simHost, no int) (net.Conn, <-chan struct{}, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	to := n.hosts[no]
	switch {
	case h.gone:
		return nil, nil, net.ErrClosed
	case n.cut[[2]int{h.no, no}], n.cut[[2]int{no, h.no}], to != nil && to.silent:
		return nil, n.changed, nil
	case to == nil || to.gone || to.shut:
		return nil, nil, syscall.ECONNREFUSED
	}
	there := &simStream{from: h.no, to: no, wake: make(chan struct{}, 1)}
	back := &simStream{from: no, to: h.no, wake: make(chan struct{}, 1)}
	near, far := &simConn{net: n, host: h, in: back, out: there}, &simConn{net: n, host: to, in: there, out: back}
	select {
	case to.accept <- far:
		n.conns[near], n.conns[far] = true, true
		return near, nil, nil
	default:
		return nil, n.changed, nil
	}
}

// A simStream is one direction of a connection. The network's mu guards it.
type simStream struct {
	from, to int
	pieces   []simPiece
	ended    bool // the end follows the pieces
	wake     chan struct{}
}

// A simPiece is what one Write sent.
type simPiece struct {
	due time.Time
	b   []byte
}

func (s *simStream) wakeReader() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// A simConn is one end of a connection. Its Write never waits.
type simConn struct {
	net     *simNet
	host    *simHost
	in, out *simStream
	readBy  time.Time // guarded by net.mu
	closed  bool      // guarded by net.mu
}

// Read waits for bytes that have arrived. It is for one goroutine at a time.
func (c *simConn) Read(b []byte) (int, error) {
	for {
		n, wait, err := c.take(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		if wait == 0 {
			<-c.in.wake
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-c.in.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take reads what is there, or says how long nothing will be; 0 is for ever.
func (c *simConn) take(b []byte) (n int, wait time.Duration, err error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	now, s := time.Now(), c.in
	switch {
	case c.closed:
		return 0, 0, net.ErrClosed
	case !c.readBy.IsZero() && !now.Before(c.readBy):
		return 0, 0, os.ErrDeadlineExceeded
	case !c.readBy.IsZero():
		wait = c.readBy.Sub(now)
	}
	switch {
	case c.net.cut[[2]int{s.from, s.to}]:
	case len(s.pieces) == 0 && s.ended:
		return 0, 0, syscall.ECONNRESET
	case len(s.pieces) == 0:
	case s.pieces[0].due.After(now):
		if due := s.pieces[0].due.Sub(now); wait == 0 || due < wait {
			wait = due
		}
	default:
		first := &s.pieces[0]
		n = copy(b, first.b)
		if first.b = first.b[n:]; len(first.b) == 0 {
			s.pieces = s.pieces[1:]
		}
	}
	return n, wait, nil
}

// Write sends b.
func (c *simConn) Write(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	s := c.out
	pair := [2]int{s.from, s.to}
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case s.ended && !c.net.cut[pair] && !c.net.cut[[2]int{s.to, s.from}]:
		return 0, syscall.EPIPE
	case s.ended:
		return len(b), nil
	}
	due := time.Now().Add(simDelay + c.net.slow[pair] + time.Duration(c.net.rand.Int64N(int64(simJitter))))
	if last := len(s.pieces) - 1; last >= 0 && s.pieces[last].due.After(due) {
		due = s.pieces[last].due
	}
	s.pieces = append(s.pieces, simPiece{due, append([]byte(nil), b...)})
	s.wakeReader()
	c.net.pieces.Add(1)
	return len(b), nil
}

// Close ends both directions. Unless the host is silent the other end hears of it.
func (c *simConn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.closeLocked()
	return nil
}

func (c *simConn) closeLocked() {
	c.closed = true
	delete(c.net.conns, c)
	c.in.wakeReader()
	if c.host.silent {
		return
	}
	c.in.ended, c.out.ended = true, true
	c.out.wakeReader()
}

// LocalAddr returns the address of this end.
func (c *simConn) LocalAddr() net.Addr { return simAddr(c.out.from) }

// RemoteAddr returns the address of the other end.
func (c *simConn) RemoteAddr() net.Addr { return simAddr(c.out.to) }

// SetDeadline sets that of Read: Write never waits.
func (c *simConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline sets the deadline of Read, also of one that waits.
func (c *simConn) SetReadDeadline(t time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.readBy = t
	c.in.wakeReader()
	return nil
}

// SetWriteDeadline does nothing: Write never waits.
func (c *simConn) SetWriteDeadline(time.Time) error { return nil }
