// conn.go is one connection: a goroutine that reads and decides, and one that writes.

package resp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
)

// Times of a connection that ends.
const (
	drainTime  = 20 * time.Millisecond // in which what is on its way still counts as received
	flushTime  = 5 * time.Second       // for a client to take its last replies
	lingerTime = time.Second           // for it to notice the end
)

// maxLinger bounds what is read of a client that does not notice the end, in bytes.
const maxLinger = 1 << 20

// flushSize is how many bytes of replies may gather before they are handed over even
// though more commands are there to be read.
const flushSize = 64 << 10

// A conn is one client. What is above the queue belongs to the goroutine that reads.
type conn struct {
	server *Server
	net    net.Conn
	id     int64 // from 1, unique in the server

	decoder     decoder
	heard       time.Time       // when the client last sent something
	now         int64           // a reading of the limiter's clock
	shared      int             // further commands that may share it
	version     int             // of the protocol
	stranger    bool            // owes a token
	caller      context.Context // stands for whoever has sent one; nil for a stranger
	name        string          // that the client gave itself
	leaving     bool            // the client wants to go, or has to
	wrongTokens int             // that it has sent
	out         []byte          // replies that were not handed over yet
	count       int             // commands that they answer

	// What is here is no variable of a function because the Limiter is handed a
	// pointer to it, for which each command would need new memory.
	request  bucketring.Request
	decision bucketring.Decision
	kept     [keptLimits]keptLimit
	oldest   int // of kept

	draining atomic.Bool // reading ends soon

	direct *direct
	queue
}

func newConn(s *Server, nc net.Conn, id int64) *conn {
	c := &conn{server: s, net: nc, id: id, decoder: newDecoder(), direct: newDirect(nc)}
	c.start()
	c.begin()
	return c
}

// serve answers the client until one side has enough, and closes the connection.
func (c *conn) serve() {
	if !c.secure() {
		_ = c.net.Close() // nothing was said
		return
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	ours := c.read()
	c.flush()
	_ = c.net.SetWriteDeadline(time.Now().Add(flushTime)) // fails if it is closed already
	c.end()
	<-written
	if ours && !c.draining.Load() {
		c.linger()
	}
	_ = c.net.Close() // nothing that matters is still to be sent
}

// handshakeTime is how long a client may take to agree on TLS.
const handshakeTime = 5 * time.Second

// secure makes the handshake, if the listener has one to make.
func (c *conn) secure() bool {
	shaking, ok := c.net.(interface{ HandshakeContext(context.Context) error })
	if !ok {
		return true
	}
	ctx, cancel := context.WithTimeout(c.server.ctx, handshakeTime)
	defer cancel()
	return shaking.HandshakeContext(ctx) == nil
}

// read carries out commands until no more are to be read. ours says that this was
// not the client's end of the connection.
func (c *conn) read() (ours bool) {
	c.heard = time.Now()
	c.expect(c.server.cfg.IdleTimeout)
	for {
		words, err := c.decoder.next(c.stranger)
		switch {
		case err != nil:
			c.server.counts.protocolErrors.Add(1)
			c.fail("ERR Protocol error: " + err.Error())
			return true
		case words == nil:
			c.flush()
			if !c.fill() {
				return false
			}
			continue
		}
		c.waitForRoom()
		c.execute(words)
		if c.leaving {
			return true
		}
		if len(c.out) > flushSize {
			c.flush()
		}
	}
}

// fill waits for bytes. It reports false if none will come.
func (c *conn) fill() bool {
	for {
		err := c.decoder.fill(c.net)
		if err == nil {
			c.heard, c.shared = time.Now(), 0
			return true
		}
		// The deadline is that of an earlier silence: setting it for each read would
		// cost more than to look here, once in a while, whether it was meant.
		left := c.server.cfg.IdleTimeout - time.Since(c.heard)
		if !errors.Is(err, os.ErrDeadlineExceeded) || left <= 0 || c.draining.Load() {
			return false
		}
		c.expect(left)
	}
}

// expect makes the next read last no longer than d; 0 means for ever.
func (c *conn) expect(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d > 0 && !c.draining.Load() {
		_ = c.net.SetReadDeadline(time.Now().Add(d)) // fails if it is closed already
	}
}

// drain makes reading end soon. Another goroutine may call it.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining.Store(true)
	_ = c.net.SetReadDeadline(time.Now().Add(drainTime)) // fails if it is closed already
}

// waitForRoom waits while too much is in flight.
func (c *conn) waitForRoom() {
	if c.slots.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.isFull(c.count, len(c.out)) {
		c.handOver() // behind a slot, so it cannot overrun
		c.room.Wait()
		c.shared = 0 // that took time
	}
}

// flush hands all replies over.
func (c *conn) flush() {
	if c.count == 0 && len(c.out) == 0 {
		return
	}
	c.mu.Lock()
	if c.isIdle() {
		c.out = c.out[:copy(c.out, c.out[c.direct.write(c.out):])]
	}
	overrun := c.handOver()
	c.mu.Unlock()
	if overrun {
		c.kill()
	}
}

// handOver adds all replies to the queue. c.mu is held.
func (c *conn) handOver() (overrun bool) {
	c.server.counts.commands.Add(uint64(c.count))
	c.out, overrun = c.add(c.out, c.count)
	if cap(c.out) > 2*flushSize {
		c.out = nil
	}
	c.count = 0
	return overrun
}

// write sends replies until there are no more, or nobody takes them.
func (c *conn) write() {
	var replies []byte
	for {
		var last bool
		if replies, last = c.take(replies); len(replies) == 0 {
			return
		}
		if last {
			_ = c.net.SetWriteDeadline(time.Now().Add(flushTime)) // fails if it is closed already
		}
		if _, err := c.net.Write(replies); err != nil {
			c.kill()
			return
		}
	}
}

// kill ends the connection at once. Any goroutine may call it, and more than once.
func (c *conn) kill() {
	c.abandon()
	nc := c.net
	if secure, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = secure.NetConn() // TLS would first wait for room to say goodbye
	}
	_ = nc.Close() // there is nobody to tell
}

// linger lets the client read its last replies. Closing while something of what it
// sent is unread would make its system throw them away.
func (c *conn) linger() {
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if c.net.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.net, maxLinger) // whatever it is
	}
}
