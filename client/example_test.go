package client_test

import (
	"context"
	"fmt"
	"net"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/transport"
)

func ExampleDial() {
	// A node, to have something to ask. In real life it runs elsewhere.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	left := int64(2)
	node := transport.NewServer(decider(func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		d := bucketring.Decision{Allowed: left >= req.Cost}
		left = max(left-req.Cost, 0)
		d.LimitState = bucketring.LimitState{Name: req.Limits[0].Name, Allowed: d.Allowed, Limit: 2, Remaining: left}
		return d, nil
	})).GRPC()
	go node.Serve(listener)
	defer node.Stop()

	ctx := context.Background()
	lim, err := client.Dial(ctx, client.Config{Addrs: []string{listener.Addr().String()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lim.Close()

	perMinute := bucketring.MustParse("2/m")
	for range 3 {
		d, err := lim.Take(ctx, bucketring.Request{Key: "alice", Limits: perMinute, Cost: 1})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(d.Allowed, d.Remaining, "of", d.Limit, "left")
	}
	// Output:
	// true 1 of 2 left
	// true 0 of 2 left
	// false 0 of 2 left
}
