package clustertest

import (
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/hashicorp/memberlist"
)

// A transport is one node's door to the network.
type transport struct {
	net     *Network
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn // dialed by others, not yet accepted
	down    chan struct{} // closed by Shutdown, under net.mu
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// String returns the address.
func (t *transport) String() string { return t.addr.String() }

// FinalAdvertiseAddr returns what the caller wants, else the address.
func (t *transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip == "" {
		return t.addr.Addr().AsSlice(), int(t.addr.Port()), nil
	}
	addr, err := netip.ParseAddr(ip)
	return addr.AsSlice(), port, err
}

// WriteTo sends a packet. It never fails: who sends packets is not told.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	t.net.send(t, addr, b)
	return time.Now(), nil
}

// WriteToAddress sends a packet; names play no part here.
func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// PacketCh delivers packets.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh delivers streams that others dialed.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialAddressTimeout opens a stream; names play no part here.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// DialTimeout opens a stream after one trip there and back. It is refused where
// nobody listens. Where nothing answers it asks again, as TCP does, after 1, 3,
// 7 and so on seconds, until the timeout.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	late := time.NewTimer(timeout)
	defer late.Stop()
	err := t.sleep(2*t.net.latency(), late)
	for pause := time.Second; err == nil; pause *= 2 {
		var c *conn
		if c, err = t.net.connect(t, addr); c != nil {
			return c, nil
		}
		if err == nil {
			err = t.sleep(pause, late)
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
}

// sleep waits for d. The error says that a dial must end first.
func (t *transport) sleep(d time.Duration, late *time.Timer) error {
	select {
	case <-t.down:
		return net.ErrClosed
	case <-late.C:
		return os.ErrDeadlineExceeded
	case <-time.After(d):
		return nil
	}
}

// Shutdown closes the door: streams break, dials end, the address is free.
func (t *transport) Shutdown() error {
	t.net.control(func() {
		select {
		case <-t.down:
			return
		default:
		}
		close(t.down)
		if t.net.hosts[t.String()] == t {
			delete(t.net.hosts, t.String())
			t.net.breakLocked(t.String())
		}
	})
	return nil
}

// udp returns the address as the sender of packets.
func (t *transport) udp() net.Addr { return net.UDPAddrFromAddrPort(t.addr) }
