package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/ring"
)

func TestThreeNodesConverge(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		begin := time.Now()
		nodes := w.start(1, 3)
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("convergence took %v, want at most 2s", took)
		}
		for _, m := range nodes[0].Members() {
			if m.State != cluster.StateActive || m.Peer != m.Addr[:len(m.Addr)-1]+"5" {
				t.Errorf("member %+v, want an active one with its gossip host as peer", m)
			}
			if m.Self != (m.Name == "node-1") {
				t.Errorf("member %s has Self = %v", m.Name, m.Self)
			}
		}
		if got := nodes[0].Stats(); got.Active != 3 || got.Joins != 2 {
			t.Errorf("Stats() = %+v, want 3 active and 2 joins", got)
		}
	})
}

func TestJoinMovesItsShareOnly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		before := w.start(1, 3)[0].Ring()
		begin := time.Now()
		fourth := w.join(w.config(4))
		w.agree(time.Second, 4)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the join took %v, want at most 1s", took)
		}
		if moved := fourth.Ring().Moved(before); moved < ring.Partitions/5 || moved > ring.Partitions/3 {
			t.Errorf("%d of %d partitions moved, want about a quarter", moved, ring.Partitions)
		}
	})
}

func TestLeaveIsNoDeath(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.start(1, 4)
		leaver := nodes[3]
		delete(w.nodes, "node-4")
		gone := make(chan error)
		go func() { gone <- leaver.Leave(context.Background()) }()
		synctest.Wait()
		go leaver.SetPolicyHash(0xfeed) // waits for Leave, and stops no clock
		w.agree(time.Second, 3)
		if err := <-gone; err != nil {
			t.Errorf("Leave() = %v", err)
		}
		if n := len(leaver.Ring().Members); n != 3 {
			t.Errorf("the leaver's own ring has %d members, want 3", n)
		}
		w.until(time.Second, "all see it left", func() bool {
			return !slices.ContainsFunc(nodes[:3], func(c *cluster.Cluster) bool {
				return states(c)["node-4"] != cluster.StateLeft
			})
		})
		if s := nodes[0].Stats(); s.Leaves != 1 || s.Deaths != 0 || s.Left != 1 {
			t.Errorf("Stats() = %+v, want 1 leave and no death", s)
		}
		if err := errors.Join(leaver.Leave(context.Background()), leaver.Close()); err != nil {
			t.Errorf("ending twice: %v", err)
		}
		time.Sleep(7 * time.Minute)
		if _, ok := states(nodes[0])["node-4"]; ok {
			t.Error("who left is still shown after 7 minutes")
		}
	})
}

func TestLeaveAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		cfg := w.config(1)
		cfg.Seeds = nil
		c := w.join(cfg)
		if err := c.Leave(t.Context()); err != nil {
			t.Errorf("Leave() = %v", err)
		}
		if n := len(c.Ring().Members); n != 0 {
			t.Errorf("ring has %d members, want none", n)
		}
	})
}

func TestLeaveKeepsDeadline(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.start(1, 2)[0]
		w.net.Split([]string{addr(1)}, []string{addr(2)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := c.Leave(ctx); err == nil {
			t.Error("Leave() = nil, want an error: nobody can have heard")
		}
		if took := time.Since(begin); took > 10*time.Millisecond {
			t.Errorf("Leave() took %v, want its deadline of 1ms", took)
		}
	})
}

func TestCrashIsSeen(t *testing.T) {
	for _, n := range []int{2, 3, 5, 10} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				nodes := w.start(1, n)
				time.Sleep(time.Second)
				w.crash(nodes[n-1])
				w.agree(6*time.Second, n-1)
				if got := states(nodes[0])[nodeName(n)]; got != cluster.StateDead {
					t.Errorf("state %v, want dead", got)
				}
				if s := nodes[0].Stats(); s.Deaths != 1 || s.Leaves != 0 {
					t.Errorf("Stats() = %+v, want 1 death", s)
				}
			})
		})
	}
}

// A node that gossip takes for dead stays a member while a link hears it.
func TestHeardIsNotDead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var silent atomic.Bool
		cfg := w.config(1)
		cfg.Heard = func(peer string, _ uint64) bool { return peer == "10.0.0.3:7755" && !silent.Load() }
		one := w.join(cfg)
		nodes := w.start(2, 3)
		w.crash(nodes[1])
		w.until(6*time.Second, "a death is known", func() bool { return one.Stats().Deaths == 1 })
		time.Sleep(3 * time.Second)
		if got, state := len(one.Ring().Members), states(one)[nodeName(3)]; got != 3 || state != cluster.StateActive {
			t.Errorf("ring of %d members, the one that is heard is %v; want it active on a ring of 3", got, state)
		}
		silent.Store(true)
		w.until(200*time.Millisecond, "the silent one is off the ring", func() bool { return len(one.Ring().Members) == 2 })
	})
}

func TestFastRestartIsANewMember(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.start(1, 3)
		old := nodes[2].Self()
		time.Sleep(time.Second)
		w.crash(nodes[2])
		time.Sleep(300 * time.Millisecond)
		again := w.join(w.config(3))
		w.agree(2*time.Second, 3)
		boot := again.Self().Boot
		if boot <= old.Boot {
			t.Errorf("boot %d after %d, want a higher one", boot, old.Boot)
		}
		if got := nodes[0].Ring().Members[2].Boot; got != boot {
			t.Errorf("ring has boot %d, want %d", got, boot)
		}
		time.Sleep(10 * time.Second)
		if s := nodes[0].Stats(); s.Deaths != 0 || s.Active != 3 {
			t.Errorf("Stats() = %+v, want no death for what a restart leaves behind", s)
		}
	})
}

func TestRestartUnderAnotherAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.start(1, 3)
		w.crash(nodes[2])
		cfg := w.config(9)
		cfg.Name = "node-3"
		w.join(cfg)
		w.agree(2*time.Second, 3)
		if got := nodes[0].Ring().Members[2].Addr; got != "10.0.0.9:7755" {
			t.Errorf("node-3 is at %s, want its new address", got)
		}
	})
}

func TestSplitHeals(t *testing.T) {
	for _, split := range []time.Duration{5 * time.Second, 31 * time.Second, 2 * time.Minute} {
		t.Run(split.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.start(1, 4)
				w.net.Split([]string{addr(1)}, []string{addr(2), addr(3), addr(4)})
				if split > 10*time.Second {
					w.until(30*time.Second, "both sides go on", func() bool {
						return len(w.nodes["node-1"].Ring().Members) == 1 && len(w.nodes["node-4"].Ring().Members) == 3
					})
				}
				time.Sleep(split)
				w.net.HealAll()
				w.agree(15*time.Second, 4)
			})
		})
	}
}

// A node with no seeds of its own is found by those that have it as a seed, and
// looks for those it knew.
func TestSplitHealsFromEitherSide(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 3 {
			cfg := w.config(i + 1)
			cfg.Seeds = []string{addr(1)}
			if i == 0 {
				cfg.Seeds = nil
			}
			w.join(cfg)
		}
		w.agree(2*time.Second, 3)
		for _, alone := range []int{1, 3} {
			rest := slices.DeleteFunc([]string{addr(1), addr(2), addr(3)}, func(a string) bool { return a == addr(alone) })
			w.net.Split([]string{addr(alone)}, rest)
			time.Sleep(time.Minute)
			w.net.HealAll()
			w.agree(15*time.Second, 3)
		}
	})
}

// The only seed has left; both sides of the split remember each other.
func TestSplitHealsWithoutSeeds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 3 {
			cfg := w.config(i + 1)
			cfg.Seeds = []string{addr(1)}
			w.join(cfg)
		}
		w.agree(2*time.Second, 3)
		if err := w.nodes["node-1"].Leave(t.Context()); err != nil {
			t.Error(err)
		}
		delete(w.nodes, "node-1")
		w.agree(time.Second, 2)
		w.net.Split([]string{addr(2)}, []string{addr(3)})
		time.Sleep(2 * time.Minute)
		w.net.HealAll()
		w.agree(15*time.Second, 2)
	})
}

func TestLossAndDelayAreNoDeath(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.net.Delay(20 * time.Millisecond)
		nodes := w.start(1, 5)
		w.net.Loss(0.05)
		time.Sleep(time.Minute)
		w.net.Loss(0)
		for _, c := range nodes {
			if s := c.Stats(); s.Deaths != 0 {
				t.Errorf("%s counts %d deaths, want none at 5%% loss", c.Self().Name, s.Deaths)
			}
		}
		w.agree(repaired, 5)
	})
}

func TestNewerStartSupersedes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.start(1, 3)
		older := nodes[2]
		cfg := w.config(9)
		cfg.Name = "node-3"
		newer := w.join(cfg)
		select {
		case <-older.Superseded():
		case <-time.After(2 * time.Second):
			t.Fatal("the older start was not superseded")
		}
		w.nodes["older"] = older
		w.agree(2*time.Second, 3)
		if got := older.Ring().Members[2].Boot; got != newer.Self().Boot {
			t.Errorf("the ring has boot %d, want %d", got, newer.Self().Boot)
		}
		for p := range uint32(ring.Partitions) {
			if older.Ring().OwnedBySelf(p) {
				t.Fatalf("partition %d still belongs to the superseded start", p)
			}
		}
		select {
		case <-newer.Superseded():
			t.Error("the newer start is superseded as well")
		case <-time.After(time.Minute):
		}
		if err := older.Leave(t.Context()); err != nil {
			t.Errorf("Leave() = %v", err)
		}
		delete(w.nodes, "older")
		time.Sleep(2 * time.Second)
		w.agree(time.Second, 3)
	})
}

func TestOnRingIsToldInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var seen []uint64
		cfg := w.config(1)
		cfg.OnRing = func(r *ring.Ring) { seen = append(seen, r.Version) }
		first := w.join(cfg)
		if len(seen) != 1 {
			t.Errorf("%d rings before Join returned, want 1", len(seen))
		}
		w.start(2, 6)
		w.agree(repaired, 6)
		first.Close()
		if !slices.IsSorted(seen) || seen[len(seen)-1] != first.Ring().Version {
			t.Errorf("versions %v, want a rising row up to %d", seen, first.Ring().Version)
		}
	})
}

func TestBootstrap(t *testing.T) {
	tests := map[string]struct {
		seeds []string
		want  time.Duration
	}{
		"no seeds":       {nil, 0},
		"only itself":    {[]string{addr(1)}, 0},
		"refused":        {[]string{addr(2)}, 10 * time.Second},
		"not answering":  {[]string{"10.0.9.9:7752"}, 10 * time.Second},
		"unknown name":   {[]string{"dns+nowhere.test:7752"}, 10 * time.Second},
		"one that dials": {[]string{"10.0.9.9:7752", addr(1)}, 10 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.net.Kill("10.0.9.9:7752")
				cfg := w.config(1)
				cfg.Seeds, cfg.Seams.Resolver = tt.seeds, &fakeResolver{}
				begin := time.Now()
				w.join(cfg)
				if took := time.Since(begin); took != tt.want {
					t.Errorf("Join took %v, want %v", took, tt.want)
				}
				w.agree(0, 1)
			})
		})
	}
}

func TestDeadSeedDoesNotHoldUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start(1, 1)
		w.net.Kill(addr(2))
		w.net.Kill(addr(3))
		begin := time.Now()
		w.join(w.config(4))
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("Join took %v beside two dead seeds, want at most 2s for each", took)
		}
		w.agree(time.Second, 2)
	})
}

func TestJoinEndsWithItsContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.net.Kill(addr(2))
		cfg := w.config(1)
		cfg.Seeds = []string{addr(2)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := cluster.Join(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Join() = %v, want the context's error", err)
		}
		synctest.Wait()
	})
}

func TestFiveNodesOnOneAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 5 {
			at := fmt.Sprintf("10.0.0.1:%d", 7001+i)
			cfg := w.config(20 + i)
			cfg.Bind, cfg.Seams.Transport = at, w.net.Transport(at)
			cfg.Peer, cfg.Seeds = fmt.Sprintf(":%d", 8001+i), []string{"10.0.0.1:7001"}
			w.join(cfg)
		}
		w.agree(repaired, 5)
	})
}

func TestPolicyHashIsSeenByAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.start(1, 3)
		ring := nodes[1].Ring()
		nodes[0].SetPolicyHash(0xfeed)
		seen := func(c *cluster.Cluster, name string) (hash uint64) {
			for _, m := range c.Members() {
				if m.Name == name {
					hash = m.PolicyHash
				}
			}
			return hash
		}
		for _, c := range nodes {
			w.until(time.Second, "the hash of node-1 at "+c.Self().Name, func() bool { return seen(c, "node-1") == 0xfeed })
			if got := seen(c, "node-2"); got != 0 {
				t.Errorf("%s sees hash %x of node-2, want none", c.Self().Name, got)
			}
		}
		if nodes[1].Ring() != ring {
			t.Error("another policy made another ring")
		}
	})
}

// Where a node stands and what it runs is seen by all; a node that does not tell has neither.
func TestZoneAndVersionAreSeenByAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		told := w.config(1)
		told.Zone, told.Version = "eu-1", "v1.2.3"
		w.join(told)
		w.join(w.config(2))
		w.agree(2*time.Second, 2)
		for name, c := range w.nodes {
			for _, m := range c.Members() {
				want := [2]string{}
				if m.Name == told.Name {
					want = [2]string{"eu-1", "v1.2.3"}
				}
				if got := [2]string{m.Zone, m.Version}; got != want {
					t.Errorf("%s sees %s with zone and version %q, want %q", name, m.Name, got, want)
				}
			}
		}
	})
}

// A dead member that was forgotten counts as one that left, until it is back: then nobody
// remembers that.
func TestForgottenUntilBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.start(1, 3)
		nodes[0].Forget(nodeName(3)) // it is here, and stays so
		w.crash(nodes[2])
		are := func(one, two cluster.State) func() bool {
			return func() bool {
				return states(nodes[0])[nodeName(3)] == one && states(nodes[1])[nodeName(3)] == two
			}
		}
		w.until(10*time.Second, "it is dead", are(cluster.StateDead, cluster.StateDead))
		nodes[0].Forget("stranger")
		nodes[0].Forget(nodeName(3))
		if !are(cluster.StateLeft, cluster.StateDead)() {
			t.Errorf("forgotten by the first node alone, the states are %v and %v", states(nodes[0]), states(nodes[1]))
		}
		back := w.join(w.config(3))
		w.agree(5*time.Second, 3)
		w.crash(back)
		w.until(10*time.Second, "it is dead once more", are(cluster.StateDead, cluster.StateDead))
	})
}
