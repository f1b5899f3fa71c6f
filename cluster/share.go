// share.go has nodes tell each other over links what gossip has told them: a node that
// is referred to another one knows it then, and a leave is known before gossip brings it.
// Only gossip itself says who is dead, or alive again.

package cluster

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// toldFor is how long a node counts that gossip has not confirmed.
const toldFor = 5 * time.Second

// Told is one start of a node as nodes tell it to each other.
type Told struct {
	Start string // the gossip name
	Meta  []byte // the gossiped record
	Addr  string // host:port of its gossip
}

// Tell returns the live starts that gossip knows, this one too, and a number above 0
// that is another one after a change.
func (c *Cluster) Tell() (version uint64, all []Told) { return c.gossip.records() }

// Version is the number that Tell returns. It costs one load.
func (c *Cluster) Version() uint64 { return c.gossip.version.Load() }

// Merge takes what another node knows, and returns once a ring of it is published. It
// does nothing after Leave or Close.
func (c *Cluster) Merge(all []Told) {
	if c.gossip.merge(all, time.Now()) {
		c.publish()
		time.AfterFunc(toldFor, c.gossip.signal)
	}
}

func (g *gossip) records() (version uint64, all []Told) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(g.entries)) {
		if e := g.entries[name]; e.live && e.told.IsZero() {
			all = append(all, Told{name, e.rec.marshal(), e.addr.String()})
		}
	}
	return g.version.Load(), all
}

// merge adds starts that nobody here has heard of, and newer records of those that are
// alive. It reports whether that changed anything.
func (g *gossip) merge(all []Told, now time.Time) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range all {
		heard, err := readRecord(r)
		if err != nil || heard.rec.compatible(g.settings) != nil || r.Start == g.self {
			continue
		}
		switch known := g.entries[r.Start]; {
		case known == nil:
			heard.live, heard.since, heard.told = true, now, now
			g.entries[r.Start] = heard
			g.noteRivalLocked(r.Start, heard)
			changed = true
		case !known.live:
		case heard.rec.compare(&known.rec) > 0:
			if known.state() != heard.rec.state {
				known.since = now
			}
			known.rec = heard.rec
			changed = true
		case !known.told.IsZero():
			known.told = now
		}
	}
	if changed {
		g.changedLocked()
	}
	return changed
}

// readRecord makes an entry of what another node tells. It keeps nothing of r.
func readRecord(r Told) (*entry, error) {
	name, start, err := splitName(r.Start)
	if err != nil {
		return nil, err
	}
	addr, err := netip.ParseAddrPort(r.Addr)
	if err != nil {
		return nil, err
	}
	rec, err := parseRecord(r.Meta)
	if err != nil {
		return nil, err
	}
	return &entry{name: strings.Clone(name), start: strings.Clone(start), rec: rec, addr: addr}, nil
}
