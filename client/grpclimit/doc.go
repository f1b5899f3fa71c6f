// Package grpclimit limits the calls to a gRPC server.
//
//	limit := grpclimit.Config{
//		Limiter: lim, // a client.Client, or a node in the same process
//		Request: grpclimit.Key(bucketring.MustParse("100/m"), grpclimit.PeerIP),
//	}
//	server := grpc.NewServer(
//		grpc.UnaryInterceptor(grpclimit.Unary(limit)),
//		grpc.StreamInterceptor(grpclimit.Stream(limit)),
//	)
//
// What to ask is a function of the call; [Key] makes one that counts callers against
// limits given here, [Policy] one that leaves it to a policy. A stream is asked for when
// it opens, whatever passes through it.
//
//	admitted   the rate headers as header metadata: x-ratelimit-limit and so on
//	denied     ResourceExhausted, with google.rpc.QuotaFailure and, if waiting can help,
//	           google.rpc.RetryInfo, which RetryAfter reads; the rate headers and
//	           retry-after as trailer metadata; gRPC's own retries are told to wait as
//	           long. Access rules of a policy deny with PermissionDenied
//	no answer  passes: a limiter that is away is no reason to be away. Config.Observe
//	           counts these calls, Config.FailClosed refuses them as Unavailable
//	invalid    InvalidArgument: a caller must not get round a limit by what it sends
//
// While a handler runs, for a stream until it ends, leases of concurrency limits are
// renewed; when it returns, or panics, they are given back. A handler whose cost is known
// at the end says it to the Grant of its context, which client.GrantFrom finds.
//
// The interceptors are safe for concurrent use. They start one goroutine for a call that
// was lent something, and wait for it. Read next: config.go, serve.go, deny.go.
package grpclimit
