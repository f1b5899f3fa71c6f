package transport_test

import (
	"context"
	"net"
	"runtime"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// always decides without any work.
type always struct{}

func (always) Take(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return allow(req), nil
}

// listen serves g on loopback.
func listen(b *testing.B, g *grpc.Server) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go g.Serve(listener)
	b.Cleanup(g.Stop)
	return listener.Addr().String()
}

// linked returns a peer over loopback, with a link that is up.
func linked(b *testing.B) (bucketring.Limiter, *transport.Pool) {
	b.Helper()
	cfg := transport.PeerConfig{Node: "n2", Boot: one, RingSettings: 7}
	addr := listen(b, transport.NewPeerServer(cfg, always{}).GRPC())
	cfg.Node = "n1"
	p := transport.NewPool(cfg)
	b.Cleanup(p.Close)
	p.Retain([]transport.Target{{Name: "n2", Addr: addr}})
	peer := p.Peer(addr)
	if _, err := peer.Take(b.Context(), aliceOnce()); err != nil {
		b.Fatal(err)
	}
	return peer, p
}

func aliceOnce() bucketring.Request {
	return bucketring.Request{Key: "user:alice", Limits: perMinute, Cost: 1}
}

// BenchmarkLink is one call at a time: a round trip.
func BenchmarkLink(b *testing.B) {
	peer, _ := linked(b)
	req := aliceOnce()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := peer.Take(context.Background(), req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLinkBusy has 64 callers, who share frames.
func BenchmarkLinkBusy(b *testing.B) {
	peer, p := linked(b)
	req := aliceOnce()
	b.ReportAllocs()
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := peer.Take(context.Background(), req); err != nil {
				b.Error(err)
				return
			}
		}
	})
	s := p.Stats()[0]
	b.ReportMetric(float64(s.Items)/float64(s.Frames), "items/frame")
}

// BenchmarkPublicTake is a unary call of the public API over loopback.
func BenchmarkPublicTake(b *testing.B) {
	conn, err := grpc.NewClient(listen(b, transport.NewServer(always{}).GRPC()), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	api := limitpb.NewLimiterClient(conn)
	m := &limitpb.TakeRequest{Key: "user:alice", Limit: "10/m"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := api.Take(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}
