// membership.go joins the doors to the node: what gossip knows goes to other nodes on
// links, what they know comes back, and each ring makes links.

package main

import (
	"fmt"
	"slices"
	"sync"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// A membership has the cluster once the node has joined. The zero value is before that.
type membership struct {
	mu      sync.Mutex
	cluster *cluster.Cluster // guarded by mu, as all below
	version uint64           // of made
	made    *peerpb.View
}

// of tells the cluster.
func (m *membership) of(c *cluster.Cluster) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cluster = c
}

// view returns what other nodes are told. It is made anew only after a change.
func (m *membership) view() (version uint64, view *peerpb.View) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cluster == nil || m.cluster.Version() == m.version {
		return m.version, m.made
	}
	version, all := m.cluster.Tell()
	m.version, m.made = version, &peerpb.View{}
	for _, r := range all {
		m.made.Recs = append(m.made.Recs, &peerpb.Rec{Start: r.Start, Record: r.Meta, Addr: r.Addr})
	}
	return m.version, m.made
}

// heard takes what another node knows, and then its messages: they may name members
// that only it knows. Before this node has joined it does not listen.
func (s *server) heard(from transport.Sender, view *peerpb.View, msgs []*peerpb.Msg) {
	c := s.cluster.Load()
	if c == nil {
		return
	}
	if view != nil {
		told := make([]cluster.Told, len(view.GetRecs()))
		for i, r := range view.GetRecs() {
			told[i] = cluster.Told{Start: r.GetStart(), Meta: r.GetRecord(), Addr: r.GetAddr()}
		}
		c.Merge(told)
	}
	if len(msgs) > 0 {
		s.node.Hear(from.Node, from.Boot, msgs)
	}
}

// follow makes a new ring the one that decides: first the links, then the ring
// that needs them.
func (s *server) follow(r *ring.Ring) {
	if self, ok := r.Find(s.cfg.NodeName); ok {
		s.boot.Store(max(s.boot.Load(), self.Boot)) // raised if our clock stepped back
	}
	var targets []transport.Target
	for _, m := range slices.Concat(r.Members, r.Leaving) {
		if m.Name != s.cfg.NodeName {
			targets = append(targets, transport.Target{Name: m.Name, Addr: m.Addr})
		}
	}
	s.pool.Retain(targets)
	s.keeper.spreader.changed()
	s.node.SetRing(r)
	s.log.Info("ring changed", "version", r.Version, "members", len(r.Members), "leaving", len(r.Leaving), "fingerprint", fmt.Sprintf("%016x", r.Fingerprint))
}
