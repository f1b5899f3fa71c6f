// level.go is a number that goes up and down and that no time changes.

package bucket

import (
	"math"

	"github.com/bucketring/bucketring"
)

// A level is the number, and the version and value of its last set.
type level struct{ n, version, base int64 }

// window tells the times between two sets apart, and is not 0: what was taken before a set is
// not given back after it.
func (l *level) window() int64 { return l.version + 1 } // after the last version there is no other

// step is one call at a level. What lowers it stops at 0, and a set is the truth
// of the application: it may be above the amount.
func (l *level) step(r *rule, op *Op, res *Result) {
	*res = Result{Allowed: true}
	after := *l
	switch op.Verb {
	case bucketring.VerbTake, bucketring.VerbPeek, bucketring.VerbAdd:
		switch n := op.N; {
		case n == 0 && op.ID != (bucketring.ID{}) && l.n >= r.capacity && r.capacity != bucketring.Unlimited:
			res.Allowed, res.Retry = false, bucketring.Never // there is no room for what is settled later
		case n <= 0:
			after.n = max(l.n+n, 0)
		case r.capacity != bucketring.Unlimited && n > r.capacity-l.n:
			res.Allowed, res.Retry = false, bucketring.Never
		default:
			after.n += min(n, math.MaxInt64-l.n)
		}
	case bucketring.VerbRefund:
		if op.Window == 0 || op.Window == l.window() {
			after.n = max(l.n-op.N, 0)
		}
	case bucketring.VerbSettle:
		after.n = max(l.n+min(op.N, math.MaxInt64-l.n), 0)
	case bucketring.VerbReset:
		after.n = 0
	case bucketring.VerbSet:
		version := op.Version
		if version == 0 {
			version = l.version + min(1, math.MaxInt64-l.version)
		}
		if version > l.version {
			after = level{max(op.N, 0), version, max(op.N, 0)}
		}
	}
	res.Used, res.Remaining, res.Window = after.n, max(r.capacity-after.n, 0), after.window()
	if op.Verb != bucketring.VerbPeek {
		*l = after
	}
}
