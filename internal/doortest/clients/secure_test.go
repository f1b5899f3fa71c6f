// secure_test.go comes over TLS, with a certificate and with a token.

package clients_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// An authority signs certificates for 127.0.0.1.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.make(t, "ca", &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign writes NAME.pem and NAME.key into the authority's folder.
func (a *authority) sign(t *testing.T, name string, serial int64) {
	t.Helper()
	a.make(t, name, &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) make(t *testing.T, name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.Subject = pkix.Name{CommonName: name} // OpenSSL takes one that is called as its issuer for self-signed
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{".key": {Type: "PRIVATE KEY", Bytes: secret}, ".pem": {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(a.file(name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// client is the TLS of a client with its own certificate, if it has a name.
func (a *authority) client(t *testing.T, name string) *tls.Config {
	t.Helper()
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AddCert(a.cert)
	if name != "" {
		own, err := tls.LoadX509KeyPair(a.file(name+".pem"), a.file(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{own}
	}
	return cfg
}

// newToken has the program make a token.
func newToken(t *testing.T, file, id string, flags ...string) string {
	t.Helper()
	cmd := exec.Command(bucketring(t), append([]string{"token", "add", file, id}, flags...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("token add: %v:\n%s", err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// startSecure runs a node that wants a certificate and a token of each caller, and returns
// one of scope take.
func startSecure(t *testing.T, a *authority) (n node, token string) {
	t.Helper()
	a.sign(t, "node", 11)
	a.sign(t, "caller", 12)
	tokens := a.file("tokens.yaml")
	token = newToken(t, tokens, "shop", "--scope", "take")
	if err := os.Mkdir(a.file("policies"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, a.file("policies/edge.yaml"), "domain: edge\ndescriptors:\n  - key: leaf\n    rate_limit: {unit: year, requests_per_unit: 1}\n")
	return startNode(t, "--tls-cert", a.file("node.pem"), "--tls-key", a.file("node.key"), "--tls-client-ca", a.file("ca.pem"),
		"--tokens-file", tokens, "--policies", a.file("policies")), token
}

func TestGoRedisOverTLS(t *testing.T) {
	a := newAuthority(t)
	n, token := startSecure(t, a)
	for protocol := 2; protocol <= 3; protocol++ {
		for name, c := range map[string]struct {
			tls             *tls.Config
			token           string
			incr, del, says string // what errors begin with; "" for none
		}{
			"all it needs":   {tls: a.client(t, "caller"), token: token, del: "NOPERM"},
			"no token":       {tls: a.client(t, "caller"), incr: "NOAUTH", del: "NOAUTH"},
			"a wrong token":  {tls: a.client(t, "caller"), token: "wrong", incr: "WRONGPASS", del: "WRONGPASS"},
			"no certificate": {tls: a.client(t, ""), token: token, incr: "remote error: tls", del: "remote error: tls"},
		} {
			client := redis.NewClient(&redis.Options{
				Addr: n.doors["resp"], Protocol: protocol, TLSConfig: c.tls, Username: "any", Password: c.token, MaxRetries: -1,
			})
			if c.token == "" {
				client.Options().Username = ""
			}
			for what, call := range map[string]struct {
				err  error
				want string
			}{
				"INCR": {client.Incr(t.Context(), "c").Err(), c.incr},
				"DEL":  {client.Del(t.Context(), "c").Err(), c.del},
			} {
				if (call.err == nil) != (call.want == "") || call.err != nil && !strings.HasPrefix(call.err.Error(), call.want) {
					t.Errorf("RESP%d, %s of a client with %s: %v, want %q", protocol, what, name, call.err, call.want)
				}
			}
			_ = client.Close()
		}
	}
}

// Envoy's generated client, as Envoy is set up in docs/envoy.md; the certificate of the node
// is replaced meanwhile.
func TestEnvoyOverTLS(t *testing.T) {
	a := newAuthority(t)
	n, token := startSecure(t, a)
	dial := func(name string) (rls.RateLimitServiceClient, *grpc.ClientConn) {
		conn, err := grpc.NewClient(n.doors["grpc"], grpc.WithTransportCredentials(credentials.NewTLS(a.client(t, name))))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return rls.NewRateLimitServiceClient(conn), conn
	}
	ask := func(c rls.RateLimitServiceClient, token string) (*rls.RateLimitResponse, error) {
		ctx, cancel := context.WithTimeout(t.Context(), slack)
		defer cancel()
		if token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		}
		return c.ShouldRateLimit(ctx, &rls.RateLimitRequest{Domain: "edge", Descriptors: []*ratelimit.RateLimitDescriptor{
			{Entries: []*ratelimit.RateLimitDescriptor_Entry{{Key: "leaf", Value: "a"}}},
		}})
	}
	known, _ := dial("caller")
	unknown, _ := dial("")
	if _, err := ask(unknown, token); status.Code(err) != codes.Unavailable {
		t.Errorf("without a certificate: %v, want UNAVAILABLE", err)
	}
	if _, err := ask(known, ""); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v, want UNAUTHENTICATED", err)
	}
	for i, want := range []rls.RateLimitResponse_Code{rls.RateLimitResponse_OK, rls.RateLimitResponse_OVER_LIMIT} {
		if resp, err := ask(known, token); err != nil || resp.GetOverallCode() != want {
			t.Errorf("call %d = %v, %v, want %v", i+1, resp, err, want)
		}
	}
	a.sign(t, "node", 21)
	for began := time.Now(); serialOf(t, n.doors["grpc"], a.client(t, "caller")) != 21; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > slack {
			t.Fatalf("new connections do not see the new certificate after %v", slack)
		}
	}
	fresh, _ := dial("caller")
	for name, c := range map[string]rls.RateLimitServiceClient{"an old": known, "a new": fresh} {
		if resp, err := ask(c, token); err != nil || resp.GetOverallCode() != rls.RateLimitResponse_OVER_LIMIT {
			t.Errorf("on %s connection: %v, %v, want OVER_LIMIT", name, resp, err)
		}
	}
}

// serialOf is that of the certificate which a new connection sees.
func serialOf(t *testing.T, addr string, cfg *tls.Config) int64 {
	t.Helper()
	cfg.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestGrpcurlOverTLS(t *testing.T) {
	a := newAuthority(t)
	n, token := startSecure(t, a)
	protos := []string{"-import-path", filepath.Join(house, "transport/limitpb"), "-proto", "limit.proto"}
	run := func(flags ...string) string {
		line := append(append([]string{"-cacert", a.file("ca.pem"), "-max-time", "30"}, protos...), flags...)
		line = append(line, "-d", `{"key":"curl","limit":"2/h"}`, n.doors["grpc"], "bucketring.v1.Limiter/Take")
		out, _ := exec.Command(tool(t, "grpcurl"), line...).CombinedOutput() // what it says is looked at
		return string(out)
	}
	certificate := []string{"-cert", a.file("caller.pem"), "-key", a.file("caller.key")}
	for want, out := range map[string]string{
		`"allowed": true`:         run(append(certificate, "-H", "authorization: Bearer "+token)...),
		"Code: Unauthenticated":   run(certificate...),
		"a token is needed: send": run(certificate...),
		"certificate required":    run("-H", "authorization: Bearer "+token),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("grpcurl prints %q, want %q", out, want)
		}
	}
}
