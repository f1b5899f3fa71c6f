// allowed.go says what limits allow, so that whoever sends a load can tell what was
// admitted beyond it.

package workload

import (
	"math/big"
	"time"

	"github.com/bucketring/bucketring"
)

// Allowed returns the most calls of cost 1 that limits let pass for one key within a time,
// if nobody asked for it before.
func Allowed(limits []bucketring.Limit, within time.Duration) int64 {
	most := int64(-1)
	for i := range limits {
		if n := allowed(&limits[i], within); most < 0 || n < most {
			most = n
		}
	}
	return most
}

func allowed(l *bucketring.Limit, within time.Duration) int64 {
	switch {
	case l.Kind != bucketring.KindRate:
		return l.Amount
	case l.Algorithm == bucketring.FixedWindow: // as many windows as the time can touch
		return times(l.Amount, int64(within/l.Per)+2, 1)
	case l.Algorithm == bucketring.SlidingWindow:
		return times(l.Amount, int64(within/l.Per)+1, 1)
	}
	refilled := times(l.Amount, int64(within), int64(l.Per))
	return sum(l.Capacity(), refilled)
}

// times returns a·b/c, at most the largest int64.
func times(a, b, c int64) int64 {
	n := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
	if n.Quo(n, big.NewInt(c)); n.IsInt64() {
		return n.Int64()
	}
	return 1<<63 - 1
}

func sum(a, b int64) int64 {
	if a+b < 0 {
		return 1<<63 - 1
	}
	return a + b
}

// Over returns how many calls of a report were admitted beyond what limits allow each of
// its keys.
func (r *Report) Over(limits []bucketring.Limit) (over int64) {
	most := Allowed(limits, r.Ended.Sub(r.Began))
	for _, n := range r.Admitted {
		over += max(n-most, 0)
	}
	return over
}
