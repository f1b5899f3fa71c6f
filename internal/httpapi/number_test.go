package httpapi_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/internal/httpapi"
)

func TestAmount(t *testing.T) {
	for _, tt := range []struct {
		text  string
		units int64
		nanos int32
	}{
		{"0", 0, 0}, {"-0", 0, 0}, {"0.000", 0, 0}, {"0e99999999999999999999", 0, 0},
		{"5", 5, 0}, {"12.5", 12, 5e8}, {"-12.5", -12, -5e8}, {"-0.25", 0, -25e7},
		{"1e3", 1000, 0}, {"1.5E+2", 150, 0}, {"125e-1", 12, 5e8}, {"1e-9", 0, 1}, {"123456789e-9", 0, 123456789},
		{"0.0000000001", 0, 1}, {"-0.0000000001", 0, 0}, {"1e-99999999999999999999", 0, 1}, {"-1e-9999", 0, 0},
		{"0.9999999999", 1, 0}, {"-0.9999999999", 0, -999999999}, {"0.30000000000000004", 0, 300000001},
		{"9223372036854775807", math.MaxInt64, 0}, {"9223372036854775806.9999999999", math.MaxInt64, 0},
		{"-9223372036854775807.5", -math.MaxInt64, -5e8}, {"9.223372036854775807e18", math.MaxInt64, 0},
	} {
		units, nanos, err := httpapi.Amount("cost", tt.text)
		if units != tt.units || nanos != tt.nanos || err != nil {
			t.Errorf("Amount(%s) = %d, %d, %v, want %d, %d", tt.text, units, nanos, err, tt.units, tt.nanos)
		}
	}
	for _, text := range []string{
		"", "-", "+1", ".5", "1.", "01", "1e", "1 ", " 1", "0x1", "1_0", "NaN", "Infinity", "1,5", "1/2",
		"9223372036854775808", "-9223372036854775808", "9223372036854775807.9999999999", "99999999999999999999", "1e19", "1e999999999999999999999",
	} {
		if units, nanos, err := httpapi.Amount("cost", text); err == nil {
			t.Errorf("Amount(%q) = %d, %d, want an error", text, units, nanos)
		}
	}
}

// rounded returns text in billionths, rounded up.
func rounded(text string) (*big.Int, bool) {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, false
	}
	r.Mul(r, new(big.Rat).SetInt64(1e9))
	n, rest := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() != 0 {
		n.Add(n, big.NewInt(1))
	}
	return n, true
}

// checkAmount compares units and nanos with what math/big makes of text.
func checkAmount(t *testing.T, text string, units int64, nanos int32) {
	t.Helper()
	got := new(big.Int).Mul(big.NewInt(units), big.NewInt(1e9))
	got.Add(got, big.NewInt(int64(nanos)))
	want, ok := rounded(text)
	if !ok || got.Cmp(want) != 0 {
		t.Errorf("%s reads as %d and %d billionths, math/big has %v billionths", text, units, nanos, want)
	}
	if units > 0 && nanos < 0 || units < 0 && nanos > 0 || nanos <= -1e9 || nanos >= 1e9 {
		t.Errorf("%s reads as %d and %d billionths: the parts do not fit together", text, units, nanos)
	}
}

func FuzzAmount(f *testing.F) {
	for _, text := range []string{"0", "-12.5", "1e-9", "0.30000000000000004", "9223372036854775807.9999999999", "5E+3", "01", "-0.0e1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		units, nanos, err := httpapi.Amount("cost", text)
		_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
		if err == nil && len(strings.Trim(exponent, "+-0")) < 4 { // math/big takes its time for more
			checkAmount(t, text, units, nanos)
		}
	})
}
