// Package frametest counts the HTTP/2 frames of a gRPC connection, for tests that look at
// what passes beside the calls.
package frametest

import (
	"net"
	"sync"
)

// A Kind is a type of frames (RFC 9113, section 6).
type Kind byte

// The kinds that tests ask for.
const (
	Data Kind = 0
	Ping Kind = 6
)

// A Conn counts the frames that its dialler writes and reads. The counts may be read while
// it is used.
type Conn struct {
	net.Conn
	there, back *count
}

// Count returns a connection that was just dialled, counted.
func Count(conn net.Conn) Conn {
	const preface = 24 // bytes that a client writes before its first frame
	return Conn{conn, &count{skip: preface, kinds: map[Kind]int{}}, &count{kinds: map[Kind]int{}}}
}

// Frames returns how many frames of a kind have passed there, from the dialler, and back.
func (c Conn) Frames(kind Kind) (there, back int) { return c.there.of(kind), c.back.of(kind) }

// Write implements net.Conn.
func (c Conn) Write(b []byte) (int, error) {
	c.there.see(b)
	return c.Conn.Write(b)
}

// Read implements net.Conn.
func (c Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.back.see(b[:n])
	return n, err
}

// A count is of the frames of one way.
type count struct {
	mu     sync.Mutex
	skip   int          // bytes until the next header; guarded by mu
	header []byte       // so far; guarded by mu
	kinds  map[Kind]int // guarded by mu
}

func (c *count) see(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(b) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(b))
			c.skip -= n
			b = b[n:]
			continue
		}
		c.header, b = append(c.header, b[0]), b[1:]
		if h := c.header; len(h) == 9 { // three bytes of length, the type, flags and the stream
			c.skip = int(h[0])<<16 | int(h[1])<<8 | int(h[2])
			c.kinds[Kind(h[3])]++
			c.header = nil
		}
	}
}

func (c *count) of(kind Kind) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kinds[kind]
}
