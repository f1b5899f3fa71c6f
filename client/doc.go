// Package client is for programs that ask bucketring.
//
// A [Client] is a bucketring.Limiter that knows several nodes and asks the next one when a
// node cannot be reached, or says nothing. Any node answers for any key; once answers have
// said who owns one, the client asks there, and nobody has to forward the call.
//
//	lim, err := client.Dial(ctx, client.Config{Addrs: []string{"127.0.0.1:7751"}})
//	d, err := lim.Take(ctx, bucketring.Request{Key: "alice", Limits: perMinute, Cost: 1})
//
// A denial is a Decision, not an error: look at d.Allowed, and at d.RetryAfter for how
// long to wait. An error means that nobody could say; most programs let the call pass
// then. Make limits once, with bucketring.Parse, and share them.
//
// Around any Limiter, also a node in the same process, there is what callers need
// beside the call itself:
//
//	Wait, Queue    sleep until a call is admitted, alone or in line       wait.go
//	Retry          ask again while no node can be reached                 retry.go
//	Hold           renew what a call was lent, and give it back; settle   grant.go
//	KeepLeases     the same for leases alone, in your own goroutine       lease.go
//	Sockets        what may pass through each WebSocket                   socket.go
//	RefusalOf      a denial in words, for doors of your own               refusal.go
//	AnyKey, ...    keys of what callers send, and of addresses            key.go
//
// Packages httplimit and grpclimit are made of these: middleware and interceptors for
// servers. [Polite] is the other side: an http.RoundTripper for callers of an API that
// has limits, this one's or another.
//
// Only Sockets counts, for the connections of this process; all other counters are
// the nodes'. A Client keeps one stream to each node that it asks, with
// two goroutines; Hold starts one for a call that was lent something, and End waits for
// it; nothing else here starts any. All types are safe for concurrent use.
//
// docs/go.md is a guide, and docs/examples/websocket a server that uses most of it. Read
// next: client.go, failover.go, guide.go.
package client
