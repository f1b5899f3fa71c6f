// gossip.go hears: memberlist's delegates write down what each start of each
// node says, and signal that something changed.

package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// An entry is one start of a node, as gossip told it.
type entry struct {
	name  string // of the node
	start string // id of the start
	rec   record
	addr  netip.AddrPort
	live  bool      // false is a tombstone: only gossip itself takes it away
	since time.Time // when the state below was first seen here
	told  time.Time // when a peer last told it, if gossip has not; else zero
	gone  bool      // nobody misses it: an operator has said that it will not return
}

// state returns what the entry shows. That a node left can be told only from
// its last words.
func (e *entry) state() State {
	switch {
	case e.live:
		return e.rec.state
	case e.rec.state == StateLeaving, e.gone:
		return StateLeft
	}
	return StateDead
}

// gossip implements memberlist's delegates. They run under its lock, so they
// copy, signal and return, and never call memberlist.
type gossip struct {
	self     string // our gossip name
	settings uint32 // of the ring; members with others are refused
	counts   *counters
	meta     atomic.Pointer[[]byte] // our record for NodeMeta; the bytes never change
	changed  chan struct{}          // one slot: something changed
	version  atomic.Uint64          // rises with each change of entries

	mu      sync.Mutex        // guards what follows
	entries map[string]*entry // by gossip name
	rival   uint64            // highest boot seen of other starts of our name
}

var (
	_ memberlist.Delegate      = (*gossip)(nil)
	_ memberlist.EventDelegate = (*gossip)(nil)
	_ memberlist.AliveDelegate = (*gossip)(nil)
	_ memberlist.MergeDelegate = (*gossip)(nil)
)

func newGossip(self string, settings uint32) *gossip {
	return &gossip{
		self:     self,
		settings: settings,
		counts:   new(counters),
		changed:  make(chan struct{}, 1),
		entries:  make(map[string]*entry),
	}
}

// NotifyJoin hears of a start that is new, or that is alive after all.
func (g *gossip) NotifyJoin(n *memberlist.Node) { g.hear(n) }

// NotifyUpdate hears of a new record.
func (g *gossip) NotifyUpdate(n *memberlist.Node) { g.hear(n) }

// NotifyLeave hears that a start left or is dead. n.State says "alive" even so.
func (g *gossip) NotifyLeave(n *memberlist.Node) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.entries[n.Name]
	if e == nil || !e.live {
		return
	}
	e.live, e.since = false, time.Now()
	switch {
	case n.Name == g.self || g.supersededLocked(e):
	case e.state() == StateLeft:
		g.counts.leaves.Add(1)
	default:
		g.counts.deaths.Add(1)
	}
	g.changedLocked()
}

func (g *gossip) hear(n *memberlist.Node) {
	heard, err := readNode(n)
	if err != nil {
		return // NotifyAlive has counted it
	}
	heard.live, heard.since = true, time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.entries[n.Name]
	if n.Name != g.self && (known == nil || !known.live || !known.told.IsZero()) {
		g.counts.joins.Add(1)
	}
	if known != nil {
		if known.rec.compare(&heard.rec) > 0 {
			heard.rec = known.rec
		}
		if known.state() == heard.state() {
			heard.since = known.since
		}
	}
	g.entries[n.Name] = heard
	g.noteRivalLocked(n.Name, heard)
	g.changedLocked()
}

// NotifyAlive refuses a record that cannot be read or cannot be in our cluster.
func (g *gossip) NotifyAlive(n *memberlist.Node) error {
	e, err := readNode(n)
	if err == nil {
		err = e.rec.compatible(g.settings)
	}
	if err != nil {
		g.counts.refused.Add(1)
	}
	return err
}

// NotifyMerge refuses, at a join, a cluster of which no live member would be
// accepted. That is also so where the other side is this node itself. The list
// has the dead too, the only place where their records can still be seen.
func (g *gossip) NotifyMerge(nodes []*memberlist.Node) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	cause, accepted := errors.New("nobody else is alive there"), 0
	for _, n := range nodes {
		e, err := readNode(n)
		if err == nil {
			g.noteRivalLocked(n.Name, e)
			err = e.rec.compatible(g.settings)
		}
		gone := n.State != memberlist.StateAlive && n.State != memberlist.StateSuspect
		switch {
		case gone || n.Name == g.self:
		case err != nil:
			cause = err
		default:
			accepted++
		}
	}
	if accepted == 0 {
		g.counts.refused.Add(1)
		return fmt.Errorf("no member to join: %w", cause)
	}
	return nil
}

// readNode makes an entry of what memberlist tells. It keeps nothing of n:
// memberlist goes on writing there.
func readNode(n *memberlist.Node) (*entry, error) {
	name, start, err := splitName(n.Name)
	if err != nil {
		return nil, err
	}
	ip, ok := netip.AddrFromSlice(n.Addr)
	if !ok || n.Port == 0 {
		return nil, errors.New("gossip address is malformed")
	}
	rec, err := parseRecord(n.Meta)
	if err != nil {
		return nil, err
	}
	return &entry{name: name, start: start, rec: rec, addr: netip.AddrPortFrom(ip.Unmap(), n.Port)}, nil
}

func (g *gossip) noteRivalLocked(gossipName string, e *entry) {
	if own, _, _ := splitName(g.self); e.name == own && gossipName != g.self {
		g.rival = max(g.rival, e.rec.boot)
	}
}

// supersededLocked reports whether a newer start of e's node is known.
func (g *gossip) supersededLocked(e *entry) bool {
	for _, other := range g.entries {
		if other.name == e.name && other.newer(e) {
			return true
		}
	}
	return false
}

func (g *gossip) changedLocked() {
	g.version.Add(1)
	g.signal()
}

// signal says that something changed. A full slot says so already.
func (g *gossip) signal() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// above returns boot, raised above all other starts of our name seen so far.
func (g *gossip) above(boot uint64) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(boot, g.rival+1)
}

// setMeta replaces our record. b belongs to gossip from now on.
func (g *gossip) setMeta(b []byte) { g.meta.Store(&b) }

// NodeMeta returns our record, which is shorter than any limit.
func (g *gossip) NodeMeta(int) []byte { return *g.meta.Load() }

// The rest of memberlist.Delegate stays empty: what moves tokens uses
// authenticated links, never gossip.

func (*gossip) NotifyMsg([]byte)                {}
func (*gossip) GetBroadcasts(int, int) [][]byte { return nil }
func (*gossip) LocalState(bool) []byte          { return nil }
func (*gossip) MergeRemoteState([]byte, bool)   {}
