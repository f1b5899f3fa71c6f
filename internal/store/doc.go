// Package store keeps a map of opaque keys and values on disk, for an owner that
// has the same map in memory.
//
// # Model
//
// The owner writes behind: now and then it appends the records that changed to a
// log, and when logs have grown it writes all records into a snapshot. Only Open
// reads. So there is no index on disk, nothing is rewritten in place, and an append
// is one write and one sync, however many records it has.
//
//	snap-00000007      all records when it was begun
//	log-00000008       what was appended since; a new one at 64 MiB, and at each start
//	snap-00000009.tmp  a snapshot being written
//	log-00000005.bad   a file that was put aside: for people, nothing here reads it
//	LOCK               keeps other processes out
//
// Numbers only grow, and the last record of a key by number and place wins. Kept
// are the two newest snapshots and the logs since the older one, so the newest one
// may be lost.
//
// # Promise
//
// What Append acknowledged is returned by the next Open, after a crash or a power
// cut at any moment and after any error before it; in SyncNever not after a power
// cut. What it did not acknowledge may be returned too, but never in place of an
// acknowledged later value. A full disk costs the appends of that time, not the
// files.
//
// # Damage
//
// Open never fails because of what is in a file, and returns no record that was not
// written for that key. A batch counts if its checksum is right for its place in its
// file; all others are dropped.
//
// The end of the last log that holds no whole batch is what a crash leaves: it is
// cut and counted as torn. Any other damage makes a file bad. What is whole in a
// bad file is used still: also the batches behind the damage, since a record is a
// whole value that needs no other one, and each one that is left out lets an older
// value win. So what damage costs is:
//
//	in a snapshot        nothing: the one before and the logs since have it all
//	in a log             the records of the batches it hit go back to the values before
//	in a log's header    the records of that log do
//	in the last append   it looks like a torn end; its records go back
//	both snapshots       the batches it hit, where no log has a later value
//
// Open then writes a snapshot of what it read, and only then renames bad files, so
// a second start knows as much as the first. Files of a newer format version and of
// other clusters are bad as a whole.
//
// # Concurrency
//
// One goroutine uses a Store; Stats is safe from any, and waits for no disk. A slow
// sync delays the caller of Append or Snapshot, nobody else.
//
// # What it does not do
//
// It starts no goroutine, retries nothing by itself, and knows no counters. It does
// not notice when someone removes a log.
//
// Read next: store.go, append.go and snapshot.go for what is written, restore.go for
// what Open makes of it, format.go for the bytes.
package store
