package bucketring_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
)

func TestScale(t *testing.T) {
	tests := []struct {
		units     int64
		nanos     int32
		precision uint8
		want      int64
	}{
		{0, 0, 0, 0}, {0, 0, 6, 0}, {7, 0, 0, 7}, {45, 200_000_000, 3, 45_200}, {12, 500_000_000, 1, 125},
		// Up, whatever the sign: a caller never pays less than he said.
		{0, 1, 0, 1}, {0, 1, 6, 1}, {1, 999_999_999, 0, 2}, {1, 1, 3, 1001}, {1, 1_000, 6, 1_000_001}, {1, 1_001, 6, 1_000_002},
		{0, -1, 0, 0}, {-1, -999_999_999, 0, -1}, {-1, -1_000, 6, -1_000_001}, {-1, -1_999, 6, -1_000_001}, {-45, -200_000_000, 3, -45_200},
		{math.MaxInt64, 0, 0, math.MaxInt64}, {-math.MaxInt64, 0, 0, -math.MaxInt64}, {math.MaxInt64 - 1, 1, 0, math.MaxInt64},
		{9_223_372_036_854, 775_807_000, 6, math.MaxInt64}, {-9_223_372_036_854, -775_807_999, 6, -math.MaxInt64},
	}
	for _, tt := range tests {
		if got, err := bucketring.Scale(tt.units, tt.nanos, tt.precision); err != nil || got != tt.want {
			t.Errorf("Scale(%d, %d, %d) = %d, %v, want %d", tt.units, tt.nanos, tt.precision, got, err, tt.want)
		}
	}
}

func TestScaleOfWhatIsNoAmount(t *testing.T) {
	tests := []struct {
		units     int64
		nanos     int32
		precision uint8
	}{
		{0, 0, 7}, {0, 0, 255}, {0, 1e9, 0}, {0, -1e9, 0}, {1, -1, 0}, {-1, 1, 0}, {0, math.MinInt32, 0},
		{math.MaxInt64, 1, 0}, {math.MaxInt64, 0, 1}, {9_223_372_036_854, 775_807_001, 6}, {9_223_372_036_855, 0, 6},
		{-9_223_372_036_855, 0, 6}, {math.MinInt64, 0, 6}, {math.MaxInt64 / 10, 900_000_000, 1},
	}
	for _, tt := range tests {
		if got, err := bucketring.Scale(tt.units, tt.nanos, tt.precision); !errors.Is(err, bucketring.ErrInvalid) || got != 0 {
			t.Errorf("Scale(%d, %d, %d) = %d, %v, want 0 and ErrInvalid", tt.units, tt.nanos, tt.precision, got, err)
		}
	}
}

// TestScaleIsExact holds Scale against sums without bounds.
func TestScaleIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := rapid.Int64().Draw(t, "units")
		nanos := rapid.Int32Range(0, 999_999_999).Draw(t, "nanos")
		precision := rapid.Uint8Max(bucketring.MaxPrecision).Draw(t, "precision")
		if units < 0 {
			nanos = -nanos
		}
		exact := new(big.Int).Mul(big.NewInt(units), big.NewInt(1e9))
		exact.Mul(exact.Add(exact, big.NewInt(int64(nanos))), big.NewInt(bucketring.One(precision)))
		want, rest := new(big.Int).DivMod(exact, big.NewInt(1e9), new(big.Int)) // down, and the rest is not negative
		if rest.Sign() > 0 {
			want.Add(want, big.NewInt(1))
		}
		got, err := bucketring.Scale(units, nanos, precision)
		fits := want.IsInt64() && (want.Sign() >= 0 || want.Int64() != math.MinInt64)
		if fits != (err == nil) || fits && got != want.Int64() {
			t.Errorf("Scale(%d, %d, %d) = %d, %v, want %v", units, nanos, precision, got, err, want)
		}
	})
}

func TestOne(t *testing.T) {
	for precision, want := range []int64{1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 1_000_000} {
		if got := bucketring.One(uint8(precision)); got != want {
			t.Errorf("One(%d) = %d, want %d", precision, got, want)
		}
	}
}

func TestAppendAmount(t *testing.T) {
	tests := []struct {
		amount    int64
		precision uint8
		want      string
	}{
		{0, 0, "0"}, {0, 6, "0"}, {7, 0, "7"}, {100, 0, "100"}, {-7, 0, "-7"},
		{45_200, 3, "45.2"}, {500_000, 3, "500"}, {1, 3, "0.001"}, {1_000_001, 6, "1.000001"}, {10, 1, "1"}, {-1, 3, "-0.001"}, {-45_200, 3, "-45.2"},
		{1_002_000, 6, "1.002"}, {math.MaxInt64, 0, "9223372036854775807"}, {math.MaxInt64, 6, "9223372036854.775807"},
		{math.MinInt64, 0, "-9223372036854775808"}, {math.MinInt64, 6, "-9223372036854.775808"}, {1, 255, "0.000001"},
	}
	for _, tt := range tests {
		if got := string(bucketring.AppendAmount([]byte("x "), tt.amount, tt.precision)); got != "x "+tt.want {
			t.Errorf("AppendAmount(%d, %d) = %q, want %q behind what was there", tt.amount, tt.precision, got, tt.want)
		}
	}
}

func TestAppendAmountIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount, precision := rapid.Int64().Draw(t, "amount"), rapid.Uint8Max(bucketring.MaxPrecision).Draw(t, "precision")
		text := string(bucketring.AppendAmount(nil, amount, precision))
		got, ok := new(big.Rat).SetString(text)
		if want := big.NewRat(amount, bucketring.One(precision)); !ok || got.Cmp(want) != 0 {
			t.Errorf("AppendAmount(%d, %d) = %q, want %v", amount, precision, text, want)
		}
	})
}
