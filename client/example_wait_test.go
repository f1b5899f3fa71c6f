package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/policy"
)

func ExampleWait() {
	lim := newCounting() // in real life a node, or a Client
	req := bucketring.Request{Key: "alice", Limits: bucketring.MustParse("10/s burst=1"), Cost: 1}
	for range 2 {
		d, err := client.Wait(context.Background(), lim, req) // the second sleeps for 100 ms
		fmt.Println(d.Allowed, err)
	}
	req.Cost = 2
	_, err := client.Wait(context.Background(), lim, req)
	fmt.Println(err)
	// Output:
	// true <nil>
	// true <nil>
	// client: waiting cannot help: inline denies this call for ever
}

func ExampleQueue() {
	queue := client.NewQueue(newCounting(), 100)
	// Each worker calls this before it begins a job.
	d, err := queue.Wait(context.Background(), bucketring.Request{
		Key: "jobs", Limits: bucketring.MustParse("60/m"), Cost: 1,
	})
	if errors.Is(err, client.ErrQueueFull) {
		fmt.Println("a hundred workers wait already")
	}
	fmt.Println(d.Allowed, err)
	// Output: true <nil>
}

func ExampleSockets() {
	text, err := os.ReadFile("../deploy/policies/lesan.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	lesan, err := policy.Parse("lesan.yaml", text, policy.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	sockets := client.NewSockets() // one for the whole server
	socket, err := sockets.Open(lesan, nil, map[string]string{"op": "stream", "api_key": "A"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer socket.Close()

	at, _ := socket.Expires()
	fmt.Println("open for", time.Until(at).Round(time.Minute))
	if _, ok := socket.Allow(1, 500_000); ok {
		fmt.Println("a message of 500 kB passes")
	}
	if frame, ok := socket.Allow(1, 1_000_001); !ok {
		fmt.Println("close with", frame.Code, frame.Reason)
	}
	// Output:
	// open for 30m0s
	// a message of 500 kB passes
	// close with 4029 data rate
}

func ExampleKeepLeases() {
	lim := newHolder() // in real life a node, or a Client
	lease := lim.take(1)
	working, done := context.WithCancel(context.Background())
	kept := make(chan error)
	go func() { kept <- client.KeepLeases(working, lim, []string{lease}, time.Minute) }()

	// ... the work that the lease is for, until it is
	done()
	fmt.Println(<-kept)
	// Output: <nil>
}
