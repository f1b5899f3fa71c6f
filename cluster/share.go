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

const (
	// toldFor is how long a node counts that gossip has not confirmed, and maxTold how
	// many of them there may be.
	toldFor = 5 * time.Second
	maxTold = 256
	// maxAhead is how many changes of a record a peer may know before gossip does.
	maxAhead = 64
)

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
	changed, told := c.gossip.merge(all, time.Now())
	if changed {
		c.publish()
	}
	if told {
		time.AfterFunc(toldFor+time.Millisecond, c.gossip.signal)
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
// alive. It reports whether that changed anything, and whether there are some that only
// peers have told. Of this node's own name it believes gossip alone.
func (g *gossip) merge(all []Told, now time.Time) (changed, told bool) {
	own, _, _ := splitName(g.self)
	g.mu.Lock()
	defer g.mu.Unlock()
	room := maxTold
	for _, e := range g.entries {
		if !e.told.IsZero() {
			room--
		}
	}
	for _, r := range all {
		heard, err := readRecord(r)
		if err != nil || heard.rec.compatible(g.settings) != nil || heard.name == own {
			continue
		}
		switch known := g.entries[r.Start]; {
		case known == nil && room <= 0:
		case known == nil:
			room--
			told = true
			heard.live, heard.since, heard.told = true, now, now
			g.entries[r.Start] = heard
			g.noteRivalLocked(r.Start, heard)
			changed = true
		case !known.live:
		case heard.rec.compare(&known.rec) > 0 && heard.rec.boot == known.rec.boot && heard.rec.seq-known.rec.seq < maxAhead:
			if known.state() != heard.rec.state {
				known.since = now
			}
			known.rec = heard.rec
			changed = true
		case !known.told.IsZero():
			known.told, told = now, true
		}
	}
	if changed {
		g.changedLocked()
	}
	return changed, told
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
