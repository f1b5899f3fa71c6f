// proofs.go keeps what proves who somebody is as new as its files: tokens of callers, and
// the certificate of this node. A bad file never replaces a good one.

package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/access"
	"github.com/bucketring/bucketring/internal/metrics"
	"github.com/bucketring/bucketring/node/member"
	"github.com/bucketring/bucketring/transport"
)

const (
	// lookEvery is how often it is looked whether a file is another one. Asking for that
	// costs so little that no events are needed, which some file systems do not have.
	lookEvery = time.Second
	// readEvery is how often files are read in any case: a net for what no time shows.
	readEvery = 30 * time.Second
)

// proofs are those of one node. The zero value has none.
type proofs struct {
	tokens *access.Tokens // nil lets everybody in
	pair   *pair          // nil serves in clear
	peers  *pair          // nil for certificates that are minted from the cluster's secret
	log    *slog.Logger

	each []*proof
	mu   sync.Mutex // held to load them and to look what became of it
}

// A proof is what some files hold.
type proof struct {
	what   string
	files  []string
	reload func() (changed bool, err error)
	stamp  string // of the files when they were read
	wrong  string // with the last reading; empty for nothing
}

// openProofs reads what the settings name, and has keys prove by it who this node is.
func openProofs(cfg *config, keys *member.Keys, log *slog.Logger) (*proofs, error) {
	p := &proofs{log: log}
	var err error
	if cfg.TokensFile != "" {
		secret, err := keys.Derive("bucketring ids of tenants 1")
		if err != nil {
			return nil, err
		}
		if p.tokens, err = access.Open(cfg.TokensFile, secret); err != nil {
			return nil, err
		}
		p.add("tokens", p.tokens.Reload, cfg.TokensFile)
	}
	if cfg.TLS.Cert != "" {
		if p.pair, err = openPair(cfg.TLS, ""); err != nil {
			return nil, err
		}
		p.add("certificate", p.pair.Reload, cfg.TLS.Cert, cfg.TLS.Key, cfg.TLS.CA)
	}
	if cfg.PeerTLS.Cert != "" {
		if p.peers, err = openPair(cfg.PeerTLS, cfg.NodeName); err != nil {
			return nil, err
		}
		secret, err := keys.Derive("bucketring proofs of peers 1")
		if err != nil {
			return nil, err
		}
		if keys.Own, err = transport.NewGivenIdentity(secret, p.peers.proof); err != nil {
			return nil, err
		}
		p.add("peer_certificate", p.peers.Reload, cfg.PeerTLS.Cert, cfg.PeerTLS.Key, cfg.PeerTLS.CA)
	}
	return p, nil
}

func (p *proofs) add(what string, reload func() (bool, error), files ...string) {
	p.each = append(p.each, &proof{what: what, files: files, reload: reload, stamp: stampOf(files)})
}

// guard is nil if nobody needs a token.
func (p *proofs) guard() bucketring.Guard {
	if p.tokens == nil {
		return nil
	}
	return p.tokens
}

// door is the TLS of a door; nil to serve in clear.
func (p *proofs) door(name string) *tls.Config {
	if p.pair == nil {
		return nil
	}
	return p.pair.door(name)
}

// any reports whether there is anything to load.
func (p *proofs) any() bool { return len(p.each) > 0 }

// run looks at the files until ctx is done.
func (p *proofs) run(ctx context.Context) error {
	if len(p.each) == 0 {
		return nil
	}
	look, read := time.NewTicker(lookEvery), time.NewTicker(readEvery)
	defer look.Stop()
	defer read.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			_ = p.load(false) // what is wrong is logged
		case <-read.C:
			_ = p.load(true)
		}
	}
}

// Reload reads all files again. The error has a line for each thing that is wrong.
func (p *proofs) Reload() error { return p.load(true) }

// load reads files that are not the same any more, or all.
func (p *proofs) load(all bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var wrong []string
	for _, one := range p.each {
		stamp := stampOf(one.files)
		if !all && stamp == one.stamp {
			continue
		}
		one.stamp = stamp
		changed, err := one.reload()
		was := one.wrong
		one.wrong = ""
		if err != nil {
			one.wrong = err.Error()
			wrong = append(wrong, one.wrong)
		}
		switch {
		case err != nil && one.wrong != was: // said once, as it is read again and again
			p.log.Error("not loaded: the one before stays in force", "what", one.what, "err", one.wrong)
		case changed, err == nil && was != "":
			p.log.Info("loaded", "what", one.what)
		}
	}
	if wrong == nil {
		return nil
	}
	return bucketring.Invalidf("%s", strings.Join(wrong, "\n"))
}

// stampOf differs when files are replaced or written.
func stampOf(files []string) string {
	var b strings.Builder
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			b.WriteString(info.ModTime().Format(time.RFC3339Nano) + " " + info.Mode().String() + " ")
			b.WriteString(strconv.FormatInt(info.Size(), 10))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// stats are the figures for metrics.
func (p *proofs) stats() metrics.Proofs {
	s := metrics.Proofs{Loaded: map[string]bool{}, Expires: map[string]time.Time{}}
	p.mu.Lock()
	for _, one := range p.each {
		s.Loaded[one.what] = one.wrong == ""
	}
	p.mu.Unlock()
	if p.pair != nil {
		s.Expires["callers"] = p.pair.expires()
	}
	if p.peers != nil {
		s.Expires["peers"] = p.peers.expires()
	}
	if p.tokens != nil {
		s.Strangers, s.Forbidden = p.tokens.Refused()
	}
	return s
}
