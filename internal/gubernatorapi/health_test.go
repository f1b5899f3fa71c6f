package gubernatorapi_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring/internal/gubernatorapi"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// dial serves s over gRPC, as Gubernator does, and returns a connection to it.
func dial(t *testing.T, s *gubernatorapi.Server) *grpc.ClientConn {
	t.Helper()
	pipes := bufconn.Listen(1 << 16)
	g := grpc.NewServer(grpc.MaxRecvMsgSize(2 << 20)) // as others on the listener need
	s.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(pipes) }()
	conn, err := grpc.NewClient("passthrough:pipes", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipes.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func TestGRPC(t *testing.T) {
	s := server(standard())
	client := pb.NewV1Client(dial(t, s))
	resp, err := client.GetRateLimits(t.Context(), &pb.GetRateLimitsReq{Requests: []*pb.RateLimitReq{item("k"), {}, item("k")}})
	if err != nil || len(resp.Responses) != 3 || resp.Responses[0].Remaining != 9 || resp.Responses[2].Remaining != 8 ||
		resp.Responses[1].Error != "field 'unique_key' cannot be empty" {
		t.Errorf("GetRateLimits = %v, %v, want 9, an error, and 8", resp, err)
	}
	_, err = client.GetRateLimits(t.Context(), &pb.GetRateLimitsReq{Requests: []*pb.RateLimitReq{{Name: strings.Repeat("n", 1<<20)}}})
	if status.Code(err) != codes.ResourceExhausted || !strings.HasSuffix(status.Convert(err).Message(), " vs. 1048576)") {
		t.Errorf("a message over 1 MiB: %v, want ResourceExhausted", err)
	}
	if _, err = client.LiveCheck(t.Context(), &pb.LiveCheckReq{}); err != nil {
		t.Errorf("LiveCheck: %v", err)
	}
	if _, err = client.HealthCheck(t.Context(), &pb.HealthCheckReq{}); err != nil {
		t.Errorf("HealthCheck: %v", err)
	}
}

// In the reference what peers and callers did wrong makes a node unhealthy.
func TestD17HealthIsOfThisNode(t *testing.T) {
	var peers []gubernatorapi.Peer
	var ready error
	w := newWorld()
	w.fail = func(string) error { return errors.New("no peer answers") }
	s := server(gubernatorapi.Config{
		Limiter: &fake{w, "a"},
		Peers:   func() []gubernatorapi.Peer { return peers }, Ready: func() error { return ready },
	})
	ask(t, s, item("k"), &pb.RateLimitReq{})
	peers = []gubernatorapi.Peer{
		{Address: "10.0.0.2:1051", DataCenter: "x"}, {Address: "10.0.0.1:1051", DataCenter: "x", Self: true}, {Address: "10.1.0.1:1051", DataCenter: "y"},
	}
	got, err := s.HealthCheck(t.Context(), nil)
	want := &pb.HealthCheckResp{
		Status: "healthy", PeerCount: 3, AdvertiseAddress: "10.0.0.1:1051",
		LocalPeers:  []*pb.PeerHealthResp{{GrpcAddress: "10.0.0.2:1051", DataCenter: "x"}, {GrpcAddress: "10.0.0.1:1051", DataCenter: "x"}},
		RegionPeers: []*pb.PeerHealthResp{{GrpcAddress: "10.1.0.1:1051", DataCenter: "y"}},
	}
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("HealthCheck = %v, %v, want %v", got, err, want)
	}
	peers = peers[:1]
	if _, err = s.HealthCheck(t.Context(), nil); status.Convert(err).String() != status.New(codes.Unavailable, "this instance is not found in the peer list").String() {
		t.Errorf("HealthCheck of a node that is no member: %v", err)
	}
	ready = errors.New("this node has not joined yet")
	if _, err = s.HealthCheck(t.Context(), nil); status.Code(err) != codes.Unavailable || status.Convert(err).Message() != ready.Error() {
		t.Errorf("HealthCheck of a node that is not ready: %v", err)
	}
}

// In the reference LiveCheck answers until the listener is closed.
func TestD18LiveCheckFailsFirst(t *testing.T) {
	s := server(standard())
	client := pb.NewV1Client(dial(t, s))
	if _, err := client.LiveCheck(t.Context(), &pb.LiveCheckReq{}); err != nil {
		t.Errorf("LiveCheck: %v", err)
	}
	s.NotServing()
	_, err := client.LiveCheck(t.Context(), &pb.LiveCheckReq{})
	if status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "server is shutting down" {
		t.Errorf("LiveCheck at the end: %v, want Unavailable", err)
	}
	if got := ask(t, s, item("k"))[0]; got.GetRemaining() != 9 {
		t.Errorf("an item at the end = %v, want it counted", got)
	}
	if _, err := client.HealthCheck(t.Context(), &pb.HealthCheckReq{}); err != nil {
		t.Errorf("HealthCheck at the end: %v", err)
	}
}

// The reference serves PeersV1 to whoever asks: one message overwrites any counter.
func TestD19PeersAreNotServed(t *testing.T) {
	conn := dial(t, server(standard()))
	for _, method := range []string{"/pb.gubernator.PeersV1/GetPeerRateLimits", "/pb.gubernator.PeersV1/UpdatePeerGlobals"} {
		err := conn.Invoke(t.Context(), method, &pb.GetRateLimitsReq{Requests: []*pb.RateLimitReq{item("k")}}, &pb.GetRateLimitsResp{})
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v, want Unimplemented", method, err)
		}
	}
}
