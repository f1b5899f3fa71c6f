package gubernatorapi_test

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring/internal/gubernatorapi"
)

// numbers are of all sizes, with their ends more often than chance has them.
func numbers(least, most int64) *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(least, most), rapid.Int64Range(least, min(least+20, most)), rapid.Int64Range(max(most-20, least), most),
		rapid.Int64Range(max(-20, least), min(1000, most)))
}

// clamp is what a sum becomes that is too large for an int64.
func clamp(n *big.Int) int64 {
	switch {
	case n.IsInt64():
		return n.Int64()
	case n.Sign() < 0:
		return math.MinInt64
	}
	return math.MaxInt64
}

func TestSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := numbers(math.MinInt64, math.MaxInt64).Draw(t, "a"), numbers(math.MinInt64, math.MaxInt64).Draw(t, "b")
		x, y := big.NewInt(a), big.NewInt(b)
		if got, want := gubernatorapi.Plus(a, b), clamp(new(big.Int).Add(x, y)); got != want {
			t.Errorf("%d + %d = %d, want %d", a, b, got, want)
		}
		if got, want := gubernatorapi.Minus(a, b), clamp(new(big.Int).Sub(x, y)); got != want {
			t.Errorf("%d - %d = %d, want %d", a, b, got, want)
		}
	})
}

func TestShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := numbers(0, math.MaxInt64).Draw(t, "a"), numbers(0, math.MaxInt64).Draw(t, "b")
		by, more := numbers(1, math.MaxInt64).Draw(t, "by"), rapid.Uint64().Draw(t, "more")
		sum := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
		sum.Add(sum, new(big.Int).SetUint64(more))
		want, rest := new(big.Int).QuoRem(sum, big.NewInt(by), new(big.Int))
		if !want.IsInt64() {
			rest.SetInt64(0)
		}
		if q, r := gubernatorapi.Share(a, b, more, by); q != clamp(want) || r != rest.Int64() {
			t.Errorf("(%d * %d + %d) / %d = %d, rest %d, want %d, rest %d", a, b, more, by, q, r, clamp(want), rest)
		}
	})
}
