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
// What is here moves: package ring/handover says when, and a mover (handover.go) closes,
// sends and opens partitions in the table. Where Config.Messages is nil, the ring alone
// says what is here, and counters do not move. replica.go copies what has changed to the
// next owner; failover.go, wake.go and guard.go are for nodes that are silent, were paused
// or are missing; charges.go and disk.go for what others, or the next start, must know.
//
// A Node and its Local are safe for concurrent use. A call takes no lock, but
// for calls with several limits of which one is strict, and for a denial by a
// strict one. A call whose limits live at several nodes asks them at the same time
// and waits for all; beside that, Run has the room's goroutines: upkeep, the mover, and
// the disk.
//
// A key that is elsewhere and asked for often is answered from borrowed tokens: lease.go has
// the rules, borrow.go spends, slices.go and lend.go carry. denials.go repeats what its
// owner has refused. allow.go is for programs with a node of their own, which ask for a yes or
// a no. hot.go notes some of the calls, to say which keys are asked for most.
//
// Read next: node.go, local.go, call.go, then bucket/bucket.go; forward.go and
// fallback.go for the other case; policy.go and work.go for policies; handover.go and
// what it names for changes of the cluster.
package node
