// Package transport carries calls between processes over gRPC: between nodes on
// links that only nodes reach, and from callers through the public API.
//
// A [Pool] holds one link to each peer and hands it out as a
// bucketring.Limiter. A link is one long-lived stream. Its writer sends all that
// is queued as one frame and never waits for more: load makes the batches. The
// receiver decides in the goroutine that read the frame. Calls carry ids, so
// that one that is sent again after a reconnect is not decided twice.
//
// A call to a peer that is known to be away fails at once; no caller waits for
// a queue. Frames, queues and names are bounded on both sides.
//
// The package decides nothing, knows no ring and keeps no counters. Types are
// safe for concurrent use. It starts goroutines for its links; Close waits for
// them.
//
// Read next: peer.go (asking), link.go (the life of a link), item.go (a call on
// the wire), serve.go (answering), server.go and policies.go (the public API); stream.go
// and streams.go for many calls on a stream, packed.go for how they are written.
package transport
