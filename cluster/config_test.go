package cluster_test

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring/cluster"
)

func TestConfigErrors(t *testing.T) {
	good := func() cluster.Config {
		return cluster.Config{
			Name: "node-1", Bind: "10.0.0.1:7752", Peer: ":7755",
			Access: cluster.Access{Label: "test", Keys: [][]byte{make([]byte, 16)}},
			Seams:  cluster.Seams{Resolver: &fakeResolver{}},
		}
	}
	if _, err := cluster.Profile(good()); err != nil {
		t.Fatalf("good Config: %v", err)
	}
	tests := map[string]struct {
		edit func(c *cluster.Config)
		want string
	}{
		"no name":       {func(c *cluster.Config) { c.Name = "" }, "name"},
		"upper case":    {func(c *cluster.Config) { c.Name = "Node" }, "name"},
		"long name":     {func(c *cluster.Config) { c.Name = strings.Repeat("n", 64) }, "name"},
		"mark in name":  {func(c *cluster.Config) { c.Name = "a~b" }, "name"},
		"long zone":     {func(c *cluster.Config) { c.Zone = strings.Repeat("z", 17) }, "zone"},
		"no bind":       {func(c *cluster.Config) { c.Bind = "" }, "bind"},
		"bind, no port": {func(c *cluster.Config) { c.Bind = "10.0.0.1" }, "bind"},
		"bind name":     {func(c *cluster.Config) { c.Bind = "nowhere.test:1" }, "bind"},
		"advertise":     {func(c *cluster.Config) { c.Advertise = "nowhere.test" }, "advertise"},
		"template":      {func(c *cluster.Config) { c.Advertise = "{{ Nonsense }}" }, "advertise"},
		"empty result":  {func(c *cluster.Config) { c.Advertise = `{{ GetInterfaceIP "^none9$" }}` }, "advertise"},
		"no peer":       {func(c *cluster.Config) { c.Peer = "" }, "peer address"},
		"peer port 0":   {func(c *cluster.Config) { c.Peer = ":0" }, "peer address"},
		"no label":      {func(c *cluster.Config) { c.Access.Label = "" }, "label"},
		"long label":    {func(c *cluster.Config) { c.Access.Label = strings.Repeat("l", 256) }, "label"},
		"no keys":       {func(c *cluster.Config) { c.Access.Keys = nil }, "keys"},
		"short key":     {func(c *cluster.Config) { c.Access.Keys = [][]byte{make([]byte, 15)} }, "key 1"},
		"all, no keys":  {func(c *cluster.Config) { c.Bind, c.Advertise, c.Access.Keys = ":1", "10.0.0.1", nil }, "keys"},
	}
	for name, tt := range tests {
		cfg := good()
		tt.edit(&cfg)
		_, err := cluster.Join(t.Context(), cfg)
		if err == nil || !strings.HasPrefix(err.Error(), "cluster: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Join() = %v, want an error about the %s", name, err, tt.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	resolver := &fakeResolver{ips: map[string][]string{"localhost": {"127.0.0.1"}, "me.test": {"10.7.7.7"}}}
	tests := []struct {
		bind, advertise          string
		wantBind, wantAdvertised string
	}{
		{"127.0.0.1:1", "", "127.0.0.1", ""},
		{"localhost:1", "", "127.0.0.1", ""},
		{":1", "me.test", "0.0.0.0", "10.7.7.7"},
		{"[::]:1", "2001:db8::1", "::", "2001:db8::1"},
		{"0.0.0.0:1", `{{ "10.1.1.1" }}`, "0.0.0.0", "10.1.1.1"},
	}
	for _, tt := range tests {
		m, err := cluster.Profile(cluster.Config{
			Name: "node-1", Bind: tt.bind, Advertise: tt.advertise, Peer: "0.0.0.0:7755",
			Access: cluster.Access{Label: "test", Insecure: true}, Seams: cluster.Seams{Resolver: resolver},
		})
		if err != nil {
			t.Errorf("%+v: %v", tt, err)
			continue
		}
		if m.BindAddr != tt.wantBind || m.AdvertiseAddr != tt.wantAdvertised {
			t.Errorf("bind %q advertise %q: %q, %q, want %q, %q",
				tt.bind, tt.advertise, m.BindAddr, m.AdvertiseAddr, tt.wantBind, tt.wantAdvertised)
		}
	}
}

// Bound to everything and told nothing, a node advertises a private address of
// its machine, or says that there is none.
func TestAdvertisePrivateAddress(t *testing.T) {
	m, err := cluster.Profile(cluster.Config{
		Name: "node-1", Bind: ":1", Peer: ":7755", Access: cluster.Access{Label: "test", Insecure: true},
	})
	if err != nil {
		if !strings.Contains(err.Error(), "no such address") {
			t.Errorf("error %v", err)
		}
		return
	}
	if ip, err := netip.ParseAddr(m.AdvertiseAddr); err != nil || !ip.IsPrivate() {
		t.Errorf("advertises %q, want a private address", m.AdvertiseAddr)
	}
}

// Nodes of one cluster must gossip alike: a change here is felt by operators.
func TestGossipProfile(t *testing.T) {
	m, err := cluster.Profile(cluster.Config{
		Name: "node-1", Bind: "127.0.0.1:1", Peer: ":1",
		Access: cluster.Access{Label: "test", Keys: [][]byte{make([]byte, 32)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{
		"probe":       m.ProbeInterval == 500*time.Millisecond && m.ProbeTimeout == 200*time.Millisecond,
		"suspicion":   m.SuspicionMult == 3 && m.SuspicionMaxTimeoutMult == 3,
		"gossip":      m.GossipInterval == 100*time.Millisecond && m.GossipNodes == 4,
		"push/pull":   m.PushPullInterval == 15*time.Second,
		"dead":        m.GossipToTheDeadTime == 30*time.Second && m.DeadNodeReclaimTime == time.Second,
		"checks":      m.IndirectChecks == 3 && m.RetransmitMult == 4 && !m.DisableTcpPings,
		"packets":     !m.EnableCompression && m.UDPBufferSize == 1400 && m.HandoffQueueDepth == 4096,
		"access":      m.Label == "test" && m.EncryptionEnabled() && m.GossipVerifyIncoming && m.GossipVerifyOutgoing,
		"names":       m.RequireNodeNames,
		"versions":    m.DelegateProtocolVersion == 0 && m.DelegateProtocolMax == 0,
		"tcp timeout": m.TCPTimeout == 10*time.Second,
	} {
		if !ok {
			t.Errorf("%s differs from the profile", name)
		}
	}
}

func TestLogLines(t *testing.T) {
	tests := []struct {
		line, want string
		counted    func(s cluster.Stats) uint64
	}{
		{"[DEBUG] memberlist: Stream connection\n", `level=DEBUG msg=gossip text="Stream connection"`, nil},
		{"[INFO] memberlist: Suspect x", `level=INFO msg=gossip text="Suspect x"`, nil},
		{"[WARN] memberlist: Refuting", `level=WARN msg=gossip text=Refuting`, nil},
		{"[ERR] memberlist: Push", `level=WARN msg=gossip text=Push`, nil},
		{"Err: Could not", `level=INFO msg=gossip text="Err: Could not"`, nil},
		{"", `level=INFO msg=gossip text=""`, nil},
		{"[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message", "level=DEBUG",
			func(s cluster.Stats) uint64 { return s.Undecryptable }},
		{`[ERR] memberlist: discarding packet with unacceptable label "x"`, "level=DEBUG",
			func(s cluster.Stats) uint64 { return s.OtherLabel }},
		{"[WARN] memberlist: handler queue full, dropping message (3)", "level=DEBUG",
			func(s cluster.Stats) uint64 { return s.Dropped }},
		{"[WARN] memberlist: Was able to connect to x over TCP but UDP probes failed, network may be misconfigured", "level=DEBUG",
			func(s cluster.Stats) uint64 { return s.TCPOnly }},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		s := cluster.LogLine(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), tt.line)
		if !strings.Contains(out.String(), tt.want) {
			t.Errorf("%q is logged as %s, want %s", tt.line, out.String(), tt.want)
		}
		if tt.counted != nil && tt.counted(s) != 1 {
			t.Errorf("%q is counted as %+v", tt.line, s)
		}
	}
}
