// Package policy says which limits a request has, and how an answer looks.
//
// # Model
//
// A policy is one YAML file for one namespace ("limits/v1"): whom to count, which
// limits apply to which calls, what plans and overrides make of them, and what a
// refusal looks like. [Parse] reads it and reports every problem with its place.
// A [Set] is all policies and lookup tables of a node; it is immutable, and a
// reload makes another one.
//
// A call goes through three steps:
//
//	Policy.Identify  an HTTP request becomes attributes         identify.go
//	Policy.Resolve   attributes become charges                  match.go, resolve.go
//	Call.Answer      what the counters said becomes a Decision  answer.go
//
// Between the second and the third a node charges the counters. Matching against
// a hundred limits takes about a microsecond and allocates nothing.
//
// A file of envoyproxy/ratelimit is a policy too, in Envoy's dialect: it has a [Domain]
// instead of limits, which says what a descriptor meets. The Envoy door alone asks for it.
//
// # What it does not do
//
// It counts nothing, reads no clock and starts no goroutine: callers pass the
// time, and [Watch] runs in its caller's goroutine.
//
// Everything but Watch is safe for concurrent use.
//
// Read next: model.go, then match.go, resolve.go, answer.go; file.go for the
// other side, and dialect.go for Envoy's.
package policy
