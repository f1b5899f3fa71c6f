// Package httplimit limits the requests to an HTTP handler: 429 with the headers that
// callers know, and the rate headers on the answers of the application.
//
//	mux = httplimit.PerKey(lim, "100/m", httplimit.RemoteIP)(mux)
//
// lim is any bucketring.Limiter: a client.Client, or a node in the same process. [New]
// has all the choices. What to ask is a function of the request; [Key] makes one that
// counts callers against limits given here, [Policy] one that leaves it to a policy.
//
//	admitted   rate headers on the application's answer, as it is about to be sent,
//	           unless the application has set some itself
//	denied     the policy's answer, to the byte; without a policy 429 and a problem
//	           document (RFC 9457)
//	no answer  passes: a limiter that is away is no reason to be away. Config.Observe
//	           counts these requests, Config.FailClosed refuses them with 503
//	invalid    400: a caller must not get round a limit by what it sends
//
// While the handler runs, leases of concurrency limits are renewed; when it returns, or
// panics, they are given back. A handler whose cost is known at the end says it to the
// Grant of its context, which client.GrantFrom finds.
//
// Header names have Go's spelling here, so that Get of http.Header finds them.
//
// A handler that comes out of New is safe for concurrent use. It starts one goroutine for a
// request that was lent something, and waits for it. Read next: config.go, handler.go.
package httplimit
