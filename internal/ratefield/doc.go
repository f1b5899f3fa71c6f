// Package ratefield writes a decision as HTTP header fields.
//
// # Model
//
// One call, [Set], puts at most four fields onto a header map:
//
//	X-RateLimit-Limit      capacity of the limit that the decision describes
//	X-RateLimit-Remaining  what is left of it, rounded down
//	X-RateLimit-Reset      Unix seconds when it is unused again, rounded up
//	Retry-After            seconds, rounded up, at least 1; only on a denial
//	                       that waiting can cure
//
// The names keep their customary capitals in the map, so read them with
// h["X-RateLimit-Limit"]: [net/http.Header.Get] looks for X-Ratelimit-Limit.
//
// # What it does not do
//
// It chooses no limit: the [bucketring.Decision] already describes the right
// one. It reads no clock, and a rounded time is never earlier than the true one.
// The fields RateLimit and RateLimit-Policy of
// draft-ietf-httpapi-ratelimit-headers-11 are not written yet; their place is a
// file of their own beside xratelimit.go.
//
// # Concurrency
//
// The functions keep nothing. A header map belongs to its caller.
//
// Read next: xratelimit.go.
package ratefield
