package node_test

import (
	"context"
	"fmt"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// A node works alone, inside any program.
func Example() {
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go n.Run(ctx) // keeps memory tidy

	limits, err := bucketring.Parse("3/h, 100/d")
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		d, err := n.Take(ctx, bucketring.Request{Key: "user:alice", Limits: limits, Cost: 1})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(d.Allowed, d.Remaining, "of", d.Limit, "left by", d.Name)
	}
	// Output:
	// true 2 of 3 left by inline
	// true 1 of 3 left by inline
	// true 0 of 3 left by inline
	// false 0 of 3 left by inline
}
