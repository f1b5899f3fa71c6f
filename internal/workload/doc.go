// Package workload makes the keys that benchmarks and load generators ask for.
//
// [Keys] is a set of keys and a sequence of draws from it, made once from a
// seed: one hot key, a few in turn, all alike, or a Zipf distribution. A [Stream]
// walks through the sequence. The drawn keys lie one behind another in memory in the
// order in which they are drawn, so that drawing costs about 1 ns, allocates
// nothing and misses no cache: what a benchmark measures is the limiter, to
// which a key comes fresh from the network.
//
// Keys are immutable and may be shared; a Stream belongs to one goroutine.
//
// A [Load] sends calls at moments that are fixed beforehand, and a [Report] says what came
// of them, also how many were admitted beyond their limits.
package workload
