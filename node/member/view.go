// view.go joins gossip, links and the node: what gossip knows goes to other nodes on links,
// what they know comes back, and each ring makes links.

package member

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// A view is what this node knows of the members. The zero value is before it has joined.
type view struct {
	mu      sync.Mutex
	cluster *cluster.Cluster // guarded by mu, as all below
	rings   uint64           // there were so far
	ring    uint64           // fingerprint of the last one
	version uint64           // of made
	made    *peerpb.View
}

// of tells the cluster.
func (v *view) of(c *cluster.Cluster) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cluster = c
}

// follow takes a ring by which this node decides.
func (v *view) follow(fingerprint uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rings, v.ring = v.rings+1, fingerprint
}

// tell returns what other nodes are told. It is made anew only after a change.
func (v *view) tell() (version uint64, made *peerpb.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cluster == nil || v.cluster.Version()+v.rings == v.version {
		return v.version, v.made
	}
	version, all := v.cluster.Tell()
	v.version, v.made = version+v.rings, &peerpb.View{Ring: v.ring, Rings: v.rings}
	for _, r := range all {
		v.made.Recs = append(v.made.Recs, &peerpb.Rec{Start: r.Start, Record: r.Meta, Addr: r.Addr})
	}
	return v.version, v.made
}

// heard takes what another node knows, and then its messages: they may name members
// that only it knows. Before this node has joined it does not listen.
func (m *Member) heard(from transport.Sender, known *peerpb.View, msgs []*peerpb.Msg) {
	c := m.cluster.Load()
	if c == nil {
		return
	}
	if known != nil {
		told := make([]cluster.Told, len(known.GetRecs()))
		for i, r := range known.GetRecs() {
			told[i] = cluster.Told{Start: r.GetStart(), Meta: r.GetRecord(), Addr: r.GetAddr()}
		}
		c.Merge(told)
		m.rings.heard(from.Node, word{from.Boot, known.GetRings(), known.GetRing()}, time.Now())
	}
	if len(msgs) > 0 {
		m.node.Hear(from.Node, from.Boot, msgs)
	}
}

// follow makes a new ring the one that decides: first the links, then the ring
// that needs them.
func (m *Member) follow(r *ring.Ring) {
	if self, ok := r.Find(m.cfg.Name); ok {
		m.boot.Store(max(m.boot.Load(), self.Boot)) // raised if our clock stepped back
	}
	var targets []transport.Target
	for _, other := range slices.Concat(r.Members, r.Leaving) {
		if other.Name != m.cfg.Name {
			targets = append(targets, transport.Target{Name: other.Name, Addr: other.Addr})
		}
	}
	m.pool.Retain(targets)
	if m.cfg.Hooks.OnRing != nil {
		m.cfg.Hooks.OnRing(r)
	}
	m.node.SetRing(r)
	m.view.follow(r.Fingerprint)
	m.rings.follow(r, time.Now())
	m.log.Info("ring changed", "version", r.Version, "members", len(r.Members), "leaving", len(r.Leaving), "fingerprint", fmt.Sprintf("%016x", r.Fingerprint))
}
