// frames_test.go looks at what goes over a link beside the calls.

package transport_test

import (
	"context"
	"net"
	"testing"

	"github.com/bucketring/bucketring/internal/frametest"
	"github.com/bucketring/bucketring/transport"
)

// TestNoPingsForFrames: neither end of a link measures how long each frame takes.
func TestNoPingsForFrames(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		var conn frametest.Conn
		p := transport.NewPool(transport.PeerConfig{
			Node: "n1", Boot: one, RingSettings: 7,
			Dial: func(ctx context.Context, addr string) (net.Conn, error) {
				dialed, err := w.dial(ctx, addr)
				conn = frametest.Count(dialed)
				return conn, err
			},
		})
		t.Cleanup(p.Close)
		p.Retain([]transport.Target{h.target()})
		for range 100 {
			mustTake(t, p, h, "alice")
		}
		if there, back := conn.Frames(frametest.Data); there < 100 || back < 100 {
			t.Errorf("%d frames there and %d back, want 100 at least", there, back)
		}
		if there, back := conn.Frames(frametest.Ping); there > 0 || back > 0 {
			t.Errorf("%d pings there and %d back for 100 calls, want none", there, back)
		}
	})
}
