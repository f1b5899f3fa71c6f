// amount.go keeps amounts with decimals as whole numbers.

package bucketring

import (
	"math"
	"math/bits"
)

// powers are the powers of ten that an int64 holds.
var powers = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// Scale returns units + nanos·10^-9 in 10^-precision, rounded up: the cost of a
// call for a limit that keeps that many decimals. Both parts have the same sign.
// The error is ErrInvalid: the result does not fit.
func Scale(units int64, nanos int32, precision uint8) (int64, error) {
	if precision > MaxPrecision || nanos <= -1e9 || nanos >= 1e9 || units > 0 && nanos < 0 || units < 0 && nanos > 0 {
		return 0, Invalidf("%d and %d billionths are no amount", units, nanos)
	}
	negative := units < 0
	hi, lo := bits.Mul64(magnitude(units), uint64(powers[precision]))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, Invalidf("amount %d is too large for a limit with %d decimals", units, precision)
	}
	whole := int64(lo)
	if negative {
		whole = -whole
	}
	step := powers[9-precision] // nanos of the last decimal that is kept
	part := int64(nanos) / step
	if int64(nanos)%step > 0 { // division cuts towards 0, which is up for a negative rest
		part++
	}
	if part > 0 && whole > math.MaxInt64-part || part < 0 && whole < math.MinInt64-part {
		return 0, Invalidf("amount %d is too large for a limit with %d decimals", units, precision)
	}
	return whole + part, nil
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return uint64(-(n + 1)) + 1
	}
	return uint64(n)
}

// One returns one whole unit in 10^-precision.
func One(precision uint8) int64 { return powers[min(precision, MaxPrecision)] }

// AppendAmount appends an amount in 10^-precision as a decimal number without
// trailing zeros: 45200 with precision 3 is 45.2.
func AppendAmount(b []byte, amount int64, precision uint8) []byte {
	precision = min(precision, MaxPrecision)
	if amount < 0 {
		b = append(b, '-')
	}
	m := magnitude(amount)
	p := uint64(powers[precision])
	b = appendUint(b, m/p, 1)
	if rest := m % p; rest != 0 {
		b = append(b, '.')
		b = appendUint(b, rest, int(precision))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return b
}

// appendUint appends n with at least width digits.
func appendUint(b []byte, n uint64, width int) []byte {
	var digits [20]byte
	at := len(digits)
	for ; n > 0 || width > 0; width-- {
		at--
		digits[at] = byte('0' + n%10)
		n /= 10
	}
	return append(b, digits[at:]...)
}
