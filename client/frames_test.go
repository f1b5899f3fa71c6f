// frames_test.go looks at what goes over a connection beside the calls.

package client_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring/client"
)

// A frameCount counts the HTTP/2 frames that pass a connection one way, by their type.
type frameCount struct {
	mu     sync.Mutex
	skip   int          // bytes until the next header; guarded by mu
	header []byte       // so far; guarded by mu
	types  map[byte]int // guarded by mu
}

// The types that matter here.
const (
	dataFrame = 0
	pingFrame = 6
)

func (f *frameCount) see(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(b) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(b))
			f.skip -= n
			b = b[n:]
			continue
		}
		f.header, b = append(f.header, b[0]), b[1:]
		if h := f.header; len(h) == 9 { // three bytes of length, the type, flags and the stream
			f.skip = int(h[0])<<16 | int(h[1])<<8 | int(h[2])
			f.types[h[3]]++
			f.header = nil
		}
	}
}

func (f *frameCount) of(kind byte) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.types[kind]
}

// A countedConn counts the frames of the one who dials.
type countedConn struct {
	net.Conn
	there, back *frameCount
}

func countFrames(conn net.Conn) countedConn {
	const preface = 24 // bytes, before the first frame there
	return countedConn{conn, &frameCount{skip: preface, types: map[byte]int{}}, &frameCount{types: map[byte]int{}}}
}

func (c countedConn) Write(b []byte) (int, error) {
	c.there.see(b)
	return c.Conn.Write(b)
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.back.see(b[:n])
	return n, err
}

// TestNoPingsForCalls: neither side asks for a sign of life while it gets messages all the
// time, or measures how long they take.
func TestNoPingsForCalls(t *testing.T) {
	for name, cfg := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.start("a", nil)
				var conn countedConn
				cfg.Addrs = []string{"passthrough:///a"}
				cfg.Options = []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
					dialed, err := w.dial(ctx, addr)
					conn = countFrames(dialed)
					return conn, err
				})}
				c, err := client.Dial(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				for range 100 {
					mustTake(t, c, call)
				}
				if there, back := conn.there.of(dataFrame), conn.back.of(dataFrame); there < 100 || back < 100 {
					t.Errorf("%d messages there and %d back, want 100 at least", there, back)
				}
				if there, back := conn.there.of(pingFrame), conn.back.of(pingFrame); there > 0 || back > 0 {
					t.Errorf("%d pings there and %d back for 100 calls, want none", there, back)
				}
				_ = c.Close()
			})
		})
	}
}
