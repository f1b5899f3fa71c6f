// Package gubernatorapi is the Gubernator door: it serves clients of Gubernator, which
// need no change, from a [bucketring.Limiter].
//
// # Model
//
// A call has up to 1000 items, and each brings its limit along. One item is one run of
// a [Step] on the register of its name and unique_key, at the owner of that key:
//
//	item -> checks -> question -> arguments -> Limiter -> Step -> numbers -> answer
//
// The two algorithms are Gubernator's, with their names: TOKEN_BUCKET is a window that
// begins with the first hit (token.go), LEAKY_BUCKET a bucket that refills evenly
// (leaky.go). They answer what Gubernator v2.19.1 does, but for the deviations that
// docs/migrate-gubernator.md lists, each with a test of its own.
//
// The same calls come over gRPC (pb.gubernator.V1) and as JSON over HTTP.
//
// # Time
//
// Time is in ms since 1970, as it is on the wire. What counts is the clock of the key's
// owner: created_at of an item can move it by the allowed skew, and no bucket goes back
// in time. Only the door knows time zones; the step is told where intervals begin.
//
// # What it does not do
//
// It keeps no counter, knows no ring and opens no socket. PeersV1, which nodes of
// Gubernator speak among each other, is not offered. Behaviors that say how nodes
// forward have no meaning here: every item is decided by the owner of its key.
//
// # Concurrency
//
// A [Server] is safe for concurrent use. Items that wait for other nodes do so
// together, those of one key in their order. A panic costs the item in which it
// happened.
//
// Read next: server.go, call.go, item.go, then step.go, token.go and leaky.go.
package gubernatorapi
