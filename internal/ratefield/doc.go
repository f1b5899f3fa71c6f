// Package ratefield writes the state of limits as HTTP header fields. It is the
// one place that knows their names, their grammar and their rounding.
//
// # Model
//
// A caller describes limits as [State], plain numbers, and appends fields to a
// slice of whatever type it has for them:
//
//	AppendXRateLimit  X-RateLimit-Limit, -Remaining, -Reset   of one limit
//	AppendIETF        RateLimit-Policy, RateLimit             of a list of limits
//	AppendRetryAfter  Retry-After                             of a denial
//
// [Set] then puts the fields onto a header map. The names keep their customary
// capitals there, so read them with h["X-RateLimit-Limit"]: the method Get of
// http.Header looks for X-Ratelimit-Limit.
//
// Amounts are rounded down and times up, so a client that believes them is never
// too early. Whatever stands in a State, no value leaves the grammar of its
// field: numbers are clamped, and of a name only printable ASCII is kept.
//
// # What it does not do
//
// It chooses nothing: which limits are shown, in which style and whether at all
// is for the policy to say. It reads no clock and imports none of our packages.
//
// RateLimit and RateLimit-Policy follow draft-ietf-httpapi-ratelimit-headers-11.
// Drafts before and after it differ; ietf.go is all that follows this one.
//
// # Concurrency
//
// The functions keep nothing. Slices and header maps belong to their caller.
//
// Read next: field.go, xratelimit.go, ietf.go.
package ratefield
