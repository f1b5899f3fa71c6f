// floor_test.go has servers that only answer: what no limiter behind the same protocol can
// undercut. They are this test binary itself, started again.

package rivals_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/bucketring/bucketring/transport/limitpb"
)

const (
	bareDoor = "RIVALS_BARE_DOOR" // environment name that makes this binary such a server
	bareNext = "RIVALS_BARE_NEXT" // and one that asks the server at this address
)

func TestMain(m *testing.M) {
	if door := os.Getenv(bareDoor); door != "" {
		if err := serveBare(door); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

type bare struct {
	limitpb.UnimplementedLimiterServer
	next limitpb.LimiterClient // nil for none
}

func (s bare) Take(ctx context.Context, req *limitpb.TakeRequest) (*limitpb.Decision, error) {
	if s.next != nil {
		return s.next.Take(ctx, req)
	}
	return &limitpb.Decision{Allowed: true}, nil
}

// TakeStream answers one message after the other, as one caller sends them.
func (s bare) TakeStream(stream limitpb.Limiter_TakeStreamServer) error {
	ask := func(*limitpb.StreamRequest) (*limitpb.StreamResponse, error) { return &limitpb.StreamResponse{}, nil }
	if s.next != nil {
		further, err := s.next.TakeStream(stream.Context())
		if err != nil {
			return err
		}
		ask = func(req *limitpb.StreamRequest) (*limitpb.StreamResponse, error) { return askBare(further, req) }
	}
	for {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		resp, err := ask(req)
		if err != nil {
			return err
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

func askBare(stream limitpb.Limiter_TakeStreamClient, req *limitpb.StreamRequest) (*limitpb.StreamResponse, error) {
	if err := stream.Send(req); err != nil {
		return nil, err
	}
	return stream.Recv()
}

func serveBare(door string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("{\"msg\":\"listening\",\"door\":\"%s\",\"addr\":\"%s\"}\n{\"msg\":\"ready\"}\n", door, l.Addr())
	if door == "http" {
		return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // #nosec: for a benchmark
			_, _ = io.Copy(w, r.Body)
		}))
	}
	s := bare{}
	if next := os.Getenv(bareNext); next != "" {
		conn, err := grpc.NewClient(next, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		s.next = limitpb.NewLimiterClient(conn)
	}
	g := grpc.NewServer()
	limitpb.RegisterLimiterServer(g, s)
	return g.Serve(l)
}

func startBare(tb testing.TB, door string) (*server, string) {
	tb.Helper()
	tb.Setenv(bareDoor, door)
	read, write := io.Pipe()
	s := launch(tb, write, os.Args[0])
	return s, listening(tb, read)[door]
}

// dialBare connects to a bare server, or to one that asks another.
func dialBare(tb testing.TB, forwarded bool) limitpb.LimiterClient {
	tb.Helper()
	_, addr := startBare(tb, "grpc")
	if forwarded {
		tb.Setenv(bareNext, addr)
		_, addr = startBare(tb, "grpc")
	}
	return dialGRPC(tb, addr)
}

func dialGRPC(tb testing.TB, addr string) limitpb.LimiterClient {
	tb.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return limitpb.NewLimiterClient(conn)
}

func overBareGRPC(tb testing.TB) (*server, remote) { return overBares(tb, 1) }

// overBares asks several bare servers in turn: what it costs that callers are spread over
// so many processes.
func overBares(tb testing.TB, count int) (all *server, ask remote) {
	all = &server{}
	var apis []limitpb.LimiterClient
	for range count {
		s, addr := startBare(tb, "grpc")
		all.cmds = append(all.cmds, s.cmds...)
		apis = append(apis, dialGRPC(tb, addr))
	}
	var next atomic.Uint32
	return all, func(ctx context.Context, keys []string) (passed int, err error) {
		for _, key := range keys {
			api := apis[int(next.Add(1))%count]
			if _, err := api.Take(ctx, &limitpb.TakeRequest{Key: key, Limit: "1000000000/1d"}); err != nil {
				return passed, err
			}
			passed++
		}
		return passed, nil
	}
}

func overBareHTTP(tb testing.TB) (*server, remote) {
	s, addr := startBare(tb, "http")
	return s, posting("http://"+addr, func(key string) string { return `{"key":"` + key + `","limit":"1000000000/1d"}` })
}
