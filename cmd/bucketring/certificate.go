// certificate.go shows certificates to callers and to other nodes, by files that may change
// under it.

package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring/transport"
)

// A tlsConfig names the files of a certificate, and says what its settings are called.
type tlsConfig struct {
	Cert, Key, CA string // CA is of the certificates that the others must show; empty for none
	settings      [3]string
}

// A pair is a certificate with its key, and whom it asks for one in turn.
type pair struct {
	files   tlsConfig
	node    string // that the certificate must name; empty for any
	current atomic.Pointer[loadedPair]
	reading sync.Mutex // held while the files are read
}

// A loadedPair is what the files said when they were read. It does not change.
type loadedPair struct {
	sum     [sha256.Size]byte
	expires time.Time
	door    map[string]*tls.Config // as each door shows it
	proof   transport.Proof        // as other nodes see it
}

// protocols are what each door speaks over TLS.
var protocols = map[string][]string{
	"http": {"h2", "http/1.1"}, "admin": {"h2", "http/1.1"}, "grpc": {"h2"}, "resp": nil,
}

// openPair reads the files for the first time. node is whom the certificate must name to
// other nodes; it is empty for one that callers see.
func openPair(files tlsConfig, node string) (*pair, error) {
	p := &pair{files: files, node: node}
	_, err := p.Reload()
	return p, err
}

// Reload reads the files again. After an error what was there before is still shown.
// Connections that exist keep what they were made with.
func (p *pair) Reload() (changed bool, err error) {
	p.reading.Lock()
	defer p.reading.Unlock()
	next, err := p.files.load()
	if err == nil && p.node != "" {
		err = p.files.isOf(p.node, next.proof)
	}
	if err != nil {
		return false, err
	}
	if now := p.current.Load(); now != nil && now.sum == next.sum {
		return false, nil
	}
	p.current.Store(next)
	return true, nil
}

// expires is when the certificate does, or the first of those behind it.
func (p *pair) expires() time.Time { return p.current.Load().expires }

// door returns the configuration of a door, which follows the files.
func (p *pair) door(name string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols[name],
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return p.current.Load().door[name], nil },
	}
}

// load reads the files of a certificate.
func (files tlsConfig) load() (*loadedPair, error) {
	cert, err := os.ReadFile(files.Cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", files.settings[0], err)
	}
	key, err := readSecret(files.settings[1], files.Key)
	if err != nil {
		return nil, err
	}
	own, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s %s and %s %s do not go together: %w", files.settings[0], files.Cert, files.settings[1], files.Key, err)
	}
	l := &loadedPair{door: map[string]*tls.Config{}}
	for i, der := range own.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", files.settings[0], files.Cert, err)
		}
		if i == 0 || c.NotAfter.Before(l.expires) {
			l.expires = c.NotAfter
		}
	}
	var cas []byte
	var pool *x509.CertPool
	if files.CA != "" {
		if pool, cas, err = readCAs(files.settings[2], files.CA); err != nil {
			return nil, err
		}
	}
	l.proof = transport.Proof{Certificate: &own, Authorities: pool}
	for name, speaks := range protocols {
		c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: speaks, Certificates: []tls.Certificate{own}}
		if pool != nil {
			c.ClientCAs, c.ClientAuth = pool, tls.RequireAndVerifyClientCert
			if name == "admin" { // probes show none
				c.ClientAuth = tls.VerifyClientCertIfGiven
			}
		}
		l.door[name] = c
	}
	l.sum = sha256.Sum256(bytes.Join([][]byte{cert, key, cas}, []byte{0}))
	return l, nil
}

// proof returns what other nodes are shown now.
func (p *pair) proof() transport.Proof { return p.current.Load().proof }

// isOf reports whether a certificate proves that this is a node, to those that it dials and to
// those that dial it.
func (files tlsConfig) isOf(node string, now transport.Proof) error {
	leaf, err := x509.ParseCertificate(now.Certificate.Certificate[0])
	if err != nil {
		return err
	}
	if !transport.NamesNode(leaf, node) {
		return fmt.Errorf("%s %s is of no use to node %s: it needs the node's name among its DNS names, and a wildcard is none", files.settings[0], files.Cert, node)
	}
	between := x509.NewCertPool()
	for _, der := range now.Certificate.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: node, Roots: now.Authorities, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{use}})
		if err != nil {
			return fmt.Errorf("%s %s is of no use to node %s: %w: it needs the node's name among its DNS names, and both uses, server and client", files.settings[0], files.Cert, node, err)
		}
	}
	return nil
}

// readSecret reads a file that others must not read.
func readSecret(setting, name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s %s can be read by others: run: chmod o= %s", setting, name, name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return text, nil
}

var errNoCA = errors.New("it has no certificate in PEM, such as -----BEGIN CERTIFICATE-----")

// readCAs reads authorities whose certificates are believed.
func readCAs(setting, name string) (*x509.CertPool, []byte, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", setting, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, nil, fmt.Errorf("%s %s: %w", setting, name, errNoCA)
	}
	return pool, text, nil
}
