package cluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/bucketring/bucketring/cluster"
)

// Real sockets on loopback, in real time: the one test outside a bubble.
func TestRealSockets(t *testing.T) {
	nodes := map[string]*cluster.Cluster{}
	var seeds []string
	for i := range 3 {
		c, err := cluster.Join(t.Context(), cluster.Config{
			Name: nodeName(i), Bind: "127.0.0.1:0", Peer: "127.0.0.1:7755", Seeds: seeds,
			Access: cluster.Access{Label: "sockets", Keys: [][]byte{key(7)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		nodes[nodeName(i)], seeds = c, append(seeds, c.Addr())
	}
	poll := func(what string, cond func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not yet: %s", what)
			}
		}
	}
	poll("three agree", func() bool { return agree(3, nodes) })
	first, leaver := nodes[nodeName(0)], nodes[nodeName(2)]
	if err := leaver.Leave(context.Background()); err != nil {
		t.Error(err)
	}
	delete(nodes, nodeName(2))
	poll("two agree", func() bool { return agree(2, nodes) })
	poll("the third has left", func() bool { return states(first)[nodeName(2)] == cluster.StateLeft })
}
