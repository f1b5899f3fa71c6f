// identity.go mints the certificates of nodes from the cluster's secret.

package transport

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

const (
	leafLife  = 24 * time.Hour
	leafSlack = time.Hour // certificates begin this much earlier, for clocks that differ
)

// An Identity proves to peers which node this is. Whoever has the cluster's
// secret has the key of its certificate authority: all nodes derive the same one
// and mint their own short-lived certificates, so no file is passed around. Sites that have
// authorities of their own give certificates instead; that they know the secret, nodes
// prove apart from them.
type Identity struct {
	given  func() Proof // nil for one that mints
	secret []byte       // of one that is given: makes claims

	node string
	ca   *x509.Certificate
	key  ed25519.PrivateKey
	pool *x509.CertPool

	mu   sync.Mutex
	leaf *tls.Certificate // guarded by mu; renewed at half its life
}

// NewIdentity derives the identity of a node from the cluster's secret, which
// has at least 16 bytes.
func NewIdentity(secret []byte, node string) (*Identity, error) {
	if len(secret) < 16 {
		return nil, fmt.Errorf("transport: cluster secret has %d bytes, at least 16 are needed", len(secret))
	}
	seed, err := hkdf.Key(sha256.New, secret, nil, "bucketring peer certificate authority 1", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("transport: derive certificate authority: %w", err)
	}
	id := &Identity{node: node, key: ed25519.NewKeyFromSeed(seed), pool: x509.NewCertPool()}
	if id.ca, err = authority(id.key); err != nil {
		return nil, fmt.Errorf("transport: make certificate authority: %w", err)
	}
	id.pool.AddCert(id.ca)
	if _, err := id.certificate(); err != nil {
		return nil, err
	}
	return id, nil
}

// A Proof is a node's certificate, with its key, whose names have that of the node, and the
// authorities of all nodes.
type Proof struct {
	Certificate *tls.Certificate
	Authorities *x509.CertPool
}

// NewGivenIdentity returns the identity of a node whose certificate comes from elsewhere.
// given is asked at each handshake, from many goroutines, so certificates can be replaced:
// links that are there go on. secret, at least 16 bytes that all nodes and nobody else have,
// is for this use alone: certificates of the same authorities are not enough to be a node.
func NewGivenIdentity(secret []byte, given func() Proof) (*Identity, error) {
	if len(secret) < 16 {
		return nil, fmt.Errorf("transport: secret for given certificates has %d bytes, at least 16 are needed", len(secret))
	}
	return &Identity{given: given, secret: secret}, nil
}

// authorities are those whose certificates are believed now.
func (id *Identity) authorities() *x509.CertPool {
	if id.given != nil {
		return id.given().Authorities
	}
	return id.pool
}

// authority makes the same certificate on every node: Ed25519 signatures have
// no randomness.
func authority(key ed25519.PrivateKey) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bucketring cluster"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// certificate returns the node's certificate, a new one when it is half over.
func (id *Identity) certificate() (*tls.Certificate, error) {
	if id.given != nil {
		return id.given().Certificate, nil
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.leaf != nil && time.Until(id.leaf.Leaf.NotAfter) > leafLife/2 {
		return id.leaf, nil
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("transport: make key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("transport: make serial number: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: id.node}, DNSNames: []string{id.node},
		NotBefore: now.Add(-leafSlack), NotAfter: now.Add(leafLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(id.node); ip != nil { // a name that looks like an address is compared as one
		template.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, id.ca, public, id.key)
	if err != nil {
		return nil, fmt.Errorf("transport: mint certificate of %s: %w", id.node, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("transport: mint certificate of %s: %w", id.node, err)
	}
	id.leaf = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
	return id.leaf, nil
}

// server is the TLS configuration of the peer listener: only nodes get in.
func (id *Identity) server() *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: id.authorities(),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.certificate() },
	}
	if id.given == nil {
		return cfg
	}
	listener := cfg.Clone()
	listener.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := cfg.Clone()
		now.ClientCAs, now.NextProtos, now.SessionTicketsDisabled = id.authorities(), []string{"h2"}, true
		return now, nil
	}
	return listener
}

// client is the TLS configuration for dialing the node named peer, for one session, and what
// proves to it that this node knows the secret. Both are of the same certificate, also when
// it is replaced meanwhile; there is no claim where the certificate is proof enough.
func (id *Identity) client(peer string) (*tls.Config, claim) {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: id.pool, ServerName: peer,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.certificate() },
		VerifyConnection: func(state tls.ConnectionState) error {
			if !NamesNode(state.PeerCertificates[0], peer) {
				return fmt.Errorf("transport: certificate is not that of node %q", peer)
			}
			return nil
		},
	}
	if id.given == nil {
		return cfg, ""
	}
	now := id.given()
	cfg.RootCAs = now.Authorities
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return now.Certificate, nil }
	return cfg, id.claim(now.Certificate.Certificate[0])
}
