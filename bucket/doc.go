// Package bucket counts: the arithmetic of limits and the memory of counters.
//
// # Model
//
// A counter is the state of one limit for one key. A pure step function per
// algorithm maps (state, now, [Op]) to (state, [Result]); [Table] finds the counter
// and applies the step. Where the state fits one 64-bit word exactly, which is
// so for nearly every limit that people write, a step is one compare-and-swap:
//
//	token bucket    theoretical arrival time, in the limit's own units     gcra.go
//	fixed window    number or start of the window, and the count           window.go
//
// What does not fit lives in a few more words under a lock of its own, with the
// same exactness: sliding windows, levels, and limits with huge or awkward amounts
// (wide.go, level.go). Nothing is rounded: an amount of 7 per second is 7/1,000,000
// per microsecond, kept as a fraction of integers.
//
// Concurrency limits are sets of leases (leases.go). A take whose cost is known
// later leaves a reservation (reserve.go); [Table.Settle] replaces what it charged,
// in the window of the take. Both have ids, are indexed by partition, and are under
// the partition's lock.
//
// # Time
//
// The caller reads the clocks once and hands the reading in as [Now]. Token
// buckets, leases and first-request windows count on the monotonic clock, in whole
// microseconds, nanoseconds and milliseconds; all other windows on the wall clock.
// First-request months and years need a date, and begin at a whole second of it.
// An earlier reading than the last is legal and admits nothing more, but where
// Sweep with a later one has dropped the counter in between. How long a
// reservation is known is measured on the monotonic clock.
//
// Calendar windows follow the clocks of a zone (calendar.go): days of 23 and 25
// hours, days without a midnight, hours that come twice. The rule of a limit
// remembers the present window, so a decision does no arithmetic of dates.
//
// # Invariant
//
// A counter admits within any interval w at most capacity + rate·w (token
// bucket), amount per window (fixed), amount per Per (sliding), and leases up to
// the amount at any moment; settlements come on top. The word of a new counter is
// 0. A counter that equals an unused one carries no information: Sweep drops
// exactly those. A counter below full is never dropped to make room; when the table
// is full, new keys share one counter per limit. Leases and levels cannot be
// shared: they are denied then.
//
// # Concurrency
//
// A Table is safe for concurrent use. Take of a known key takes no lock and
// allocates nothing. The top bit of the word is the seal: a sealed counter
// accepts no further charge and its holder looks it up again. Whoever replaces
// or drops a counter, or closes its partition, seals it first, so that no charge is lost.
//
// # Moving
//
// A partition can be closed, which returns its State, and opened elsewhere (move.go).
// States of one partition join in any order (record.go, fold.go, join.go). What has
// changed is noted for copies (changes.go).
//
// # Speed
//
// What is asked for together is fetched together (fetch.go). Who needs no more than a yes or a
// no gets that (allow.go), and may hold the counter that answers: the seal says when to look again.
//
// # What it does not do
//
// It reads no clock, starts no goroutine, knows no cluster and no policy.
//
// Sources: GCRA from ITU-T I.371 (2004), annex A; token bucket from Turner,
// "New directions in communications" (1986).
//
// Read next: bucket.go, then gcra.go, then table.go, part.go and slot.go; leases.go and reserve.go stand
// for themselves; move.go and record.go for what leaves a table.
package bucket
