package member

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/transport"
)

// Config says who a member is and where its cluster is. Name is required.
type Config struct {
	// Name is the node's name, the same after a restart and different from all other
	// nodes': 1 to 63 bytes of a-z, 0-9, dot and hyphen.
	Name string
	// Gossip is the address, host:port, at which this node listens for gossip, over TCP and
	// UDP. Without one the node stays alone and owns every key.
	Gossip string
	// Advertise is the host under which others reach this node; empty means that of Gossip,
	// or a private address of this machine.
	Advertise string
	// Peer is the address at which other nodes ask this one, over TCP. Start listens there;
	// empty means a free port beside Gossip.
	Peer string
	// Join says where other nodes may be: host:port, dns+host:port, dnssrv+name or
	// file+path. Without any this node waits to be found.
	Join []string
	// Known are gossip addresses of other nodes from before this start: they are tried where
	// none of Join answers.
	Known []netip.AddrPort
	// Label is the cluster's name: nodes with another one do not hear each other. It may be
	// empty on loopback.
	Label string
	// Zone and Version are shown to who looks at the members, on every node: the failure
	// domain, at most 16 printable bytes without spaces, and what this program is.
	Zone, Version string
	// Keys are the cluster's secrets. Without them, whoever reaches this node's addresses is
	// trusted: on others than loopback that needs Keys.Insecure.
	Keys Keys
	// Node bounds and extends the node. Its Name, Placer, Peers and Messages are set here.
	Node node.Config
	// Hooks tell of what happens. The zero value has none.
	Hooks Hooks
	// Seams are what tests replace. The zero value is the network.
	Seams Seams
}

// Hooks are what a program around the member wants to know. Each may be nil.
type Hooks struct {
	// OnRing is told each ring, before it decides: by one goroutine, in order.
	OnRing func(*ring.Ring)
	// Told takes the notices that other nodes bring.
	Told func(transport.Notice) error
	// Frame is told how many calls each frame on a link carried.
	Frame func(calls int)
}

// Seams are the doors to the network, and how long a node looks for others, which is 10 s
// if it is 0.
type Seams struct {
	Dial           func(ctx context.Context, addr string) (net.Conn, error)
	Cluster        cluster.Seams
	BootstrapAfter time.Duration
}

// A Member is a node of a cluster. It is a bucketring.Limiter.
type Member struct {
	cfg    Config
	log    *slog.Logger
	placer ring.Placer
	node   *node.Node
	pool   *transport.Pool
	peers  *transport.PeerServer
	view   view
	rings  agreement
	boot   atomic.Uint64 // of this start; does not change once others know it
	joined chan struct{} // closed once this node is a member, or stays alone

	telling sync.Mutex                      // held to tell of policies and keys; guards cfg.Keys
	cluster atomic.Pointer[cluster.Cluster] // nil before that, and for a node that stays alone
	started *started                        // by Start; else nil
}

var _ bucketring.Limiter = (*Member)(nil)

// New makes the parts of a member. Nothing runs yet.
func New(cfg Config) (*Member, error) {
	m := &Member{cfg: cfg, log: cfg.Node.Logger, joined: make(chan struct{})}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.boot.Store(uint64(time.Now().UnixNano()))
	var err error
	if m.placer, err = cfg.Keys.Placer(); err != nil {
		return nil, err
	}
	links, err := m.links()
	if err != nil {
		return nil, err
	}
	m.pool = transport.NewPool(links)
	own := cfg.Node
	own.Name, own.Placer, own.Peers, own.Messages = cfg.Name, m.placer, m.pool, nil
	if cfg.Gossip != "" {
		own.Messages = m.pool
	}
	if m.node, err = node.New(own); err != nil {
		return nil, err
	}
	m.peers = transport.NewPeerServer(links, m.node.Local())
	return m, nil
}

// links is how this node speaks to others.
func (m *Member) links() (transport.PeerConfig, error) {
	identity, err := m.cfg.Keys.Identity(m.cfg.Name)
	return transport.PeerConfig{
		Identity: identity, Node: m.cfg.Name, Boot: m.boot.Load, RingSettings: m.placer.Settings(),
		Silence: max(m.cfg.Node.Budget, transport.DefaultSilence), Observe: m.cfg.Hooks.Frame, Logger: m.log,
		Told: m.cfg.Hooks.Told, View: m.view.tell, Heard: m.heard, Joined: m.joined, Dial: m.cfg.Seams.Dial,
	}, err
}

// Node returns the node.
func (m *Member) Node() *node.Node { return m.node }

// Pool returns the links to other nodes.
func (m *Member) Pool() *transport.Pool { return m.pool }

// PeerServer returns what other nodes ask.
func (m *Member) PeerServer() *transport.PeerServer { return m.peers }

// Cluster returns the cluster; nil before Join, and for a node that stays alone.
func (m *Member) Cluster() *cluster.Cluster { return m.cluster.Load() }

// Joined is closed once this node is a member, or stays alone.
func (m *Member) Joined() <-chan struct{} { return m.joined }

// Take implements bucketring.Limiter: it decides here, or at the node that owns the key.
func (m *Member) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return m.node.Take(ctx, req)
}

// SetPolicies makes set the policies of this node from the next call on, and has the others
// see which these are.
func (m *Member) SetPolicies(set *policy.Set) {
	m.node.SetPolicies(set)
	m.TellPolicies()
}

// TellPolicies has the other nodes see which policies this one has.
func (m *Member) TellPolicies() {
	m.telling.Lock() // or an older word could come last
	defer m.telling.Unlock()
	if c := m.cluster.Load(); c != nil {
		c.SetPolicyHash(m.node.Policies().Hash())
	}
}

// SetKeys takes in other gossip keys, of which the first encrypts from now on; before Join
// it is those that this node joins with. Keys with another secret are refused.
func (m *Member) SetKeys(k Keys) error {
	m.telling.Lock()
	defer m.telling.Unlock()
	if err := m.cfg.Keys.next(k); err != nil {
		return err
	}
	m.cfg.Keys.gossip = k.gossip
	return m.useKeysLocked()
}

// useKeysLocked makes those of cfg the keys of gossip, if there is any.
func (m *Member) useKeysLocked() error {
	if c := m.cluster.Load(); c != nil {
		return c.SetKeys(m.cfg.Keys.gossip)
	}
	return nil
}

// Keys are those that this node has now.
func (m *Member) Keys() Keys {
	m.telling.Lock()
	defer m.telling.Unlock()
	return m.cfg.Keys
}

// Forget has this node miss a member no longer that vanished and will never return, as
// node.Node.Forget does. Each node has to be told.
func (m *Member) Forget(ctx context.Context, name string) error {
	if err := m.node.Forget(ctx, name); err != nil {
		return err
	}
	if c := m.cluster.Load(); c != nil {
		c.Forget(name)
	}
	return nil
}

// Run keeps the node tidy until ctx is done. It must run before Join and until the end.
func (m *Member) Run(ctx context.Context) error { return m.node.Run(ctx) }

// Addresses are where others reach a member.
type Addresses struct {
	// Peer is host:port of what other nodes ask.
	Peer string
	// API is the port of a gRPC API for clients, at the host of Peer; 0 for none.
	API uint16
}

// Join makes this node a member of its cluster, where others reach it at these addresses,
// and follows the ring from then on. A node without gossip stays alone.
func (m *Member) Join(ctx context.Context, at Addresses) error {
	if m.cfg.Gossip == "" {
		close(m.joined)
		return nil
	}
	keys := m.Keys()
	c, err := cluster.Join(ctx, cluster.Config{
		Name: m.cfg.Name, Zone: m.cfg.Zone, Version: m.cfg.Version, Bind: m.cfg.Gossip, Advertise: m.cfg.Advertise, Peer: at.Peer, API: at.API,
		Seeds: m.cfg.Join, Known: m.cfg.Known, BootstrapAfter: m.cfg.Seams.BootstrapAfter,
		Access: cluster.Access{Label: m.cfg.Label, Keys: keys.gossip, Insecure: keys.Insecure},
		Placer: m.placer, PolicyHash: m.node.Policies().Hash(), Boot: m.boot.Load(),
		Heard: m.pool.Hears, OnRing: m.follow, Logger: m.log, Seams: m.cfg.Seams.Cluster,
	})
	if err != nil {
		return err
	}
	m.view.of(c)
	m.cluster.Store(c)
	close(m.joined)
	m.TellPolicies() // they may have changed meanwhile
	m.telling.Lock()
	defer m.telling.Unlock()
	return m.useKeysLocked() // and so may these
}

// Settle returns once all partitions of this node are here. The error is that of ctx.
func (m *Member) Settle(ctx context.Context) error { return m.node.Settle(ctx) }

// Superseded is closed when another node has started under this one's name: then this one
// should end. It is nil before Join, and for a node that stays alone.
func (m *Member) Superseded() <-chan struct{} {
	if c := m.cluster.Load(); c != nil {
		return c.Superseded()
	}
	return nil
}

// BeginLeave tells the others that this node leaves, so that they take its keys.
func (m *Member) BeginLeave(ctx context.Context) {
	if c := m.cluster.Load(); c != nil {
		if err := c.BeginLeave(ctx); err != nil {
			m.log.Warn("not all others may know that this node leaves", "err", err)
		}
	}
}

// HandOver returns when the others have all that this node held, after BeginLeave. Calls go on
// meanwhile, and after it. The error says what is left.
func (m *Member) HandOver(ctx context.Context) error {
	if m.cluster.Load() == nil {
		return nil
	}
	err := m.node.Drain(ctx)
	if here := m.node.Stats().Moves.Here; err != nil && here > 0 {
		return fmt.Errorf("member: %d partitions are still here: %w", here, err)
	}
	return nil // a last node has nobody to give anything to
}

// Leave says goodbye to the others. After HandOver they lose nothing by it.
func (m *Member) Leave(ctx context.Context) error {
	if c := m.cluster.Load(); c != nil {
		return c.Leave(ctx)
	}
	return nil
}

// End writes what a Store should have, while Run still runs, and ends the links: it waits for
// Run, so it must not be called if that never ran. Whoever serves the PeerServer stops that
// before.
func (m *Member) End() {
	m.node.Flush()
	m.pool.Close()
}
