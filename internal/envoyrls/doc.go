// Package envoyrls is the Envoy door: it serves Envoy's rate limit service v3, so that Envoy
// and whatever else speaks that protocol asks a bucketring node as it is.
//
// # Model
//
// A call names a domain and has descriptors, which are lists of keys and values. Its domain
// decides how it is answered:
//
//   - native: the domain is the namespace of a policy in limits/v1. Each descriptor is a
//     call with attributes; see native.go.
//   - dialect: the domain is a file of envoyproxy/ratelimit. Each descriptor meets one
//     rule, whose counter is a register; see dialect.go, count.go and step.go.
//
// The answers of the dialect are those of envoyproxy/ratelimit, to the letter, also where
// one would do it otherwise today: a call that is refused is charged all the same, and a
// month has 30 days.
//
// # Time
//
// Envoy waits for 20 ms and lets the call pass then. So every call is answered within 15 ms:
// counters have 10 ms to answer, after which a rule of the dialect is held to this node's
// share of it, and a limit of a policy to what its on_unavailable says.
//
// # What it does not do
//
// It counts nothing itself, reads no files, opens no socket and logs nothing but panics. Values of
// calls are labels of metrics only where a file says so.
//
// # Concurrency
//
// A [Server] is safe for concurrent use. A call with several descriptors has a goroutine for
// each, which ends with the call. A panic costs the call in which it happened.
//
// Read next: server.go, check.go, then dialect.go or native.go.
package envoyrls
