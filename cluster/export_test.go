package cluster

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/hashicorp/memberlist"
)

// Record gives tests the wire form of records.
type Record struct {
	State            State
	Flags            uint16
	Boot, Seq        uint64
	Settings         uint32
	WireMin, WireMax uint16
	Policy           uint64
	PeerPort         uint16
	PeerHost, Zone   string
	API              uint16
	Key, Keys        uint32
	Version          string
}

func (r Record) Marshal() []byte {
	in := record{r.State, r.Flags, r.Boot, r.Seq, r.Settings, r.WireMin, r.WireMax, r.Policy,
		hostPort{r.PeerHost, r.PeerPort}, r.Zone, r.API, r.Key, r.Keys, r.Version}
	return in.marshal()
}

func ParseRecord(b []byte) (Record, error) {
	r, err := parseRecord(b)
	return Record{r.state, r.flags, r.boot, r.seq, r.settings, r.wireMin, r.wireMax, r.policy,
		r.peer.port, r.peer.host, r.zone, r.api, r.key, r.keys, r.version}, err
}

// A Delegate is all that memberlist calls.
type Delegate interface {
	memberlist.Delegate
	memberlist.EventDelegate
	memberlist.AliveDelegate
	memberlist.MergeDelegate
}

func (c *Cluster) Delegate() Delegate { return c.gossip }

func (c *Cluster) GossipName() string { return c.gossip.self }

func (c *Cluster) Resolve(ctx context.Context) ([]netip.AddrPort, error) { return c.resolve(ctx) }

// Profile returns memberlist's settings for a Config.
func Profile(cfg Config) (*memberlist.Config, error) {
	p, err := newPlan(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	return p.profile("node~aaaaaaaa", newGossip("node~aaaaaaaa", cfg.Placer.Settings()))
}

// LogLine passes one line of memberlist's through to log.
func LogLine(log *slog.Logger, line string) Stats {
	n := new(counters)
	(&logWriter{log, n}).Write([]byte(line))
	c := &Cluster{gossip: &gossip{counts: n}}
	return c.Stats()
}

var Enough = enough

var ShortVersion = shortVersion

var Printed = printed

var ChangeKeys = changeKeys
