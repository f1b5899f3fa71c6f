package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/cluster/clustertest"
)

// A world is a network and the nodes on it, in one bubble.
type world struct {
	*testing.T
	net   *clustertest.Network
	nodes map[string]*cluster.Cluster // by name; those that still run
}

// inWorld runs test in a bubble and closes what it leaves running.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Int64()
		t.Logf("network seed %d", seed)
		w := &world{t, clustertest.NewNetwork(seed), map[string]*cluster.Cluster{}}
		defer func() {
			for _, c := range w.nodes {
				c.Close()
			}
			time.Sleep(time.Minute) // no time passes in a bubble whose test has returned
		}()
		test(t, w)
	})
}

// addr is the gossip address of node i.
func addr(i int) string { return fmt.Sprintf("10.0.0.%d:7752", i) }

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

// config is that of node i, with the first three nodes as seeds.
func (w *world) config(i int) cluster.Config {
	return cluster.Config{
		Name:   nodeName(i),
		Bind:   addr(i),
		Peer:   ":7755",
		Seeds:  []string{addr(1), addr(2), addr(3)},
		Access: cluster.Access{Label: "test", Insecure: true},
		Logger: slog.New(slog.NewTextHandler(w.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Seams:  cluster.Seams{Transport: w.net.Transport(addr(i))},
	}
}

// join starts a node and waits until it is active.
func (w *world) join(cfg cluster.Config) *cluster.Cluster {
	w.Helper()
	c, err := cluster.Join(w.Context(), cfg)
	if err != nil {
		w.Fatalf("Join(%s): %v", cfg.Name, err)
	}
	w.nodes[cfg.Name] = c
	return c
}

// start starts nodes from to to at once and returns them when all agree.
func (w *world) start(from, to int) []*cluster.Cluster {
	w.Helper()
	joined := make(chan *cluster.Cluster)
	for i := from; i <= to; i++ {
		cfg := w.config(i)
		go func() {
			c, err := cluster.Join(context.Background(), cfg)
			if err != nil {
				w.Errorf("Join(%s): %v", cfg.Name, err)
			}
			joined <- c
		}()
	}
	for range to - from + 1 {
		if c := <-joined; c != nil {
			w.nodes[c.Self().Name] = c
		}
	}
	w.agree(repaired, len(w.nodes))
	var all []*cluster.Cluster
	for i := from; i <= to; i++ {
		all = append(all, w.nodes[nodeName(i)])
	}
	return all
}

// until waits for cond, fails if it takes longer than most, and returns how
// long it took, in time of the bubble.
func (w *world) until(most time.Duration, what string, cond func() bool) time.Duration {
	w.Helper()
	begin := time.Now()
	for !cond() {
		if time.Since(begin) > most {
			for name, c := range w.nodes {
				w.Logf("%s sees %v", name, states(c))
			}
			w.Fatalf("after %v: not yet: %s", most, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(begin)
	w.Logf("%s: after %v", what, took)
	return took
}

// repaired is when all is exchanged anew if gossip has missed one of many nodes by chance. Nearly
// always they agree within a second.
const repaired = 20 * time.Second

// agree waits until all running nodes have equal rings of n members.
func (w *world) agree(most time.Duration, n int) time.Duration {
	w.Helper()
	return w.until(most, fmt.Sprintf("%d nodes agree on %d members", len(w.nodes), n), func() bool {
		return agree(n, w.nodes)
	})
}

func agree(n int, nodes map[string]*cluster.Cluster) bool {
	prints := map[uint64]bool{}
	for _, c := range nodes {
		r := c.Ring()
		prints[r.Fingerprint] = true
		if len(r.Members) != n {
			return false
		}
	}
	return len(prints) == 1
}

// crash ends a node as a power cut would.
func (w *world) crash(c *cluster.Cluster) {
	w.net.Kill(c.Addr())
	c.Close()
	delete(w.nodes, c.Self().Name)
}

// states maps the names that c sees to their states.
func states(c *cluster.Cluster) map[string]cluster.State {
	all := map[string]cluster.State{}
	for _, m := range c.Members() {
		all[m.Name] = m.State
	}
	return all
}
