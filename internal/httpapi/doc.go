// Package httpapi is the HTTP door: it serves the JSON API of the client
// listener from a [bucketring.Limiter].
//
// # Model
//
// A call is read into a [bucketring.Request], from a JSON body or from a query,
// and handed to the Limiter; the [bucketring.Decision] is written back:
//
//	take, peek     the decision; 200 allowed, 429 denied; X-RateLimit fields
//	refund, reset  the decision, 200; no X-RateLimit fields
//	take/batch     at most 1000 requests, carried out one after the other in
//	               their order; 200 and an answer for each, a decision or an error
//
// Whatever is not a decision is application/problem+json (RFC 9457) with a
// detail that says what to do. A request is strict: an unknown field, a repeated
// one, a fraction where a whole number belongs and bytes after the end are
// refused, never ignored, so that a typing error cannot loosen a limit. Bounds
// hold before memory is spent: 256 KiB of body, 16 levels of nesting.
//
// The pages about the cluster come from a [View], the probes from a [Health],
// which cmd mounts on the admin listener too.
//
// # What it does not do
//
// It decides nothing, keeps no state between calls, forwards nothing and knows
// no ring. Policies, leases, settling, levels, usage and forward-auth are
// refused by name until they exist. A user's key is never logged and stands in
// no error.
//
// # Concurrency
//
// A [Handler] is safe for concurrent use and starts no goroutine. A panic costs
// the one call in which it happened. One batch is decided in sequence; batches
// run beside each other.
//
// Read next: handler.go, then take.go, request.go and encode.go.
package httpapi
