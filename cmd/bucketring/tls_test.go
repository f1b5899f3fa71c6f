// tls_test.go looks at the certificates of the doors, and at those of callers.

package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpctls "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/internal/access"
	"github.com/bucketring/bucketring/transport/limitpb"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// A testCA signs certificates.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCA(t *testing.T) *testCA {
	t.Helper()
	ca := &testCA{key: newKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ca.key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, ca.file, "CERTIFICATE", der, 0o644)
	return ca
}

func writePEM(t *testing.T, name, kind string, der []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		t.Fatal(err)
	}
}

// sign writes a certificate for 127.0.0.1, and for names, and its key into a folder, over those that are
// there: first the key, so that for a moment they do not go together.
func (ca *testCA) sign(t *testing.T, dir string, serial int64, until time.Time, names ...string) (cert, key string) {
	t.Helper()
	own := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, own.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, key, "PRIVATE KEY", secret, 0o600)
	writePEM(t, cert, "CERTIFICATE", der, 0o644)
	return cert, key
}

// believing is the TLS of a client that believes the authority, and shows a pair, if there
// is one.
func (ca *testCA) believing(t *testing.T, pair ...string) *tls.Config {
	t.Helper()
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AddCert(ca.cert)
	if len(pair) == 2 {
		own, err := tls.LoadX509KeyPair(pair[0], pair[1])
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{own}
	}
	return cfg
}

// webOver is an HTTP client with its own connections.
func webOver(t *testing.T, cfg *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: slack}
}

// secureDoors are those that have a certificate.
var secureDoors = []string{"http", "grpc", "admin", "resp"}

// serialAt returns that of the certificate which a door shows to a new connection.
func serialAt(t *testing.T, addr string, cfg *tls.Config) int64 {
	t.Helper()
	cfg = cfg.Clone()
	cfg.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatalf("TLS to %s: %v", addr, err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// oldConnections are one for each door of callers, made when it had its first certificate.
type oldConnections struct {
	web     net.Conn
	replies *bufio.Reader
	redis   *respConn
	stream  limitpb.Limiter_TakeStreamClient
}

func connectAll(t *testing.T, n *testNode, cfg *tls.Config) *oldConnections {
	t.Helper()
	web, err := (&tls.Dialer{Config: cfg}).DialContext(t.Context(), "tcp", n.at("http"))
	if err != nil {
		t.Fatal(err)
	}
	redis, err := dialRESP(t.Context(), n.at("resp"), credentials{tls: cfg})
	if err != nil {
		t.Fatal(err)
	}
	redis.tail = respWords("999", "1000", "60")
	t.Cleanup(func() {
		web.Close()
		redis.conn.Close()
	})
	stream, err := limitpb.NewLimiterClient(dialSecure(t, n.at("grpc"), cfg)).TakeStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &oldConnections{web, bufio.NewReader(web), redis, stream}
}

// goOn makes a call on each.
func (o *oldConnections) goOn(t *testing.T, when string) {
	t.Helper()
	fmt.Fprint(o.web, "GET /v1/take?key=k&limit=99/m HTTP/1.1\r\nHost: limits\r\n\r\n")
	resp, err := http.ReadResponse(o.replies, nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: an old connection over HTTP: %v, %v", when, resp, err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if _, err := o.redis.throttle(t.Context(), "k"); err != nil {
		t.Errorf("%s: an old connection of Redis: %v", when, err)
	}
	_ = o.stream.Send(&limitpb.StreamRequest{Id: 1, Request: &limitpb.TakeRequest{Key: "k", Limit: "9/m"}}) // Recv says why it fails
	if _, err := o.stream.Recv(); err != nil {
		t.Errorf("%s: an old stream: %v", when, err)
	}
}

// A certificate is replaced while the doors are open: old connections go on, and new ones
// see the new one. Files that do not go together change nothing.
func TestCertificateReloadsLive(t *testing.T) {
	t.Parallel()
	ca, dir := newCA(t), t.TempDir()
	cert, key := ca.sign(t, dir, 101, time.Now().Add(time.Hour))
	n := startNode(t, "n1", "--tls-cert", cert, "--tls-key", key, "--listen-resp", "127.0.0.1:0")
	believing := ca.believing(t)
	old := connectAll(t, n, believing)
	old.goOn(t, "at first")
	shows := func(serial int64) func() bool {
		return func() bool {
			for _, door := range secureDoors {
				if serialAt(t, n.at(door), believing) != serial {
					return false
				}
			}
			return true
		}
	}
	if !shows(101)() {
		t.Fatal("a door does not show the first certificate")
	}
	until := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	ca.sign(t, dir, 102, until)
	eventually(t, "all doors show the new certificate", shows(102))
	old.goOn(t, "after that")

	if err := os.WriteFile(cert, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	admin := webOver(t, believing)
	metricAs := func(line string) func() bool {
		return func() bool {
			_, page := getAs(t, admin, "https://"+n.at("admin")+"/metrics", "")
			return strings.Contains(page, line+"\n")
		}
	}
	eventually(t, "a bad file shows in the metrics", metricAs(`bucketring_proof_reload_success{what="certificate"} 0`))
	if !shows(102)() || !metricAs(fmt.Sprintf("bucketring_tls_certificate_expiry_timestamp_seconds{shown_to=\"callers\"} %v", float64(until.Unix())))() {
		t.Error("a bad file has replaced a good one")
	}
	old.goOn(t, "beside a bad file")
}

func dialSecure(t *testing.T, addr string, cfg *tls.Config) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(grpctls.NewTLS(cfg)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// What a client without a good certificate, or with an old TLS, is told is nothing: all
// doors but that of probes end the handshake, or the connection right after it.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ca, stranger := newCA(t), newCA(t)
	cert, key := ca.sign(t, t.TempDir(), 1, time.Now().Add(time.Hour))
	n := startNode(t, "n1", "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ca.file, "--listen-resp", "127.0.0.1:0")
	own, ownKey := ca.sign(t, t.TempDir(), 2, time.Now().Add(time.Hour))
	other, otherKey := stranger.sign(t, t.TempDir(), 3, time.Now().Add(time.Hour))
	old := ca.believing(t, own, ownKey)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for name, c := range map[string]struct {
		tls                 *tls.Config
		takes, probes, none bool
	}{
		"its certificate":     {tls: ca.believing(t, own, ownKey), takes: true, probes: true},
		"no certificate":      {tls: ca.believing(t), probes: true},
		"another authority's": {tls: ca.believing(t, other, otherKey)},
		"an old TLS":          {tls: old},
		"no TLS":              {},
	} {
		calls := map[string]error{}
		_, calls["grpc"] = takeSecure(t, n.at("grpc"), c.tls)
		redis, err := dialRESP(t.Context(), n.at("resp"), credentials{tls: c.tls})
		if err == nil {
			redis.tail = respWords("9", "10", "60")
			_, err = redis.throttle(t.Context(), name)
			redis.conn.Close()
		}
		calls["resp"] = err
		scheme := "https://"
		if c.tls == nil {
			scheme = "http://"
		}
		web := webOver(t, c.tls)
		calls["http"] = getOK(t, web, scheme+n.at("http")+"/v1/take?key=k&limit=9/m")
		for door, err := range calls {
			if (err == nil) != c.takes {
				t.Errorf("%s with %s: %v, want it to pass: %v", door, name, err, c.takes)
			}
		}
		if err := getOK(t, web, scheme+n.at("admin")+"/livez"); (err == nil) != c.probes {
			t.Errorf("a probe with %s: %v, want it to pass: %v", name, err, c.probes)
		}
	}
	// What watches a container knows its node by the certificate alone.
	cmd := exec.Command("bucketring", "health", "--addr", n.at("admin"))
	cmd.Env = childEnv("BUCKETRING_TLS_CERT=" + cert)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("health: %v: %s", err, out)
	}
}

func takeSecure(t *testing.T, addr string, cfg *tls.Config) (bucketring.Decision, error) {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Config{Addrs: []string{addr}, TLS: cfg, Unary: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Take(t.Context(), bucketring.Request{Key: "k", Limits: bucketring.MustParse("9/m"), Cost: 1})
}

func getOK(t *testing.T, web *http.Client, url string) error {
	t.Helper()
	resp, err := web.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// Programs that are not ours come over TLS with a token, and with a certificate of theirs.
func TestProgramsOverTLS(t *testing.T) {
	t.Parallel()
	ca, path := newCA(t), filepath.Join(t.TempDir(), "tokens.yaml")
	cert, key := ca.sign(t, t.TempDir(), 1, time.Now().Add(time.Hour))
	own, ownKey := ca.sign(t, t.TempDir(), 2, time.Now().Add(time.Hour))
	token := addToken(t, path, access.Grant{ID: "shop", Scopes: bucketring.ScopeTake})
	n := startNode(t, "n1", "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ca.file, "--tokens-file", path, "--listen-resp", "127.0.0.1:0")
	host, port, _ := strings.Cut(n.at("resp"), ":")
	redis := []string{"--tls", "--cacert", ca.file, "--cert", own, "--key", ownKey, "--no-auth-warning", "-h", host, "-p", port}
	web := []string{"-sS", "--cacert", ca.file, "--cert", own, "--key", ownKey, "-w", " %{http_code} %{http_version}", "-o", os.DevNull, "https://" + n.at("http") + "/v1/take?key=k&limit=9/m"}
	files := []string{"--tls-ca", ca.file, "--tls-cert", own, "--tls-key", ownKey, "--token-file", tokenFile(t, token)}
	for _, c := range []struct {
		argv []string
		want string
	}{
		{append([]string{"redis-cli", "-a", token}, append(redis, "CL.THROTTLE", "cli", "2", "3", "60")...), "0\n3\n2\n-1\n20"},
		{append([]string{"redis-cli", "-a", token, "--user", "any", "-3"}, append(redis, "GET", "nothing")...), ""},
		{append([]string{"redis-cli", "-a", token}, append(redis, "DEL", "cli")...), "NOPERM"},
		{append([]string{"redis-cli"}, append(redis, "PING")...), "NOAUTH Authentication required."},
		{append([]string{"curl", "-H", "Authorization: Bearer " + token}, web...), "200 2"},
		{append([]string{"curl", "--http1.1", "-H", "X-Bucketring-Token: " + token}, web...), "200 1.1"},
		{append([]string{"curl", "-H", "Authorization: Bearer x"}, web...), "401 2"},
		{append([]string{"bucketring", "take", "cli", "2/h", "--addr", n.at("http")}, files...), "allowed: 1 of 2"},
		{append([]string{"bucketring", "bench", "--duration", "200ms", "--warm-up", "0s", "--rate", "50", "--addr", n.at("grpc")}, files...), "over-admitted 0"},
		{append([]string{"bucketring", "bench", "--door", "http", "--duration", "200ms", "--warm-up", "0s", "--rate", "50", "--addr", n.at("http")}, files...), "over-admitted 0"},
		{append([]string{"bucketring", "bench", "--door", "resp", "--duration", "200ms", "--warm-up", "0s", "--rate", "50", "--addr", n.at("resp")}, files...), "over-admitted 0"},
	} {
		if _, err := exec.LookPath(c.argv[0]); err != nil {
			t.Logf("skipped: %s is not here: apt-get install redis-tools curl", c.argv[0])
			continue
		}
		cmd := exec.Command(c.argv[0], c.argv[1:]...)
		cmd.Env = childEnv()
		out, _ := cmd.CombinedOutput() // what it says is looked at
		if got := strings.TrimSpace(string(out)); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%q = %q, want %q", c.argv, got, c.want)
		}
	}
	if strings.Contains(n.log(), token) {
		t.Error("the log has the token")
	}
}

// Nodes prove who they are by certificates of a site's own authority, which are replaced
// while they run. Whoever has the key file alone is a stranger then.
func TestPeerCertificatesOfASite(t *testing.T) {
	t.Parallel()
	ca, keyFile := newCA(t), newKeyFile(t)
	shared := []string{"--key-file", keyFile, "--cluster-label", "site", "--forward-budget", "5s"}
	var nodes []*testNode
	dirs := map[string]string{}
	for _, name := range []string{"n1", "n2"} {
		dirs[name] = t.TempDir()
		cert, key := ca.sign(t, dirs[name], 1, time.Now().Add(time.Hour), name)
		args := append([]string{"--tls-peer-cert", cert, "--tls-peer-key", key, "--tls-peer-ca", ca.file}, shared...)
		if len(nodes) > 0 {
			args = append(args, "--cluster-join", nodes[0].at("gossip"))
		}
		nodes = append(nodes, startNode(t, name, args...))
	}
	awaitOneRing(t, slack, nodes...)
	spend := func(key string) {
		t.Helper()
		for i := range 4 { // two at each node, of which one has the key
			code, body := getAs(t, nodes[0].web.client, nodes[i%2].web.base+"/v1/take?limit=3/d&key="+key, "")
			if want := map[bool]int{true: 200, false: 429}[i < 3]; code != want || strings.Contains(body, `"degraded":true`) {
				t.Errorf("call %d of %s: %d %s, want %d, not degraded", i+1, key, code, body, want)
			}
		}
	}
	spend("before")
	until := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	for name, dir := range dirs {
		ca.sign(t, dir, 2, until, name)
	}
	for _, n := range nodes {
		eventually(t, n.name+" has its new certificate", func() bool {
			_, page := n.admin().get(t, "/metrics")
			return strings.Contains(page, fmt.Sprintf("bucketring_tls_certificate_expiry_timestamp_seconds{shown_to=\"peers\"} %v\n", float64(until.Unix())))
		})
	}
	spend("after")
	start(t, append(append(serveCommandLine("n3"), "--cluster-join", nodes[0].at("gossip")), shared...)...) // it is not ready for long
	eventually(t, "a node without a certificate of the authority is refused", func() bool {
		return metric(t, nodes[0], "bucketring_peer_refused_total")+metric(t, nodes[1], "bucketring_peer_refused_total") > 0
	})
	for _, named := range []string{"shop", "n2"} { // also one that a node could have
		cert, key := ca.sign(t, t.TempDir(), 3, until, named)
		wantNoPeer(t, nodes[0], ca.believing(t, cert, key))
	}
	for _, other := range []string{"n4.zone", "*.zone"} {
		cert, key := ca.sign(t, t.TempDir(), 4, until, other)
		out, err := exec.Command("bucketring", append([]string{"config", "check", "--node-name", "n5.zone", "--tls-peer-cert", cert, "--tls-peer-key", key, "--tls-peer-ca", ca.file}, shared...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "is of no use to node n5.zone") {
			t.Errorf("a certificate of %s: %v: %s", other, err, out)
		}
	}
}

// A key file that cannot be read is one problem, not another one of the certificate too.
func TestPeerCertificateWithoutItsKeyFile(t *testing.T) {
	t.Parallel()
	ca, missing := newCA(t), filepath.Join(t.TempDir(), "missing.key")
	cert, key := ca.sign(t, t.TempDir(), 1, time.Now().Add(time.Hour), "n1")
	out, err := exec.Command("bucketring", "config", "check", "--node-name", "n1", "--tls-peer-cert", cert, "--tls-peer-key", key, "--tls-peer-ca", ca.file, "--key-file", missing).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "missing.key does not exist") || strings.Contains(string(out), "bytes") {
		t.Errorf("config check: %v: %s, want the missing file alone", err, out)
	}
}

// wantNoPeer brings a notice to a node, as somebody with a good certificate and without the
// cluster's secret.
func wantNoPeer(t *testing.T, n *testNode, cfg *tls.Config) {
	t.Helper()
	cfg.ServerName = n.name
	conn, err := grpc.NewClient(n.at("peer"), grpc.WithTransportCredentials(grpctls.NewTLS(cfg)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := peerpb.NewPeerClient(conn).Tell(t.Context())
	if err == nil {
		_ = stream.Send(&peerpb.Piece{Kind: "forget", Name: "n2", Last: true}) // the answer says what was wrong
		_, err = stream.CloseAndRecv()
	}
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("Tell = %v, want %v", err, codes.PermissionDenied)
	}
}
