// Package clustertest is a gossip network in memory, for tests that run real
// memberlist in a testing/synctest bubble.
//
// A [Network] connects transports by their addresses. Packets may be lost, as
// UDP packets may; streams are whole and in order, as TCP streams are, and what
// is sent into a cut arrives once it is healed. Nothing ever blocks a sender:
// that is what keeps a bubble's time running when a receiver is gone.
//
// It does not model bandwidth, reordering, or a delay of its own per pair of
// nodes.
//
// A Network starts no goroutine, and everything that waits in it ends when its
// transport shuts down. All methods are safe for concurrent use.
//
// Read next: network.go, then transport.go and conn.go.
package clustertest
