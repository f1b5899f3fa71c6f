// Package node decides. A [Node] takes a call from any door, finds the key's
// owner on the ring and either decides with its own counters or asks the owner.
//
// [Local] is the half that decides: it never forwards, so that a loop of nodes
// asking each other is impossible by construction. Peers reach a node's Local,
// callers its Node. When the owner cannot be asked in time, fallback.go answers
// as the limit says, and the decision tells so.
//
// A call in a namespace goes through its policy first: policy.go has it resolved to
// charges, work.go has these counted wherever they live and takes back what a denied
// call was charged, ids.go finds the keepers of leases and reservations. owed.go
// tries again what could not be given back.
//
// A node works alone from the start. Whoever learns of other members, which is
// package cluster, calls SetRing; the node asks them through [Peers], which is
// package transport. This package knows neither.
//
// It does not yet hand counters over when the ring changes, nor copy them to a
// second node: those will be handover.go and replica.go, driving package
// ring/handover.
//
// A Node and its Local are safe for concurrent use. A call takes no lock, but
// for calls with several limits of which one is strict, and for a denial by a
// strict one. A call whose limits live at several nodes asks them at the same time
// and waits for all; beside that, Run is the room's only goroutine.
//
// Read next: node.go, local.go, call.go, then bucket/bucket.go; fallback.go for the
// other case; policy.go and work.go for policies.
package node
