package cluster_test

import (
	"bytes"
	"io"
	"log"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/bucketring/bucketring/cluster"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// Two nodes whose Access differs, the second with the first as its seed.
func TestStrangersStayOut(t *testing.T) {
	label := cluster.Access{Label: "test", Insecure: true}
	tests := map[string]struct {
		first, second cluster.Access
		counted       func(s cluster.Stats) uint64
	}{
		"other label": {label, cluster.Access{Label: "other", Insecure: true},
			func(s cluster.Stats) uint64 { return s.OtherLabel }},
		"other key": {cluster.Access{Label: "test", Keys: [][]byte{key(1)}}, cluster.Access{Label: "test", Keys: [][]byte{key(2)}},
			func(s cluster.Stats) uint64 { return s.Undecryptable }},
		"no key": {cluster.Access{Label: "test", Keys: [][]byte{key(1)}}, label,
			func(s cluster.Stats) uint64 { return s.Undecryptable }},
		"key where there is none": {label, cluster.Access{Label: "test", Keys: [][]byte{key(1)}},
			func(s cluster.Stats) uint64 { return s.Undecryptable }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.config(1), w.config(2)
				a.Access, b.Access = tt.first, tt.second
				a.Seeds, b.BootstrapAfter = nil, 3*time.Second
				first, second := w.join(a), w.join(b)
				time.Sleep(time.Minute)
				if len(first.Members()) != 1 || len(second.Members()) != 1 {
					t.Errorf("they met: %v, %v", states(first), states(second))
				}
				if tt.counted(first.Stats()) == 0 {
					t.Errorf("Stats() = %+v, want it counted", first.Stats())
				}
			})
		})
	}
}

func TestKeysInAnotherOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.config(1), w.config(2)
		a.Access = cluster.Access{Label: "test", Keys: [][]byte{key(1), key(2)}}
		b.Access = cluster.Access{Label: "test", Keys: [][]byte{key(2), key(1)}}
		a.Seeds = nil
		w.join(a)
		w.join(b)
		w.agree(2*time.Second, 2)
	})
}

// A fixedMeta is the record of a member that is not ours.
type fixedMeta []byte

func (m fixedMeta) NodeMeta(int) []byte           { return m }
func (fixedMeta) NotifyMsg([]byte)                {}
func (fixedMeta) GetBroadcasts(_, _ int) [][]byte { return nil }
func (fixedMeta) LocalState(bool) []byte          { return nil }
func (fixedMeta) MergeRemoteState([]byte, bool)   {}

// stranger starts bare memberlist at node i's address, which tells meta and
// takes everybody.
func (w *world) stranger(i int, gossipName string, meta []byte) *memberlist.Memberlist {
	w.Helper()
	cfg := memberlist.DefaultLANConfig()
	cfg.Name, cfg.Label, cfg.Delegate = gossipName, "test", fixedMeta(meta)
	cfg.Transport, cfg.Logger = w.net.Transport(addr(i)), log.New(io.Discard, "", 0)
	m, err := memberlist.Create(cfg)
	if err != nil {
		w.Fatal(err)
	}
	return m
}

func TestOtherRecordsAreRefused(t *testing.T) {
	other := goodRecord(1)
	other.Settings++
	wire := goodRecord(1)
	wire.WireMin, wire.WireMax = 2, 9
	good := goodRecord(1)
	tests := map[string]struct {
		name string
		meta []byte
	}{
		"ring settings": {"peer~aaaaaaaa", other.Marshal()},
		"wire range":    {"peer~aaaaaaaa", wire.Marshal()},
		"cut short":     {"peer~aaaaaaaa", good.Marshal()[:20]},
		"no record":     {"peer~aaaaaaaa", nil},
		"name":          {"peer", good.Marshal()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				nodes := w.start(1, 2)
				s := w.stranger(3, tt.name, tt.meta)
				defer s.Shutdown()
				if _, err := s.Join([]string{addr(1)}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Second)
				for _, c := range nodes {
					if n := len(c.Members()); n != 2 {
						t.Errorf("%d members, want 2", n)
					}
				}
				if nodes[0].Stats().Refused == 0 {
					t.Error("nothing was counted")
				}
			})
		})
	}
}

// A node whose only seed is of a foreign cluster does not take it for company.
func TestForeignSeedIsNoSeed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		other := goodRecord(1)
		other.Settings++
		s := w.stranger(2, "peer~aaaaaaaa", other.Marshal())
		defer s.Shutdown()
		cfg := w.config(1)
		cfg.Seeds = []string{addr(2)}
		begin := time.Now()
		c := w.join(cfg)
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("Join took %v, want to wait for 10s", took)
		}
		if s := c.Stats(); s.Refused == 0 || s.Active != 1 {
			t.Errorf("Stats() = %+v, want it refused", s)
		}
	})
}

// Nodes with another secret place keys differently: they stay apart even where
// gossip is not encrypted.
func TestForeignSeedOfPlacementIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.start(1, 2)
		cfg := w.config(3)
		cfg.Placer.Seed = 42
		cfg.Seeds = []string{addr(1)}
		c := w.join(cfg)
		if n := len(c.Members()); n != 1 || c.Stats().Refused == 0 {
			t.Errorf("the stranger has %d members and refused %d, want itself and some", n, c.Stats().Refused)
		}
		if n := len(nodes[0].Members()); n != 2 {
			t.Errorf("%d members, want 2", n)
		}
	})
}

// A clock that stepped back does not make a new start look old, whether the
// start before it still lives or is known only as dead.
func TestBootRisesAboveEarlierStarts(t *testing.T) {
	for _, gone := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			nodes := w.start(1, 2)
			future := uint64(time.Now().Add(time.Hour).UnixNano())
			r := goodRecord(future)
			s := w.stranger(9, "node-3~aaaaaaaa", r.Marshal())
			defer s.Shutdown()
			if _, err := s.Join([]string{addr(1)}); err != nil {
				t.Fatal(err)
			}
			w.agree(2*time.Second, 3)
			if gone {
				s.Leave(time.Second)
				w.agree(2*time.Second, 2)
			}
			c := w.join(w.config(3))
			s.Shutdown()
			w.agree(2*time.Second, 3)
			if got := c.Self().Boot; got <= future {
				t.Errorf("gone %v: boot is %d, want more than %d", gone, got, future)
			}
			if got := nodes[0].Ring().Members[2].Boot; got != c.Self().Boot {
				t.Errorf("gone %v: the ring has boot %d, want %d", gone, got, c.Self().Boot)
			}
		})
	}
}
