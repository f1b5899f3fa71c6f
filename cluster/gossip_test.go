package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/ring"
)

// heard is a node as memberlist would report it.
func heard(gossipName string, i int, r cluster.Record) *memberlist.Node {
	return &memberlist.Node{Name: gossipName, Addr: net.IPv4(10, 0, 1, byte(i)), Port: 7752, Meta: r.Marshal()}
}

// alone starts one node without seeds.
func alone(w *world) *cluster.Cluster {
	cfg := w.config(1)
	cfg.Seeds = nil
	return w.join(cfg)
}

func TestChangesCoalesce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		rings := 0
		cfg := w.config(1)
		cfg.Seeds, cfg.OnRing = nil, func(*ring.Ring) { rings++ }
		c := w.join(cfg)
		for i := range 40 {
			c.Delegate().NotifyJoin(heard(fmt.Sprintf("peer-%d~aaaaaaaa", i), i, goodRecord(1)))
			time.Sleep(400 * time.Microsecond)
		}
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		if n := len(c.Ring().Members); rings != 2 || n != 41 {
			t.Errorf("%d rings, the last with %d members: want 2, the last with 41", rings, n)
		}
		c.Delegate().NotifyLeave(heard("peer-7~aaaaaaaa", 7, goodRecord(1)))
		time.Sleep(21 * time.Millisecond)
		synctest.Wait()
		if n := len(c.Ring().Members); rings != 3 || n != 40 {
			t.Errorf("%d rings, the last with %d members: want 3, the last with 40", rings, n)
		}
		time.Sleep(time.Minute)
		if rings != 3 {
			t.Errorf("%d rings after a quiet minute, want 3", rings)
		}
	})
}

func TestNewestRecordCounts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := alone(w)
		peer := func() (m cluster.Member) {
			for _, m = range c.Members() {
				if m.Name == "peer" {
					return m
				}
			}
			return cluster.Member{}
		}
		check := func(what string, state cluster.State, boot uint64) {
			t.Helper()
			if got := peer(); got.State != state || got.Boot != boot {
				t.Errorf("%s: %v with boot %d, want %v with boot %d", what, got.State, got.Boot, state, boot)
			}
		}
		d, r := c.Delegate(), goodRecord(100)
		r.Seq = 5
		d.NotifyJoin(heard("peer~aaaaaaaa", 1, r))
		check("join", cluster.StateActive, 100)
		r.Seq, r.State = 4, cluster.StateJoining
		d.NotifyUpdate(heard("peer~aaaaaaaa", 1, r))
		check("an older record", cluster.StateActive, 100)
		d.NotifyJoin(heard("peer~bbbbbbbb", 2, goodRecord(50)))
		check("an older start", cluster.StateActive, 100)
		d.NotifyJoin(heard("peer~cccccccc", 3, goodRecord(200)))
		check("a newer start", cluster.StateActive, 200)
		d.NotifyLeave(heard("peer~aaaaaaaa", 1, r))
		check("the older one dies", cluster.StateActive, 200)
		d.NotifyLeave(heard("peer~cccccccc", 3, goodRecord(200)))
		check("the newer one dies", cluster.StateDead, 200)
		time.Sleep(50 * time.Second) // b is still alive, and the tombstone is stale
		check("the tombstone is stale", cluster.StateActive, 50)
		if n := len(c.Ring().Members); n != 2 {
			t.Errorf("ring has %d members, want 2", n)
		}
		d.NotifyJoin(heard("peer~cccccccc", 3, goodRecord(200)))
		check("not dead after all", cluster.StateActive, 200)
	})
}

func TestDelegatesCopy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := alone(w)
		n := heard("peer~aaaaaaaa", 1, goodRecord(100))
		c.Delegate().NotifyJoin(n)
		before := fmt.Sprint(c.Members())
		if !strings.Contains(before, " 10.0.1.1:7752 10.0.1.1:7755 ") {
			t.Errorf("members %s, want one at 10.0.1.1", before)
		}
		clear(n.Meta)
		clear(n.Addr)
		if after := fmt.Sprint(c.Members()); after != before {
			t.Errorf("members follow what memberlist overwrites:\n%s, before\n%s", after, before)
		}
	})
}

// Whatever a stranger sends through gossip: no panic, no member, and all counted.
func TestHostileGossip(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := alone(w)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		other := goodRecord(1)
		other.Settings++
		wire := goodRecord(1)
		wire.WireMin, wire.WireMax = 2, 3
		nodes := []*memberlist.Node{
			{}, {Name: "peer~aaaaaaaa"},
			heard("peer~aaaaaaaa", 1, other), heard("peer~aaaaaaaa", 1, wire),
			{Name: "peer~aaaaaaaa", Addr: []byte{1, 2, 3}, Port: 1, Meta: goodRecordBytes()},
			{Name: "peer~aaaaaaaa", Addr: net.IPv4(1, 2, 3, 4), Meta: goodRecordBytes()},
		}
		for _, name := range []string{"", "~", "peer", "peer~", "~aaaaaaaa", "peer~aaaaaaa", "peer~aaaaaaaaa", "peer~AAAAAAAA",
			"peer~aaaa\naaa", "Peer~aaaaaaaa", "pe er~aaaaaaaa", strings.Repeat("x", 64) + "~aaaaaaaa", "peer~aaaaaaaa~aaaaaaaa"} {
			nodes = append(nodes, heard(name, 1, goodRecord(1)))
		}
		for range 500 {
			b := make([]byte, random.IntN(600))
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			if len(b) > 0 {
				b[0] = 1
			}
			nodes = append(nodes, &memberlist.Node{Name: "peer~aaaaaaaa", Addr: net.IPv4(1, 2, 3, 4), Port: 1, Meta: b})
		}
		before, d := c.Stats().Refused, c.Delegate()
		for _, n := range nodes {
			if d.NotifyAlive(n) == nil || d.NotifyMerge([]*memberlist.Node{n}) == nil {
				t.Errorf("accepted: %q %x", n.Name, n.Meta)
			}
			d.NotifyLeave(n)
		}
		if d.NotifyMerge(nil) == nil || d.NotifyMerge(nodes) == nil {
			t.Error("accepted a list of nobody")
		}
		if got, want := c.Stats().Refused-before, uint64(2*len(nodes)+2); got != want {
			t.Errorf("%d refused, want %d", got, want)
		}
		for _, n := range nodes[4:] { // past the check of compatibility
			d.NotifyJoin(n)
			d.NotifyUpdate(n)
		}
		d.NotifyMsg([]byte("x"))
		d.MergeRemoteState([]byte("x"), true)
		if got := len(c.Members()); got != 1 {
			t.Errorf("%d members, want only this node", got)
		}
	})
}

func goodRecordBytes() []byte {
	r := goodRecord(1)
	return r.Marshal()
}

// One bad record beside good ones does not keep a whole cluster out.
func TestMergeNeedsOneGoodMember(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := alone(w)
		other := goodRecord(1)
		other.Settings++
		bad, good := heard("bad~aaaaaaaa", 1, other), heard("good~aaaaaaaa", 2, goodRecord(1))
		if err := c.Delegate().NotifyMerge([]*memberlist.Node{bad, good}); err != nil {
			t.Errorf("NotifyMerge() = %v", err)
		}
		good.State = memberlist.StateLeft
		if err := c.Delegate().NotifyMerge([]*memberlist.Node{bad, good}); err == nil || !strings.Contains(err.Error(), "ring settings") {
			t.Errorf("NotifyMerge() = %v, want an error about ring settings", err)
		}
	})
}

// For the race detector: delegates, readers and the rebuild at once.
func TestConcurrentUse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := alone(w)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 50 {
					n := heard(fmt.Sprintf("peer-%d~aaaaaaaa", i), i, goodRecord(uint64(j)))
					c.Delegate().NotifyJoin(n)
					c.Members()
					c.Stats()
					c.Self()
					c.Delegate().NotifyLeave(n)
					time.Sleep(time.Millisecond)
				}
			})
		}
		all.Wait()
		time.Sleep(50 * time.Millisecond)
		if s := c.Stats(); s.Dead != 8 || s.Active != 1 || len(c.Ring().Members) != 1 {
			t.Errorf("Stats() = %+v, want 8 dead and a ring of one", s)
		}
	})
}
