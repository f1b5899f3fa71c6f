// Package client is for programs that ask bucketring.
//
// A [Client] is a bucketring.Limiter that knows several nodes and asks the next
// one when a node cannot be reached. Any node answers for any key; once answers have
// said who owns one, the client asks there, and nobody has to forward the call.
//
//	lim, err := client.Dial(ctx, client.Config{Addrs: []string{"127.0.0.1:7751"}})
//	d, err := lim.Take(ctx, bucketring.Request{Key: "alice", Limits: perMinute, Cost: 1})
//
// Around any Limiter, also a node in the same process, there is what callers need
// beside the call itself:
//
//	Wait, Queue    sleep until a call is admitted, alone or in line    wait.go
//	KeepLeases     renew what a call was lent, and give it back        lease.go
//	Sockets        what may pass through each WebSocket                socket.go
//
// Only Sockets counts, for the connections of this process; all other counters are
// the nodes'. A Client keeps one stream to each node that it asks, with
// two goroutines; nothing else here starts any. All types are safe for concurrent use.
//
// docs/examples/websocket is a server that uses most of it.
package client
