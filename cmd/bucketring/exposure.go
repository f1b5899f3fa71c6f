// exposure.go says which listeners strangers may reach, and what they could do there.

package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bucketring/bucketring/internal/access"
	"github.com/bucketring/bucketring/node/member"
)

// exposed reports whether others than this machine reach an address.
func exposed(addr string) bool { return addr != "" && !member.IsLoopback(addr) }

const (
	cureTokens = `make tokens with "bucketring token add FILE ID --scope take" and give the file with --tokens-file`
	cureKeys   = `make a key file with "bucketring keyring init FILE" and give it with --key-file`
)

// checkExposure refuses listeners that strangers could reach. --insecure lifts what is
// about counts; profiles, and Redis clients' tokens in clear, it does not.
func checkExposure(cfg *config) error {
	at := &cfg.Listen
	switch {
	case exposed(at.Admin) && cfg.TokensFile == "":
		return fmt.Errorf("--listen-admin %s can be reached by strangers, who could read profiles and change policies: bind it to 127.0.0.1, or %s",
			at.Admin, strings.Replace(cureTokens, "take", "admin", 1))
	case exposed(at.RESP) && (cfg.TokensFile == "" || cfg.TLS.Cert == ""):
		return fmt.Errorf("--listen-resp %s can be reached by strangers: bind it to 127.0.0.1, or %s, and a certificate with --tls-cert and --tls-key",
			at.RESP, cureTokens)
	case cfg.Gubernator.Skew < 0 && (exposed(at.HTTP) || exposed(at.GRPC)):
		return errors.New("--gubernator-max-clock-skew unlimited lets callers choose their time: it is for tests on 127.0.0.1 alone")
	case cfg.Insecure:
		return nil
	}
	if open := withoutKeys(cfg); len(open) > 0 {
		cure := cureKeys
		if at.Gossip == "" {
			cure = cureTokens
		}
		return fmt.Errorf("%s can be reached by strangers: %s, or accept the risk with --insecure", strings.Join(open, ", "), cure)
	}
	if len(cfg.Cluster.Join) > 0 && cfg.Cluster.Label == "" {
		return errors.New("--cluster-join needs --cluster-label: clusters without a label merge when they meet")
	}
	return nil
}

// withoutKeys lists listeners that are open without what must keep strangers out: secrets
// of the cluster, or tokens for a node that stays alone.
func withoutKeys(cfg *config) (open []string) {
	if cfg.KeyFile != "" || cfg.Listen.Gossip == "" && cfg.TokensFile != "" {
		return nil
	}
	for _, door := range []struct{ name, addr string }{
		{"http", cfg.Listen.HTTP}, {"grpc", cfg.Listen.GRPC}, {"gossip", cfg.Listen.Gossip}, {"peer", cfg.Listen.Peer},
	} {
		if exposed(door.addr) {
			open = append(open, "--listen-"+door.name+" "+door.addr)
		}
	}
	return open
}

// A posture is what a configuration opens to whom.
type posture struct {
	Listeners []listener    `json:"listeners"`
	KeyFile   string        `json:"key_file"` // empty for no secrets
	Tokens    []tokenRow    `json:"tokens"`
	Policies  []policyFound `json:"policies"`
	Risks     []string      `json:"risks"`
}

type listener struct {
	Door string `json:"door"`
	Addr string `json:"addr"`
	// Loopback says that only this machine reaches it.
	Loopback bool   `json:"loopback"`
	TLS      string `json:"tls"`
	Proof    string `json:"proof"`
}

// postureOf describes a configuration that was checked, with what its files hold.
func postureOf(cfg *config, f files, now time.Time) posture {
	p := f.proofs
	v := posture{Listeners: listenersIn(cfg), KeyFile: cfg.KeyFile, Tokens: []tokenRow{}, Policies: policiesIn(f.policies), Risks: []string{}}
	var grants []*access.Grant
	if p.tokens != nil {
		grants = p.tokens.Grants()
		v.Tokens = tokenRows(grants, now)
	}
	risk := func(when bool, format string, args ...any) {
		if when {
			v.Risks = append(v.Risks, fmt.Sprintf(format, args...))
		}
	}
	risk(cfg.Policies != "" && len(v.Policies) == 0, "no policy found in %s", cfg.Policies)
	risk(cfg.LogKeys, "--log-keys: keys of callers stand in the log")
	risk(cfg.Insecure, "--insecure: whoever reaches gossip and peer listeners is trusted")
	for _, door := range []struct{ name, addr string }{{"http", cfg.Listen.HTTP}, {"grpc", cfg.Listen.GRPC}} {
		risk(exposed(door.addr) && p.tokens == nil && cfg.TLS.CA == "", "whoever reaches the %s listener may take, refund and reset", door.name)
		risk(exposed(door.addr) && p.tokens != nil && p.pair == nil, "tokens cross the network in clear to the %s listener", door.name)
	}
	risk(exposed(cfg.Listen.Admin) && p.pair == nil, "tokens cross the network in clear to the admin listener")
	for _, g := range grants {
		risk(g.ID == access.Anonymous, "callers without a token have the scopes %s", strings.Join(g.Scopes.Names(), ", "))
		risk(!g.Expires.IsZero() && !now.Before(g.Expires), "token %s has expired", g.ID)
	}
	for to, pair := range map[string]*pair{"callers": p.pair, "other nodes": p.peers} {
		if pair != nil {
			ends := pair.expires()
			risk(ends.Before(now.Add(soon)), "the certificate for %s expires at %s", to, ends.UTC().Format(time.RFC3339))
		}
	}
	return v
}

// soon is when a certificate that is about to expire is worth a warning.
const soon = 14 * 24 * time.Hour

func listenersIn(cfg *config) (all []listener) {
	transport, proof := "none", "none"
	if cfg.TLS.Cert != "" {
		transport = "1.2 or newer"
	}
	if cfg.TokensFile != "" {
		proof = "token"
	}
	both := proof
	if cfg.TLS.CA != "" {
		both = strings.TrimPrefix(proof+" and client certificate", "none and ")
	}
	nodes, gossip, peers := "none", "none", "none"
	if cfg.KeyFile != "" {
		nodes, gossip, peers = "certificate of the cluster", "key of the cluster", "1.3"
	}
	if cfg.PeerTLS.Cert != "" {
		nodes, peers = "certificate of an authority and secret of the cluster", "1.3"
	}
	for _, l := range []listener{
		{"http", cfg.Listen.HTTP, !exposed(cfg.Listen.HTTP), transport, both}, {"grpc", cfg.Listen.GRPC, !exposed(cfg.Listen.GRPC), transport, both},
		{"gossip", cfg.Listen.Gossip, !exposed(cfg.Listen.Gossip), "none", gossip}, {"admin", cfg.Listen.Admin, !exposed(cfg.Listen.Admin), transport, proof},
		{"resp", cfg.Listen.RESP, !exposed(cfg.Listen.RESP), transport, both}, {"peer", cfg.Listen.Peer, !exposed(cfg.Listen.Peer), peers, nodes},
	} {
		if l.Addr != "" {
			all = append(all, l)
		}
	}
	return all
}

func (v posture) text() string {
	var b strings.Builder
	cells := [][]string{{"LISTENER", "ADDRESS", "REACHED BY", "TLS", "PROOF OF IDENTITY"}}
	for _, l := range v.Listeners {
		by := "others"
		if l.Loopback {
			by = "this machine"
		}
		cells = append(cells, []string{l.Door, l.Addr, by, l.TLS, l.Proof})
	}
	b.WriteString(columns(cells))
	fmt.Fprintf(&b, "\nsecrets of the cluster: %s\n", cmp.Or(v.KeyFile, "none"))
	if len(v.Tokens) > 0 {
		b.WriteString("\n" + tokenTable(v.Tokens))
	}
	if len(v.Policies) > 0 {
		b.WriteString("\n" + policyTable(v.Policies))
	} else {
		b.WriteString("policies: none, limits come with the calls\n")
	}
	b.WriteByte('\n')
	for _, risk := range v.Risks {
		b.WriteString("risk: " + risk + "\n")
	}
	if len(v.Risks) == 0 {
		b.WriteString("no risks found\n")
	}
	return b.String()
}
