// cluster_test.go joins nodes in one process over loopback TCP.

package bench_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/transport"
)

// patience is how long a node waits for another one.
const patience = 10 * time.Second

// newNode returns a node that runs until the benchmark ends.
func newNode(tb testing.TB, cfg node.Config) *node.Node {
	tb.Helper()
	n, err := node.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("Run = %v, want nil", err)
		}
	})
	return n
}

// alone returns a node that owns every key.
func alone(tb testing.TB) *node.Node { return newNode(tb, node.Config{Name: "n1"}) }

// A member is a node and its link to the others.
type member struct {
	*node.Node
	pool *transport.Pool
}

// newCluster joins n nodes, whose links are up when it returns.
func newCluster(tb testing.TB, n int) []*member {
	tb.Helper()
	members, addrs := make([]*member, n), make([]ring.Member, n)
	for i := range members {
		members[i], addrs[i] = newMember(tb, fmt.Sprintf("n%d", i+1))
	}
	for i, m := range members {
		r, err := ring.NewBuilder(ring.Placer{}, addrs[i].Name).Build(addrs)
		if err != nil {
			tb.Fatal(err)
		}
		var others []transport.Target
		for _, a := range slices.Delete(slices.Clone(addrs), i, i+1) {
			others = append(others, transport.Target{Name: a.Name, Addr: a.Addr})
		}
		m.pool.Retain(others)
		m.SetRing(r)
	}
	for _, m := range members {
		m.awaitLinks(tb, n-1)
	}
	return members
}

// newMember starts a node and its listener for peers.
func newMember(tb testing.TB, name string) (*member, ring.Member) {
	tb.Helper()
	cfg := transport.PeerConfig{Node: name, Boot: func() uint64 { return 1 }, RingSettings: ring.Placer{}.Settings()}
	pool := transport.NewPool(cfg)
	tb.Cleanup(pool.Close)
	n := newNode(tb, node.Config{Name: name, Peers: pool, Budget: patience})
	addr := serve(tb, transport.NewPeerServer(cfg, n.Local()).GRPC())
	return &member{n, pool}, ring.Member{Name: name, Boot: 1, Addr: addr}
}

// awaitLinks waits until all links of a member are up.
func (m *member) awaitLinks(tb testing.TB, count int) {
	tb.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		up := 0
		for _, s := range m.pool.Stats() {
			if s.Up {
				up++
			}
		}
		if up == count {
			return
		}
		if time.Since(begun) > patience {
			tb.Fatalf("%d links are up after %v, want %d", up, patience, count)
		}
	}
}

// strangerTo returns a member that has to ask another one about a key.
func strangerTo(tb testing.TB, members []*member, key string) *member {
	tb.Helper()
	peek := bucketring.Request{Verb: bucketring.VerbPeek, Key: key, Limits: bucketring.MustParse("1/m")}
	for _, m := range members {
		d, err := m.Take(context.Background(), peek)
		if err != nil || d.Degraded {
			tb.Fatalf("Take(peek %s) = %+v, %v, want the owner's answer", key, d, err)
		}
		if d.Owner != d.Node {
			return m
		}
	}
	tb.Fatalf("all members own %s, want one that does not", key)
	return nil
}

// serve serves on a port of loopback until the benchmark ends.
func serve(tb testing.TB, g *grpc.Server) (addr string) {
	tb.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(lis) }()
	tb.Cleanup(func() {
		g.Stop()
		if err := <-ended; err != nil {
			tb.Errorf("Serve = %v, want nil", err)
		}
	})
	return lis.Addr().String()
}

// dial connects to the public API of a server.
func dial(tb testing.TB, g *grpc.Server) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:///"+serve(tb, g), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := conn.Close(); err != nil {
			tb.Error(err)
		}
	})
	return conn
}
