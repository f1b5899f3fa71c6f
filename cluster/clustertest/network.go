package clustertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// A Network carries packets and streams between the transports it made. In a
// bubble it must be made inside.
type Network struct {
	mu      sync.Mutex // guards all, and the insides of conns
	rand    *rand.Rand
	delay   time.Duration
	loss    float64
	hosts   map[string]*transport // by address; the last one that used it
	killed  map[string]bool
	cut     map[link]bool
	conns   map[*conn]bool
	changed chan struct{} // closed and replaced when anything above changes
}

// A link is one direction between two addresses.
type link struct{ from, to string }

// NewNetwork returns a network without delay, loss or cuts. The seed decides
// which packets Loss takes; print it when a test fails.
func NewNetwork(seed int64) *Network {
	return &Network{
		rand:    rand.New(rand.NewPCG(uint64(seed), 0)),
		hosts:   make(map[string]*transport),
		killed:  make(map[string]bool),
		cut:     make(map[link]bool),
		conns:   make(map[*conn]bool),
		changed: make(chan struct{}),
	}
}

// Transport returns a transport that listens at addr, an IP address and port
// such as "10.0.0.1:7752". An address can be used again once its transport has
// shut down or was killed. It panics if addr is malformed or in use.
func (n *Network) Transport(addr string) memberlist.Transport {
	t := &transport{
		net: n, addr: netip.MustParseAddrPort(addr),
		packets: make(chan *memberlist.Packet, 4096),
		streams: make(chan net.Conn, 128),
		down:    make(chan struct{}),
	}
	n.control(func() {
		if n.hosts[addr] != nil && !n.killed[addr] {
			panic(fmt.Sprintf("clustertest: %s is in use", addr))
		}
		n.hosts[addr] = t
		delete(n.killed, addr)
	})
	return t
}

// Delay makes each packet and each piece of a stream travel for d from now on.
func (n *Network) Delay(d time.Duration) { n.control(func() { n.delay = d }) }

// Loss makes packets vanish with probability p, 0 to 1. Streams lose nothing.
func (n *Network) Loss(p float64) { n.control(func() { n.loss = p }) }

// Cut stops all that goes from one address to the other, not what comes back.
func (n *Network) Cut(from, to string) { n.control(func() { n.cut[link{from, to}] = true }) }

// Heal undoes Cut and Split in one direction.
func (n *Network) Heal(from, to string) { n.control(func() { delete(n.cut, link{from, to}) }) }

// HealAll undoes all cuts and splits.
func (n *Network) HealAll() { n.control(func() { clear(n.cut) }) }

// Split cuts the groups of addresses off from each other, in both directions.
// Addresses in no group stay connected with all.
func (n *Network) Split(groups ...[]string) {
	n.control(func() {
		for i, from := range groups {
			for j, to := range groups {
				if i != j {
					n.cutLocked(from, to)
				}
			}
		}
	})
}

func (n *Network) cutLocked(from, to []string) {
	for _, a := range from {
		for _, b := range to {
			n.cut[link{a, b}] = true
		}
	}
}

// Kill takes the host of addr away without a sound: packets to and from it
// vanish, dialing it takes the whole timeout, its streams break. Its transport
// still has to be shut down. An address that no transport has can be killed too.
func (n *Network) Kill(addr string) {
	n.control(func() {
		n.killed[addr] = true
		n.breakLocked(addr)
	})
}

// control changes the network and wakes all who wait in it.
func (n *Network) control(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	close(n.changed)
	n.changed = make(chan struct{})
}

// breakLocked resets all streams of addr.
func (n *Network) breakLocked(addr string) {
	for c := range n.conns {
		if c.in.from == addr || c.in.to == addr {
			c.in.broken, c.out.broken = true, true
		}
	}
}

// goneLocked reports whether t can no longer send or receive.
func (n *Network) goneLocked(t *transport) bool {
	return t == nil || n.hosts[t.String()] != t || n.killed[t.String()]
}

// send carries one packet. Nobody is told if it is lost.
func (n *Network) send(from *transport, to string, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.goneLocked(from) || n.cut[link{from.String(), to}] || n.rand.Float64() < n.loss {
		return
	}
	packet := &memberlist.Packet{Buf: slices.Clone(b), From: from.udp()}
	if n.delay == 0 {
		n.deliverLocked(to, packet)
		return
	}
	time.AfterFunc(n.delay, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.deliverLocked(to, packet)
	})
}

func (n *Network) deliverLocked(to string, packet *memberlist.Packet) {
	t := n.hosts[to]
	if n.goneLocked(t) {
		return
	}
	packet.Timestamp = time.Now()
	select {
	case t.packets <- packet:
	default: // a full socket buffer
	}
}

// latency returns the time that Delay has set.
func (n *Network) latency() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.delay
}

// connect makes a stream from t to addr. It returns neither a stream nor an
// error if nothing answers.
func (n *Network) connect(t *transport, addr string) (*conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	there, back := link{t.String(), addr}, link{addr, t.String()}
	to := n.hosts[addr]
	switch {
	case n.goneLocked(t), n.killed[addr], n.cut[there], n.cut[back]:
		return nil, nil
	case to == nil:
		return nil, syscall.ECONNREFUSED
	}
	out := &stream{link: there, wake: make(chan struct{}, 1)}
	in := &stream{link: back, wake: make(chan struct{}, 1)}
	near, far := &conn{net: n, in: in, out: out}, &conn{net: n, in: out, out: in}
	select {
	case to.streams <- far:
		n.conns[near], n.conns[far] = true, true
		return near, nil
	default: // a full backlog does not answer
		return nil, nil
	}
}
