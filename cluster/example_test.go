package cluster_test

import (
	"context"
	"fmt"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/ring"
)

// A node alone on loopback needs neither label, keys nor seeds.
func ExampleJoin() {
	ctx := context.Background()
	c, err := cluster.Join(ctx, cluster.Config{
		Name:   "node-1",
		Bind:   "127.0.0.1:0",
		Peer:   ":7755",
		OnRing: func(r *ring.Ring) { fmt.Println("ring of", len(r.Members)) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := c.Self()
	fmt.Println(m.Name, m.State, m.Peer)
	if err := c.Leave(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ring of 1
	// node-1 active 127.0.0.1:7755
	// ring of 0
}
