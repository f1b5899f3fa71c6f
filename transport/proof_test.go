package transport_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// guarded starts node n2.zone, whose certificate comes from an authority of a site, with one
// call more than the peer service has today.
func guarded(t *testing.T) (addr string, e *ears, stats func() transport.ServerStats) {
	t.Helper()
	var server site
	server.show(t, ourSecret, "n2.zone")
	e = &ears{}
	cfg := transport.PeerConfig{Node: "n2.zone", Boot: one, RingSettings: 7, Identity: server.identity(t, ourSecret), Told: e.told}
	s := transport.NewPeerServer(cfg, &owner{})
	g := s.GRPC()
	g.RegisterService(&grpc.ServiceDesc{ServiceName: "later", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: serveUnary}}}, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go g.Serve(listener)
	t.Cleanup(g.Stop)
	return listener.Addr().String(), e, s.Stats
}

func serveUnary(_ any, ctx context.Context, decode func(any) error, through grpc.UnaryServerInterceptor) (any, error) {
	in := &emptypb.Empty{}
	if err := decode(in); err != nil {
		return nil, err
	}
	if through == nil { // nobody checks
		return in, nil
	}
	return through(ctx, in, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) { return in, nil })
}

// calls are all that a node answers to others, as one that calls itself node.
func calls(conn *grpc.ClientConn, node string) map[string]func(context.Context) error {
	c, h := peerpb.NewPeerClient(conn), &peerpb.Hello{Node: node, Boot: 1, RingCfg: 7, Wire: 1}
	return map[string]func(context.Context) error{
		"Link": func(ctx context.Context) error {
			stream, err := c.Link(ctx)
			if err != nil {
				return err
			}
			_ = stream.Send(&peerpb.Frame{Hello: h}) // Recv says what was wrong
			_, err = stream.Recv()
			return err
		},
		"Bulk": func(ctx context.Context) error {
			stream, err := c.Bulk(ctx)
			if err != nil {
				return err
			}
			_ = stream.Send(&peerpb.Chunk{Hello: h})
			_, err = stream.CloseAndRecv()
			return err
		},
		"Tell": func(ctx context.Context) error {
			stream, err := c.Tell(ctx)
			if err != nil {
				return err
			}
			_ = stream.Send(&peerpb.Piece{Kind: "policy", Last: true})
			_, err = stream.CloseAndRecv()
			return err
		},
		"Unary": func(ctx context.Context) error {
			return conn.Invoke(ctx, "/later/Unary", &emptypb.Empty{}, &emptypb.Empty{})
		},
	}
}

// A certificate of the site's authority is not enough: applications have such too. A proof is
// of one secret and one certificate.
func TestCertificateOfASiteNeedsProof(t *testing.T) {
	claimOf := func(secret, node string) []string {
		var other site
		other.show(t, ourSecret, node)
		return []string{other.identity(t, secret).Claim()}
	}
	all := map[string]codes.Code{"Link": codes.PermissionDenied, "Bulk": codes.PermissionDenied, "Tell": codes.PermissionDenied, "Unary": codes.PermissionDenied}
	for _, tt := range []struct {
		name, shown, says string
		secret            string                // of the proof; empty for claims
		claims            []string              // instead
		want              map[string]codes.Code // of calls that fail
	}{
		{"node", "n1.zone", "n1.zone", ourSecret, nil, nil},
		{"application without proof", "shop", "shop", "", nil, all},
		{"name of a node without proof", "n1.zone", "n1.zone", "", nil, all},
		{"empty proof", "n1.zone", "n1.zone", "", []string{""}, all},
		{"proof of another secret", "n1.zone", "n1.zone", otherSecret, nil, all},
		{"proof of another certificate", "n1.zone", "n1.zone", "", claimOf(ourSecret, "n1.zone"), all},
		{"wildcard", "*.zone", "n1.zone", ourSecret, nil, map[string]codes.Code{"Link": codes.PermissionDenied, "Bulk": codes.PermissionDenied}},
		{"wildcard as a name", "*.zone", "*.zone", ourSecret, nil, map[string]codes.Code{"Link": codes.PermissionDenied, "Bulk": codes.PermissionDenied}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, e, stats := guarded(t)
			var dialer site
			dialer.show(t, ourSecret, tt.shown)
			claims := tt.claims
			if tt.secret != "" {
				claims = []string{dialer.identity(t, tt.secret).Claim()}
			}
			creds := credentials.NewTLS(dialer.identity(t, ourSecret).ClientTLS("n2.zone"))
			conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for _, one := range claims {
				ctx = metadata.AppendToOutgoingContext(ctx, transport.ClaimName, one)
			}
			for name, call := range calls(conn, tt.says) {
				if err := call(ctx); status.Code(err) != tt.want[name] {
					t.Errorf("%s = %v, want %v", name, err, tt.want[name])
				}
			}
			if got := stats().Strangers; got != int64(len(tt.want)) {
				t.Errorf("Strangers = %d, want %d", got, len(tt.want))
			}
			if told := tt.want["Tell"] == codes.OK; e.count() == 1 != told {
				t.Errorf("%d notices were heard, want one: %v", e.count(), told)
			}
		})
	}
}

// A proof is of the certificate that its connection shows, whatever is given by then.
func TestProofOfACertificateThatIsReplaced(t *testing.T) {
	addr, e, stats := guarded(t)
	var old, next site
	old.show(t, ourSecret, "n1")
	next.show(t, ourSecret, "n1")
	var asked atomic.Int64
	p := transport.NewPool(transport.PeerConfig{Node: "n1", Boot: one, RingSettings: 7, Identity: given(t, ourSecret, func() transport.Proof {
		if asked.Add(1)%2 == 0 { // replaced each time that one looks
			return *next.current.Load()
		}
		return *old.current.Load()
	})})
	defer p.Close()
	p.Retain([]transport.Target{{Name: "n2.zone", Addr: addr}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := p.Peer(addr).Take(ctx, bucketring.Request{Key: "k", Limits: perMinute, Cost: 1}); err != nil {
		t.Errorf("Take = %v, want a decision", err)
	}
	for range 2 { // with each of the two
		if err := p.Tell(ctx, []transport.Notice{{Kind: "policy"}}); err != nil {
			t.Errorf("Tell = %v, want it heard", err)
		}
	}
	if s := stats(); s.Strangers != 0 || e.count() != 2 {
		t.Errorf("Stats() = %+v, %d notices, want no strangers and 2", s, e.count())
	}
}

// Nobody with a certificate for many names passes for the node that is dialed.
func TestDialerRefusesWildcards(t *testing.T) {
	for _, tt := range []struct {
		shown string
		good  bool
	}{{"n2.zone", true}, {"N2.Zone", true}, {"*.zone", false}} {
		var server, dialer site
		server.show(t, ourSecret, tt.shown)
		dialer.show(t, ourSecret, "n1")
		cfg := transport.PeerConfig{Node: "n2.zone", Boot: one, RingSettings: 7, Identity: server.identity(t, ourSecret)}
		g := transport.NewPeerServer(cfg, &owner{}).GRPC()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go g.Serve(listener)
		t.Cleanup(g.Stop)
		if err := askAs(t, dialer.identity(t, ourSecret), "n2.zone", listener.Addr().String()); (err == nil) != tt.good {
			t.Errorf("a certificate of %s: %v, want it to be good: %v", tt.shown, err, tt.good)
		}
	}
}
