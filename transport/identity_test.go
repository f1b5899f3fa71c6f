package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

func identity(t testing.TB, secret, node string) *transport.Identity {
	t.Helper()
	id, err := transport.NewIdentity([]byte(secret), node)
	if err != nil {
		t.Fatalf("NewIdentity(%q): %v", node, err)
	}
	return id
}

const (
	ourSecret   = "secret of our cluster"
	otherSecret = "secret of another cluster"
)

// secured starts node n2 on a real socket. Its end waits for all handshakes.
func secured(t testing.TB, id *transport.Identity) (addr string, o *owner, end func() transport.ServerStats) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o = &owner{}
	s := transport.NewPeerServer(transport.PeerConfig{Node: "n2", Boot: one, RingSettings: 7, Identity: id}, o)
	g := s.GRPC()
	go g.Serve(listener)
	t.Cleanup(g.Stop)
	return listener.Addr().String(), o, func() transport.ServerStats {
		g.Stop()
		return s.Stats()
	}
}

// askAs lets node n1 ask the node that it calls name.
func askAs(t testing.TB, id *transport.Identity, name, addr string) error {
	p := transport.NewPool(transport.PeerConfig{Node: "n1", Boot: one, RingSettings: 7, Identity: id})
	defer p.Close()
	p.Retain([]transport.Target{{Name: name, Addr: addr}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := p.Peer(addr).Take(ctx, bucketring.Request{Key: "k", Limits: perMinute, Cost: 1})
	if ctx.Err() != nil {
		t.Errorf("Take waited for 10 s, want it refused at once")
	}
	return err
}

func TestPeersOfOneSecretTalk(t *testing.T) {
	addr, o, end := secured(t, identity(t, ourSecret, "n2"))
	if err := askAs(t, identity(t, ourSecret, "n1"), "n2", addr); err != nil {
		t.Errorf("Take = %v, want a decision", err)
	}
	if s := end(); s.Strangers != 0 || o.total() != 1 {
		t.Errorf("Stats() = %+v, want no strangers", s)
	}
}

// TestServerThatIsNotTheOneDialed: the dialer refuses too.
func TestServerThatIsNotTheOneDialed(t *testing.T) {
	for _, tt := range []struct{ name, secret, dialed string }{
		{"other name", ourSecret, "n3"},
		{"other secret", otherSecret, "n2"},
	} {
		addr, o, end := secured(t, identity(t, ourSecret, "n2"))
		wantUnavailable(t, tt.name, askAs(t, identity(t, tt.secret, "n1"), tt.dialed, addr))
		if s := end(); s.Strangers == 0 || o.total() != 0 {
			t.Errorf("%s: Stats() = %+v, %d decided, want strangers counted and no call", tt.name, s, o.total())
		}
	}
}

// TestPeerIdentity is reliability.md 2.4, item 3: strangers that do not care
// whom they reach.
func TestPeerIdentity(t *testing.T) {
	ours := identity(t, ourSecret, "n2")
	with := func(id *transport.Identity) credentials.TransportCredentials {
		cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
		if id != nil {
			cfg.GetClientCertificate = id.ClientTLS("n2").GetClientCertificate
		}
		return credentials.NewTLS(cfg)
	}
	old := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
		GetClientCertificate: identity(t, ourSecret, "n1").ClientTLS("n2").GetClientCertificate}
	for _, tt := range []struct {
		name  string
		creds credentials.TransportCredentials
		want  codes.Code
	}{
		{"member", with(identity(t, ourSecret, "n1")), codes.OK},
		{"no TLS", insecure.NewCredentials(), codes.Unavailable},
		{"no certificate", with(nil), codes.Unavailable},
		{"certificate of another CA", with(identity(t, otherSecret, "n1")), codes.Unavailable},
		{"certificate of another node", with(identity(t, ourSecret, "n3")), codes.PermissionDenied},
		{"node whose name begins alike", with(identity(t, ourSecret, "n11")), codes.PermissionDenied},
		{"TLS 1.2", credentials.NewTLS(old), codes.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, o, end := secured(t, ours)
			err := stranger(t, addr, tt.creds)
			if status.Code(err) != tt.want {
				t.Errorf("greeting = %v, want %v", err, tt.want)
			}
			if s := end(); s.Strangers == 0 != (tt.want == codes.OK) || o.total() != 0 {
				t.Errorf("Stats() = %+v, want a stranger counted unless it is a member", s)
			}
		})
	}
}

// stranger says hello as node n1 and returns what comes of it.
func stranger(t *testing.T, addr string, creds credentials.TransportCredentials) error {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stream, err := peerpb.NewPeerClient(conn).Link(ctx)
	if err != nil {
		return err
	}
	_ = stream.Send(&peerpb.Frame{Hello: hello()}) // Recv says what was wrong
	_, err = stream.Recv()
	return err
}

// TestServerWithCertificatesTakesNoOthers: with an identity, a stream without
// TLS is refused also where another server carries it.
func TestServerWithCertificatesTakesNoOthers(t *testing.T) {
	w := newWorld(t)
	h := w.host("n2")
	h.cfg.Identity = identity(t, ourSecret, "n2")
	h.server = transport.NewPeerServer(h.cfg, h.owner)
	h.start()
	refusedWith(t, h, w.raw(h), &peerpb.Frame{Hello: hello()}, codes.PermissionDenied)
}

func TestNamesOfNodes(t *testing.T) {
	for _, name := range []string{"n1", "node-1.zone", "10.0.0.1", "fe80--1", "-x-", "a..b", "1.2.3.4.5",
		"n12345678901234567890123456789012345678901234567890123456789012"} {
		c, err := identity(t, ourSecret, name).ServerTLS().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{name, name + "x", "x"} {
			asks := identity(t, ourSecret, "asker").ClientTLS(other)
			_, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: asks.ServerName, Roots: asks.RootCAs}) // as TLS does
			if err == nil != (other == name) {
				t.Errorf("certificate of %q for %q = %v", name, other, err)
			}
		}
	}
}

func TestSecretThatIsTooShort(t *testing.T) {
	if _, err := transport.NewIdentity(make([]byte, 15), "n1"); err == nil {
		t.Errorf("NewIdentity with a secret of 15 bytes succeeded")
	}
	if _, err := transport.NewIdentity(make([]byte, 16), "n1"); err != nil {
		t.Errorf("NewIdentity with a secret of 16 bytes = %v", err)
	}
	if _, err := transport.NewGivenIdentity(make([]byte, 15), nil); err == nil {
		t.Errorf("NewGivenIdentity with a secret of 15 bytes succeeded")
	}
}

// TestCertificateIsRenewed: nodes run longer than their certificates.
func TestCertificateIsRenewed(t *testing.T) {
	id := identity(t, ourSecret, "n1")
	get := func() []byte {
		t.Helper()
		c, err := id.ServerTLS().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Certificate[0]
	}
	first := get()
	if !bytes.Equal(first, get()) {
		t.Errorf("a fresh certificate was renewed")
	}
	id.Expire()
	if bytes.Equal(first, get()) {
		t.Errorf("an old certificate was not renewed")
	}
}

// A site is an authority that is not derived from a secret. Its nodes' certificates, and its
// own, can be replaced.
type site struct {
	current atomic.Pointer[transport.Proof]
}

// show makes a certificate by which a node with this name is known to those of the secret.
func (s *site) show(t *testing.T, secret, node string) {
	t.Helper()
	cert, err := identity(t, secret, node).ServerTLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.current.Store(&transport.Proof{Certificate: cert, Authorities: identity(t, secret, node).ClientTLS(node).RootCAs})
}

// identity is that of a node which knows the secret of its cluster.
func (s *site) identity(t *testing.T, secret string) *transport.Identity {
	t.Helper()
	return given(t, secret, func() transport.Proof { return *s.current.Load() })
}

func given(t *testing.T, secret string, proof func() transport.Proof) *transport.Identity {
	t.Helper()
	id, err := transport.NewGivenIdentity([]byte(secret), proof)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Certificates that come from elsewhere are held to the same rules, and those of the next
// link are as new as what is given then.
func TestGivenCertificates(t *testing.T) {
	var server, dialer site
	server.show(t, ourSecret, "n2")
	addr, o, end := secured(t, server.identity(t, ourSecret))
	for _, step := range []struct {
		name         string
		secret, node string // of the dialer
		good         bool
	}{
		{"its node", ourSecret, "n1", true},
		{"another authority's", otherSecret, "n1", false},
		{"another node's", ourSecret, "n3", false},
		{"its node again", ourSecret, "n1", true},
	} {
		dialer.show(t, step.secret, step.node)
		if err := askAs(t, dialer.identity(t, ourSecret), "n2", addr); (err == nil) != step.good {
			t.Errorf("a certificate of %s: %v, want it to be good: %v", step.name, err, step.good)
		}
	}
	server.show(t, otherSecret, "n2") // both move on to another authority
	if err := askAs(t, dialer.identity(t, ourSecret), "n2", addr); err == nil {
		t.Error("a node of the old authority is let in by the new one")
	}
	dialer.show(t, otherSecret, "n1")
	if err := askAs(t, dialer.identity(t, ourSecret), "n2", addr); err != nil {
		t.Errorf("after both have moved on: %v", err)
	}
	if s := end(); s.Strangers == 0 || s.Decided+s.Repeated != 3 || o.total() == 0 { // the dialer begins to count anew each time
		t.Errorf("Stats() = %+v, %d decided, want strangers and 3 calls", s, o.total())
	}
}
