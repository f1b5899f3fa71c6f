// Package client asks bucketring from another process.
//
// A [Client] is a bucketring.Limiter that knows several nodes and asks the next
// one when a node cannot be reached. Any node answers for any key.
//
//	lim, err := client.Dial(ctx, client.Config{Addrs: []string{"127.0.0.1:7751"}})
//	d, err := lim.Take(ctx, bucketring.Request{Key: "alice", Limits: perMinute, Cost: 1})
//
// It keeps no counters and is safe for concurrent use.
package client
