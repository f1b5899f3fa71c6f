// sums.go is arithmetic that stops at the ends of int64 instead of going around.

package gubernatorapi

import (
	"math"
	"math/bits"
)

// plus returns a + b.
func plus(a, b int64) int64 {
	switch sum := a + b; {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	default:
		return sum
	}
}

// minus returns a - b.
func minus(a, b int64) int64 {
	switch difference := a - b; {
	case a >= 0 && b < 0 && difference < 0:
		return math.MaxInt64
	case a < 0 && b > 0 && difference >= 0:
		return math.MinInt64
	default:
		return difference
	}
}

// share returns (a*b + more) / by and the rest, for a and b of at least 0 and by above 0.
// A quotient that is too large becomes the largest number, without a rest.
func share(a, b int64, more uint64, by int64) (quotient, rest int64) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(lo, more, 0)
	if hi += carry; hi >= uint64(by) {
		return math.MaxInt64, 0
	}
	q, r := bits.Div64(hi, lo, uint64(by))
	if q > math.MaxInt64 {
		return math.MaxInt64, 0
	}
	return int64(q), int64(r)
}
