// config.go has the settings, their checks, and the gossip profile.

package cluster

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	sockaddr "github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/go-sockaddr/template"
	"github.com/hashicorp/memberlist"

	"github.com/bucketring/bucketring/ring"
)

// A Config says who this node is and how it finds the others. Name, Bind and
// Peer are required.
type Config struct {
	// Name is the node's name, the same after a restart and different from all
	// other nodes': 1 to 63 bytes of a-z, 0-9, dot and hyphen.
	Name string
	// Zone is the failure domain, at most 16 bytes. It is shown, not used yet.
	Zone string
	// Version is that of the program, of which 32 bytes are shown to others.
	Version string
	// Bind is the gossip address, host:port, for TCP and UDP. An empty host
	// means all of IPv4, port 0 picks a free port.
	Bind string
	// Advertise is the host under which others reach Bind: an address, a name,
	// or a go-sockaddr template such as {{ GetPrivateIP }}. If it is empty, the
	// bind host counts, or a private address of this machine if that is all.
	Advertise string
	// Peer is host:port where peers dial this node. An empty host or one that
	// means all stands for the gossip address.
	Peer string
	// API is the port at which clients reach this node's gRPC API, at the host of Peer;
	// 0 for none. It is told to clients of other nodes.
	API uint16
	// Seeds say where other nodes may be: host:port or dns+host:port, each
	// address of the name being a seed, dnssrv+name, file+path of a file with a host:port
	// on each line, or exec+path of a program that prints such lines. They are resolved
	// again at each use. Without seeds this node waits to be found.
	Seeds []string
	// Known are gossip addresses of other nodes from before this start: as good as seeds
	// where no seed answers.
	Known []netip.AddrPort
	// BootstrapAfter is how long Join looks for a seed before this node goes on
	// alone. 0 means 10 s.
	BootstrapAfter time.Duration
	// Access says who may gossip with this node.
	Access Access
	// Placer hashes for placement; the same on all nodes.
	Placer ring.Placer
	// PolicyHash is what identifies the node's policies until SetPolicyHash; 0 for
	// none.
	PolicyHash uint64
	// Boot numbers this start of the node, above all earlier ones; 0 means the time in
	// Unix nanoseconds. It is raised above those of other starts that were seen.
	Boot uint64
	// Heard, if set, reports whether a start of the node whose peers dial peer was heard
	// of just now, over a link: it stays a member then, although gossip took it for dead.
	Heard func(peer string, boot uint64) bool
	// OnRing is told each ring, the first one before Join returns: by one
	// goroutine, in order. It must not call Leave or Close. nil is allowed.
	OnRing func(*ring.Ring)
	// Logger takes what an operator should know. nil drops it.
	Logger *slog.Logger
	// Seams are what tests replace.
	Seams Seams
}

// Access keeps strangers and other clusters out of the gossip.
type Access struct {
	// Label is the cluster's name, at most 255 bytes; nodes with another one
	// do not hear each other. It is required unless Bind is loopback.
	Label string
	// Keys encrypt and authenticate gossip with AES-GCM, 16, 24 or 32 bytes
	// each. The first encrypts, all decrypt. They are required unless Bind is
	// loopback or Insecure is set.
	Keys [][]byte
	// Insecure allows gossip without keys on a real network, and says so in
	// this node's record.
	Insecure bool
}

// Seams are the doors to the outside. The zero value uses the real ones.
type Seams struct {
	Transport memberlist.Transport // nil opens sockets on Bind
	Resolver  Resolver             // nil asks the system
	Rand      *rand.Rand           // nil is seeded by crypto/rand; used by one goroutine
}

// A Resolver looks up names. *net.Resolver is one.
type Resolver interface {
	// LookupNetIP returns the addresses of host; network is "ip".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	// LookupSRV returns the SRV records of name; service and proto are empty.
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// A plan is a Config that has been checked, with its addresses resolved.
type plan struct {
	Config
	bind      netip.AddrPort
	advertise netip.Addr // invalid: as the transport says
	peer      hostPort
	seeds     []seed
}

type hostPort struct {
	host string // empty: the gossip address
	port uint16
}

// newPlan checks cfg and fills in its defaults. It resolves only names of this
// node itself: a cluster must be able to start while DNS is away.
func newPlan(ctx context.Context, cfg Config) (*plan, error) {
	p := &plan{Config: cfg}
	if p.BootstrapAfter == 0 {
		p.BootstrapAfter = 10 * time.Second
	}
	if p.Logger == nil {
		p.Logger = slog.New(slog.DiscardHandler)
	}
	if p.Seams.Resolver == nil {
		p.Seams.Resolver = net.DefaultResolver
	}
	if p.Seams.Rand == nil {
		p.Seams.Rand = newRand()
	}
	if !validName(p.Name) {
		return nil, fmt.Errorf("cluster: name %q: want 1 to 63 bytes of a-z, 0-9, dot and hyphen", p.Name)
	}
	if !validText(p.Zone, maxZone) {
		return nil, fmt.Errorf("cluster: zone %q: want at most %d printable bytes", p.Zone, maxZone)
	}
	steps := []func(context.Context) error{p.readBind, p.readAdvertise, p.readPeer, p.readSeeds, p.checkAccess}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *plan) readBind(ctx context.Context) error {
	at, err := splitHostPort(p.Bind)
	if err != nil {
		return fmt.Errorf("cluster: bind to %q: %w", p.Bind, err)
	}
	if at.host == "" {
		at.host = "0.0.0.0"
	}
	// memberlist would take a name that it cannot parse for "all addresses".
	ip, err := p.lookup(ctx, at.host)
	if err != nil {
		return fmt.Errorf("cluster: bind to %q: %w", p.Bind, err)
	}
	p.bind = netip.AddrPortFrom(ip, at.port)
	return nil
}

func (p *plan) readAdvertise(ctx context.Context) error {
	host, err := p.Advertise, error(nil)
	switch {
	case strings.Contains(host, "{{"):
		host, err = template.Parse(host)
	case host == "" && p.Seams.Transport == nil && p.bind.Addr().IsUnspecified():
		host, err = sockaddr.GetPrivateIP()
	case host == "":
		return nil
	}
	if err == nil && strings.TrimSpace(host) == "" {
		err = errors.New("no such address on this machine, name one")
	}
	if err == nil {
		p.advertise, err = p.lookup(ctx, strings.TrimSpace(host))
	}
	if err != nil {
		return fmt.Errorf("cluster: advertise %q: %w", p.Advertise, err)
	}
	return nil
}

func (p *plan) readPeer(context.Context) error {
	at, err := splitHostPort(p.Peer)
	switch {
	case err != nil:
		return fmt.Errorf("cluster: peer address %q: %w", p.Peer, err)
	case at.port == 0:
		return fmt.Errorf("cluster: peer address %q: peers cannot dial port 0", p.Peer)
	case !validText(at.host, maxHost):
		return fmt.Errorf("cluster: peer address %q: want at most %d printable bytes", p.Peer, maxHost)
	}
	if ip, err := netip.ParseAddr(at.host); err == nil && ip.IsUnspecified() {
		at.host = ""
	}
	p.peer = at
	return nil
}

func (p *plan) readSeeds(context.Context) error {
	for _, text := range p.Seeds {
		s, err := parseSeed(text)
		if err != nil {
			return err
		}
		p.seeds = append(p.seeds, s)
	}
	return nil
}

func (p *plan) checkAccess(context.Context) error {
	if err := checkKeys(p.Access.Keys); err != nil {
		return err
	}
	switch {
	case len(p.Access.Label) > memberlist.LabelMaxSize:
		return fmt.Errorf("cluster: label has %d bytes: want at most %d", len(p.Access.Label), memberlist.LabelMaxSize)
	case p.bind.Addr().IsLoopback():
		return nil
	case p.Access.Label == "":
		return errors.New("cluster: label is missing: clusters without one merge when they meet")
	case len(p.Access.Keys) == 0 && !p.Access.Insecure:
		return errors.New("cluster: gossip keys are missing: strangers could forge members")
	}
	return nil
}

// lookup returns the one address of a host of this node.
func (p *plan) lookup(ctx context.Context, host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone(""), nil
	}
	ips, err := p.Seams.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	if len(ips) == 0 {
		return netip.Addr{}, errors.New("name has no address")
	}
	return ips[0].Unmap(), nil
}

// profile returns memberlist's settings: what differs from the defaults for a
// local network, with which a crash is noticed only after 6 to 10 s.
func (p *plan) profile(name string, g *gossip) (*memberlist.Config, error) {
	m := memberlist.DefaultLANConfig()
	m.Name, m.RequireNodeNames = name, true
	m.BindAddr, m.BindPort = p.bind.Addr().String(), int(p.bind.Port())
	m.AdvertisePort = m.BindPort
	if p.advertise.IsValid() {
		m.AdvertiseAddr = p.advertise.String()
	}
	m.Transport, m.Label = p.Seams.Transport, p.Access.Label

	m.ProbeInterval, m.ProbeTimeout = 500*time.Millisecond, 200*time.Millisecond
	m.SuspicionMult, m.SuspicionMaxTimeoutMult = 3, 3
	m.GossipInterval, m.GossipNodes = 100*time.Millisecond, 4
	m.PushPullInterval = 15 * time.Second
	m.GossipToTheDeadTime, m.DeadNodeReclaimTime = deadTime, time.Second
	m.IndirectChecks, m.RetransmitMult, m.DisableTcpPings = 3, 4, false
	m.EnableCompression, m.UDPBufferSize, m.HandoffQueueDepth = false, 1400, 4096

	m.Delegate, m.Events, m.Alive, m.Merge = g, g, g, g
	m.Logger = log.New(&logWriter{p.Logger, g.counts}, "", 0)
	if len(p.Access.Keys) == 0 {
		return m, nil
	}
	var err error
	m.GossipVerifyIncoming, m.GossipVerifyOutgoing = true, true
	if m.Keyring, err = memberlist.NewKeyring(p.Access.Keys, p.Access.Keys[0]); err != nil {
		return nil, fmt.Errorf("cluster: gossip keys: %w", err)
	}
	return m, nil
}

// splitHostPort reads "host:port" with a numeric port. The host may be empty.
func splitHostPort(s string) (hostPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return hostPort{}, errors.New("want host:port")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return hostPort{}, fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return hostPort{host, uint16(n)}, nil
}
