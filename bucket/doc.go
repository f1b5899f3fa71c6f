// Package bucket counts: the arithmetic of limits and the memory of counters.
//
// # Model
//
// A counter is the state of one limit for one key. A pure step function per
// algorithm maps (state, now, n) to (state, Result); [Table] finds the counter
// and applies the step. Where the state fits one 64-bit word exactly, which is
// so for nearly every limit that people write, a step is one compare-and-swap:
//
//	token bucket    theoretical arrival time, in the limit's own units     gcra.go
//	fixed window    number or start of the window, and the count           window.go
//
// What does not fit lives in a few more words under a lock of its own, with the
// same exactness: sliding windows, and limits with huge or awkward amounts
// (wide.go). Nothing is rounded: an amount of 7 per second is 7/1,000,000 per
// microsecond, kept as a fraction of integers.
//
// # Time
//
// The caller reads the clocks once and hands the reading in as [Now]. Token
// buckets and first-request windows count on the monotonic clock, in whole
// microseconds and milliseconds; epoch and sliding windows on the wall clock.
// An earlier reading than the last is legal and admits nothing more, but where
// Sweep with a later one has dropped the counter in between.
//
// # Invariant
//
// A counter admits within any interval w at most capacity + rate·w (token
// bucket), amount per window (fixed), amount per Per (sliding). The word of a
// new counter is 0. A counter that equals an unused one carries no information:
// Sweep drops exactly those. A counter below full is never dropped to make room;
// when the table is full, new keys share one counter per limit.
//
// # Concurrency
//
// A Table is safe for concurrent use. Take of a known key takes no lock and
// allocates nothing. The top bit of the word is the seal: a sealed counter
// accepts no further charge and its holder looks it up again. Whoever replaces
// or drops a counter seals it first, so that no charge is lost; handover of
// partitions will use the same bit.
//
// # What it does not do
//
// It reads no clock, starts no goroutine, knows no cluster and no policy.
//
// Sources: GCRA from ITU-T I.371 (2004), annex A; token bucket from Turner,
// "New directions in communications" (1986).
//
// Read next: bucket.go, then gcra.go, then table.go.
package bucket
