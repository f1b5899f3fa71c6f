package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/transport"
)

// A porter is a Guard that lets in whoever shows one token.
type porter string

func (p porter) Admit(ctx context.Context, token string) (context.Context, error) {
	if token != string(p) {
		return nil, bucketring.ErrUnauthenticated
	}
	return ctx, nil
}

func (porter) Known(context.Context) error { return nil }

func (porter) May(_ context.Context, of bucketring.Scope, _ string) error {
	if of == bucketring.ScopeAdjust {
		return bucketring.ErrForbidden
	}
	return nil
}

// guarded starts a node that asks for a token, over TLS if a certificate is given.
func (w *world) guarded(addr, token string, cfg *tls.Config) {
	n := &fake{listener: bufconn.Listen(1 << 20)}
	n.grpc = transport.NewGuarded(transport.ServerConfig{Limiter: decider(n.take), Guard: porter(token), TLS: cfg}).GRPC()
	go n.grpc.Serve(n.listener)
	w.Cleanup(n.grpc.Stop)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[addr] = n
}

// newPair makes a certificate for a name, and what believes it.
func newPair(t *testing.T, name string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func TestTokenIsShown(t *testing.T) {
	for _, unary := range []bool{false, true} {
		w := newWorld(t)
		own, pool := newPair(t, "limits.example")
		w.guarded("limits.example:7751", "secret", own)
		for token, want := range map[string]error{"secret": nil, "other": bucketring.ErrUnauthenticated, "": bucketring.ErrUnauthenticated} {
			c, err := client.Dial(t.Context(), client.Config{
				Addrs: []string{"passthrough:///limits.example:7751"}, Token: token, Unary: unary, Options: dialing(w),
				TLS: &tls.Config{RootCAs: pool, ServerName: "limits.example"},
			})
			if err != nil {
				t.Fatal(err)
			}
			req := bucketring.Request{Key: "k", Limits: perMinute, Cost: 1}
			if _, err := c.Take(t.Context(), req); !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("unary %v, with %q: %v, want %v", unary, token, err, want)
			}
			if req.Verb = bucketring.VerbRefund; token == "secret" {
				if _, err := c.Take(t.Context(), req); !errors.Is(err, bucketring.ErrForbidden) || errors.Is(err, bucketring.ErrUnavailable) {
					t.Errorf("unary %v: a refund without the scope: %v", unary, err)
				}
			}
			c.Close()
		}
	}
}

// A token does not leave the machine in clear unless that was said.
func TestTokenInClear(t *testing.T) {
	for addr, local := range map[string]bool{
		"127.0.0.1:7751": true, "localhost:7751": true, "[::1]:7751": true, "unix:/run/limits.sock": true, "dns:///localhost:7751": true,
		"10.0.0.1:7751": false, "limits.example:7751": false, "dns:///limits.example:7751": false, "localhost.example:7751": false,
		"dns:limits.example:7751": false, "limits.example": false,
	} {
		cfg := client.Config{Addrs: []string{addr}, Token: "secret"}
		c, err := client.Dial(t.Context(), cfg)
		if (err == nil) != local || err != nil && (strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "TokenInClear")) {
			t.Errorf("a token to %s in clear: %v, want it to be sent: %v", addr, err, local)
		}
		if err == nil {
			c.Close()
		}
		cfg.TokenInClear = true
		if c, err = client.Dial(t.Context(), cfg); err != nil {
			t.Errorf("a token to %s in clear although that is wanted: %v", addr, err)
			continue
		}
		c.Close()
	}
}

func (porter) Hide(_ context.Context, leases []string, reservation string) ([]string, string) {
	return leases, reservation
}

func (porter) Reveal(_ context.Context, ids []string) ([]string, error) {
	return ids, nil
}
