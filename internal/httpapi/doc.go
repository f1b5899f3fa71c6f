// Package httpapi is the HTTP door: it serves the JSON API of the client
// listener from a [bucketring.Limiter], and that of the admin listener from an
// [Admin].
//
// # Model
//
// A call is read into a [bucketring.Request], from a JSON body or from a query,
// and handed to the Limiter; the [bucketring.Decision] is written back:
//
//	take, peek      the decision; 200 allowed, 429 or the policy's status denied;
//	                X-RateLimit fields, or those that the policy chooses
//	refund, reset   the decision, 200; no rate fields
//	take/batch      at most 1000 requests, carried out one after the other in
//	                their order; 200 and an answer for each, a decision or an error
//	renew, release  for each lease whether it was there, 200
//	settle          the decision, 200; 404 for a reservation that nobody knows
//	level           the decision; 200, or 429 if what is added does not fit
//	usage           every limit of a caller, or the page that its policy describes
//	forward-auth    200 and no body, or the policy's refusal, for proxies
//
// Limits that came with the call are counted in whole numbers. A call with a
// namespace may cost 12.5; its answer shows each limit in the limit's decimals,
// with its kind, its unit and null for a number that it does not have.
//
// Whatever is not a decision is application/problem+json (RFC 9457) with a
// detail that says what to do. A request is strict: an unknown field, a repeated
// one, a fraction where a whole number belongs and bytes after the end are
// refused, never ignored, so that a typing error cannot loosen a limit. Bounds
// hold before memory is spent: 256 KiB of body, 1 MiB for operators, 16 levels of
// nesting.
//
// A page of another site can make a browser send none of the calls, forward-auth
// apart: what a browser sends there was meant for the site behind the proxy, whose
// X-Forwarded fields are believed.
//
// The pages about the cluster come from a [View], the probes from a [Health],
// which cmd mounts on the admin listener too, beside [NewAdmin].
//
// # What it does not do
//
// It decides nothing, keeps no state between calls, forwards nothing and knows
// no ring. Who a caller is, and what it may do, a [bucketring.Guard] says, if there
// is one: access.go asks it. A user's key, a token, an id and the key of a table's row
// are never logged and stand in no error.
//
// # Concurrency
//
// A [Handler] is safe for concurrent use and starts no goroutine. A panic costs
// the one call in which it happened. One batch is decided in sequence; batches
// run beside each other.
//
// Read next: handler.go, face.go, access.go, then take.go, request.go and decision.go;
// forward.go and admin.go stand for themselves.
package httpapi
