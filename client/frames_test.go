// frames_test.go looks at what goes over a connection beside the calls.

package client_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/internal/frametest"
)

// TestNoPingsForCalls: neither side asks for a sign of life while it gets messages all the
// time, or measures how long they take.
func TestNoPingsForCalls(t *testing.T) {
	for name, cfg := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.start("a", nil)
				var conn frametest.Conn
				cfg.Addrs = []string{"passthrough:///a"}
				cfg.Options = []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
					dialed, err := w.dial(ctx, addr)
					conn = frametest.Count(dialed)
					return conn, err
				})}
				c, err := client.Dial(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				for range 100 {
					mustTake(t, c, call)
				}
				if there, back := conn.Frames(frametest.Data); there < 100 || back < 100 {
					t.Errorf("%d messages there and %d back, want 100 at least", there, back)
				}
				if there, back := conn.Frames(frametest.Ping); there > 0 || back > 0 {
					t.Errorf("%d pings there and %d back for 100 calls, want none", there, back)
				}
				_ = c.Close()
			})
		})
	}
}
