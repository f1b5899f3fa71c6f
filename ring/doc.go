// Package ring says who should decide a key: an immutable table from partitions
// to members, made by consistent hashing with bounded loads.
//
// A key hashes to one of [Partitions] partitions, and each partition has one
// owner. The table is copied out of buraksezer/consistent once for each change
// of membership, so that a lookup is one hash and one index: no lock, no
// allocation. Equal sets of members give equal tables on every node, whatever
// the order in which the members came.
//
// The ring says who should decide, not who does while members change; package
// ring/handover will hold that protocol. It keeps no keys and reads no clock.
//
// A [Ring] never changes after Build and may be shared freely; a [Builder]
// belongs to one goroutine. The algorithm is Mirrokni, Thorup and
// Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2016).
//
// Read next: ring.go, then hash.go for the constants that all nodes share.
package ring
