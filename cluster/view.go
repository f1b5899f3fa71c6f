// view.go makes one view of nodes out of what gossip heard of their starts, and
// rings out of the view.

package cluster

import (
	"cmp"
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bucketring/bucketring/ring"
)

const (
	coalesce = 20 * time.Millisecond // changes this close make one ring
	// lookAgain is how soon it shows that a node is dead which gossip took for dead and
	// which was heard then.
	lookAgain = 100 * time.Millisecond
	deadTime  = 30 * time.Second // how long gossip keeps and tells the dead
	remember  = 5 * time.Minute  // how long Members shows them
	crowded   = 100              // members above which building rings gets slow
)

// A Member is a node as this one sees it.
type Member struct {
	Name  string // of the node
	Boot  uint64 // of its newest start: Unix nanoseconds, or a little above
	State State
	Addr  string    // host:port of its gossip
	Peer  string    // host:port where peers dial it
	API   string    // host:port of its gRPC API; empty for none, or if it is not known
	Zone  string    // may be empty
	Self  bool      // this node
	Since time.Time // when this node first saw the State
	// PolicyHash identifies the policies in force there; 0 for none. Nodes of one
	// cluster should agree on it.
	PolicyHash uint64
	// Key is the fingerprint of the gossip key with which the node encrypts, Keys that of
	// all that it decrypts with; 0 for none, or for an older node.
	Key, Keys uint32
	// Version is that of the program there; empty for an older node, which does not tell.
	Version string
}

func (e *entry) member(self string) Member {
	return Member{
		Name: e.name, Boot: e.rec.boot, State: e.state(),
		Addr: e.addr.String(), Peer: e.peer(), API: e.api(), Zone: e.rec.zone,
		Self: e.name+nameMark+e.start == self, Since: e.since, PolicyHash: e.rec.policy,
		Key: e.rec.key, Keys: e.rec.keys, Version: e.rec.version,
	}
}

// peer returns the address where peers dial the node.
func (e *entry) peer() string {
	return e.at(e.rec.peer.port)
}

// api returns the address where clients reach the node, if it has one.
func (e *entry) api() string {
	if e.rec.api == 0 {
		return ""
	}
	return e.at(e.rec.api)
}

// at returns the address of a port of the node.
func (e *entry) at(port uint16) string {
	host := cmp.Or(e.rec.peer.host, e.addr.Addr().String())
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// newer reports whether e counts and the other start of the same node is
// superseded. Equal boots are nearly impossible, but all must agree even then.
func (e *entry) newer(other *entry) bool {
	return cmp.Or(cmp.Compare(e.rec.boot, other.rec.boot), cmp.Compare(e.start, other.start)) > 0
}

// view returns the newest start of each node, sorted by name. A dead start
// supersedes older ones only while it is told at joins, because a node whose
// clock stepped back can raise its boot above those that it was told. What only peers
// have told counts for a moment.
func (g *gossip) view(now time.Time) []entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	stale := func(e *entry) bool { return !e.live && now.Sub(e.since) > deadTime }
	newest := make(map[string]*entry, len(g.entries))
	for _, e := range g.entries {
		if !e.told.IsZero() && now.Sub(e.told) > toldFor {
			continue
		}
		best := newest[e.name]
		if best == nil || stale(best) && !stale(e) || stale(best) == stale(e) && e.newer(best) {
			newest[e.name] = e
		}
	}
	view := make([]entry, 0, len(newest))
	for _, e := range newest {
		view = append(view, *e)
	}
	slices.SortFunc(view, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return view
}

// entry returns what is known of one start.
func (g *gossip) entry(gossipName string) (entry, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.entries[gossipName]; e != nil {
		return *e, true
	}
	return entry{}, false
}

// knowsActive reports whether another node is on the ring.
func (g *gossip) knowsActive() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, e := range g.entries {
		if name != g.self && e.live && e.state() == StateActive {
			return true
		}
	}
	return false
}

// elder reports whether nobody is on the ring yet, and another node that is starting
// began before a boot.
func (g *gossip) elder(boot uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	elder := false
	for name, e := range g.entries {
		switch {
		case name == g.self || !e.live:
		case e.state() == StateActive:
			return false
		case e.state() == StateJoining && (e.rec.boot < boot || e.rec.boot == boot && name < g.self):
			elder = true
		}
	}
	return elder
}

// liveAddrs returns where live starts gossip, this one too.
func (g *gossip) liveAddrs() map[netip.AddrPort]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	live := make(map[netip.AddrPort]bool, len(g.entries))
	for _, e := range g.entries {
		if e.live {
			live[e.addr] = true
		}
	}
	return live
}

// forget drops who has been gone for long, and has the view computed again: a
// tombstone may have become stale.
func (g *gossip) forget(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.entries, func(_ string, e *entry) bool {
		return !e.live && now.Sub(e.since) > remember || !e.told.IsZero() && now.Sub(e.told) > toldFor
	})
	g.signal()
}

// run builds and publishes rings until ctx ends. The first change opens a short
// wait, and all that come meanwhile share its ring.
func (c *Cluster) run(ctx context.Context) {
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.gossip.changed:
			if due == nil {
				due = time.After(coalesce)
			}
		case <-due:
			due = nil
			c.rebuild()
		case done := <-c.flush:
			due = nil
			c.rebuild()
			close(done)
		}
	}
}

// publish makes run publish the present view and waits for it, unless run has ended.
func (c *Cluster) publish() {
	done := make(chan struct{})
	select {
	case c.flush <- done:
		<-done
	case <-c.running.Done():
	}
}

// view returns the nodes as they count. Those live on whom gossip took for dead and who
// are heard all the same; held says that there are some.
func (c *Cluster) view() (view []entry, held bool) {
	view = c.gossip.view(time.Now())
	for i := range view {
		if e := &view[i]; c.cfg.Heard != nil && e.state() == StateDead && c.cfg.Heard(e.peer(), e.rec.boot) {
			e.live, held = true, true
		}
	}
	return view, held
}

// rebuild publishes the ring of the present view unless it is the one in force.
func (c *Cluster) rebuild() {
	view, held := c.view()
	if held { // until gossip has changed its mind, or they are silent
		time.AfterFunc(lookAgain, c.gossip.signal)
	}
	c.checkSuperseded(view)
	c.logChanges(view)
	var members, leaving []ring.Member
	for _, e := range view {
		switch m := (ring.Member{Name: e.name, Boot: e.rec.boot, Addr: e.peer()}); e.state() {
		case StateActive:
			members = append(members, m)
		case StateLeaving:
			leaving = append(leaving, m)
		}
	}
	old := c.ring.Load()
	switch {
	case old == nil || !slices.Equal(old.Members, members):
		c.build(old, members, leaving)
	case !slices.Equal(old.Leaving, leaving):
		same := *old
		same.Leaving = leaving
		c.put(&same)
	}
}

// build makes the ring of members.
func (c *Cluster) build(old *ring.Ring, members, leaving []ring.Member) {
	if len(members) > crowded && (old == nil || len(old.Members) <= crowded) {
		c.cfg.Logger.Warn("cluster is large, rings take long", "node", c.cfg.Name, "members", len(members))
	}
	r, err := c.builder.Build(members)
	if err != nil {
		c.gossip.counts.ringsFailed.Add(1)
		c.cfg.Logger.Error("ring not built, the old one stays", "node", c.cfg.Name, "err", err)
		return
	}
	r.Leaving = leaving
	c.gossip.counts.rings.Add(1)
	c.cfg.Logger.Info("ring published", "node", c.cfg.Name, "version", r.Version, "members", len(members))
	c.put(r)
}

func (c *Cluster) put(r *ring.Ring) {
	c.ring.Store(r)
	if c.cfg.OnRing != nil {
		c.cfg.OnRing(r)
	}
}

// logChanges tells an operator who came and went.
func (c *Cluster) logChanges(view []entry) {
	shown := make(map[string]State, len(view))
	for _, e := range view {
		shown[e.name] = e.state()
		if was := c.shown[e.name]; was != e.state() {
			c.cfg.Logger.Info("member changed", "node", c.cfg.Name, "peer", e.name, "from", was.String(), "to", e.state().String())
		}
	}
	c.shown = shown
}

// checkSuperseded notices a newer start of our name. The ring then names that
// start, and a builder without a self keeps this one from taking it for itself.
func (c *Cluster) checkSuperseded(view []entry) {
	i, ok := slices.BinarySearchFunc(view, c.cfg.Name, func(e entry, name string) int {
		return strings.Compare(e.name, name)
	})
	if !ok || view[i].member(c.gossip.self).Self {
		return
	}
	select {
	case <-c.superseded:
	default:
		c.builder = ring.NewBuilder(c.cfg.Placer, "")
		c.cfg.Logger.Error("superseded by another start of this name", "node", c.cfg.Name, "peer", view[i].addr)
		close(c.superseded)
	}
}
