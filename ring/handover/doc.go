// Package handover is the ownership protocol: who holds a partition now, and how it
// passes from one node to the next without losing a count.
//
// # Model
//
// The ring says who should decide a partition. Exactly one node holds it and
// decides. The one that should takes it from the one that does, which freezes,
// sends its state and refers callers onward. Views of the membership may differ for
// minutes: nothing is lost as long as the holder can be reached.
//
// A [Machine] is one node's part in this, as a pure function: [Machine.Step] maps a
// time and an [Event] to [Action]s. It starts no goroutine, reads no clock, knows no
// network and no counters; a [State] is a handle that it passes on. The same events
// give the same actions.
//
// Every handover raises the partition's generation by one. A claim, made when nobody
// is left to take from, jumps to the next multiple of 2^32 and begins a new lineage.
// Two holders can only come from crashes and splits. They meet in [Held] messages:
// the lower generation stops and offers its state to the higher.
//
// # Rules
//
//	R1 want    owner by the ring and nothing here: ask who may hold it    want.go
//	R2 give    asked by that owner: freeze, grant, until it is accepted   give.go
//	R3 accept  a grant that is new is installed, wanted or not            give.go
//	R4 orphan  nobody to take from: ask all, wait while in doubt, claim   orphan.go
//	R5 fence   a holder of a higher generation: stop, offer the state     fence.go
//	R7 nudge   held here, owned elsewhere: tell the owner                 fence.go
//	   leave   empty here, and nothing under way to here                  drain.go
//
// R6, where calls go, and R8, waking from a pause, belong to the node.
//
// # What a driver owes
//
// It carries out actions in their order, and feeds each Freeze back as [Frozen]. It
// merges the view that came with a message before the message. It joins states; the
// join must be commutative, associative and idempotent. Messages may be lost, late,
// doubled and out of order. A Machine belongs to one goroutine.
//
// Read next: machine.go and upkeep.go, then the rules in their order.
package handover
