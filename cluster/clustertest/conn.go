package clustertest

import (
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"
)

// A stream is one direction of a connection. All of it is guarded by the
// network's mu.
type stream struct {
	link
	pieces []piece
	ended  bool          // the writer closed: the end follows the pieces
	broken bool          // the reader closed, or an end is gone
	wake   chan struct{} // one slot, for the one reader
}

// A piece is what one Write sent.
type piece struct {
	due time.Time
	b   []byte
}

// A conn is one end of a connection: a net.Conn whose Write never blocks.
type conn struct {
	net             *Network
	in, out         *stream
	readBy, writeBy time.Time // deadlines, guarded by net.mu
	closed          bool      // guarded by net.mu
}

var _ net.Conn = (*conn)(nil)

// Read waits for bytes that have arrived. It is for one goroutine at a time.
func (c *conn) Read(b []byte) (int, error) {
	for {
		n, wait, err := c.take(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		timer := time.NewTimer(wait.time)
		select {
		case <-c.in.wake:
		case <-wait.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// A readWait says when it is worth looking again.
type readWait struct {
	time    time.Duration
	changed <-chan struct{}
}

// take reads what is there.
func (c *conn) take(b []byte) (int, readWait, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	now, s := time.Now(), c.in
	wait := readWait{time.Hour, c.net.changed}
	switch {
	case c.closed:
		return 0, wait, net.ErrClosed
	case !c.readBy.IsZero() && !now.Before(c.readBy):
		return 0, wait, os.ErrDeadlineExceeded
	case s.broken:
		return 0, wait, syscall.ECONNRESET
	}
	if !c.readBy.IsZero() {
		wait.time = c.readBy.Sub(now)
	}
	switch {
	case c.net.cut[s.link]:
	case len(s.pieces) == 0 && s.ended:
		return 0, wait, io.EOF
	case len(s.pieces) == 0:
	case s.pieces[0].due.After(now):
		wait.time = min(wait.time, s.pieces[0].due.Sub(now))
	default:
		return s.take(b), wait, nil
	}
	return 0, wait, nil
}

// take moves bytes of the first piece to b.
func (s *stream) take(b []byte) int {
	first := &s.pieces[0]
	n := copy(b, first.b)
	if first.b = first.b[n:]; len(first.b) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n
}

// Write sends b.
func (c *conn) Write(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	now := time.Now()
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.out.broken:
		return 0, syscall.EPIPE
	case !c.writeBy.IsZero() && !now.Before(c.writeBy):
		return 0, os.ErrDeadlineExceeded
	case len(b) > 0:
		c.out.pieces = append(c.out.pieces, piece{now.Add(c.net.delay), slices.Clone(b)})
		c.out.wakeReader()
	}
	return len(b), nil
}

// Close ends both directions: the other end reads what was sent, then EOF, and
// can write no more.
func (c *conn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.closed, c.out.ended, c.in.broken = true, true, true
	delete(c.net.conns, c)
	c.in.wakeReader()
	c.out.wakeReader()
	return nil
}

func (s *stream) wakeReader() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// LocalAddr returns the address of this end.
func (c *conn) LocalAddr() net.Addr { return tcpAddr(c.in.to) }

// RemoteAddr returns the address of the other end.
func (c *conn) RemoteAddr() net.Addr { return tcpAddr(c.in.from) }

func tcpAddr(addr string) net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))
}

// SetDeadline sets both deadlines; the zero time means none.
func (c *conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, &c.readBy, &c.writeBy) }

// SetReadDeadline sets the deadline of Read, also of one that waits.
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, &c.readBy) }

// SetWriteDeadline sets the deadline of Write.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.writeBy) }

func (c *conn) setDeadlines(t time.Time, deadlines ...*time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for _, d := range deadlines {
		*d = t
	}
	c.in.wakeReader()
	return nil
}
