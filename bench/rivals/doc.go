// Package rivals measures other limiters for Go, and ours, under the same
// workloads in one run. It is a module of its own: what it needs is nobody
// else's business.
//
// All count a token bucket for each key, in memory, with a clock reading for
// each call. Only ours is ready to be asked by other nodes, checks each request
// and says when to come again; a single x/time/rate limiter has no keys at all
// and is here as a floor. README.md says how to run and compare.
package rivals
