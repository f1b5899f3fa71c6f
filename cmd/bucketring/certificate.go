// certificate.go serves the doors with TLS, by files that may change under it.

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
)

// A tlsConfig names the files of a certificate.
type tlsConfig struct {
	Cert, Key string
	ClientCA  string // of the certificates that clients must show; empty for none
}

// A pair is a certificate with its key, and whom it asks for one in turn.
type pair struct {
	files   tlsConfig
	current atomic.Pointer[loadedPair]
	reading sync.Mutex // held while the files are read
}

// A loadedPair is what the files said when they were read. It does not change.
type loadedPair struct {
	sum     [sha256.Size]byte
	expires time.Time
	door    map[string]*tls.Config // as each door shows it
}

// protocols are what each door speaks over TLS.
var protocols = map[string][]string{
	"http": {"h2", "http/1.1"}, "admin": {"h2", "http/1.1"}, "grpc": {"h2"}, "resp": nil,
}

func openPair(files tlsConfig) (*pair, error) {
	p := &pair{files: files}
	_, err := p.Reload()
	return p, err
}

// Reload reads the files again. After an error what was there before is still shown.
// Connections that exist keep what they were made with.
func (p *pair) Reload() (changed bool, err error) {
	p.reading.Lock()
	defer p.reading.Unlock()
	next, err := p.files.load()
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
		return nil, fmt.Errorf("tls-cert: %w", err)
	}
	key, err := readSecret("tls-key", files.Key)
	if err != nil {
		return nil, err
	}
	own, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("tls-cert %s and tls-key %s do not go together: %w", files.Cert, files.Key, err)
	}
	l := &loadedPair{door: map[string]*tls.Config{}}
	for i, der := range own.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("tls-cert %s: %w", files.Cert, err)
		}
		if i == 0 || c.NotAfter.Before(l.expires) {
			l.expires = c.NotAfter
		}
	}
	var cas []byte
	var pool *x509.CertPool
	if files.ClientCA != "" {
		if pool, cas, err = readCAs("tls-client-ca", files.ClientCA); err != nil {
			return nil, err
		}
	}
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
