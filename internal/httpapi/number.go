// number.go reads numbers: whole ones, and amounts with decimals.

package httpapi

import (
	"math"
	"strconv"
	"strings"

	"github.com/bucketring/bucketring"
)

// whole reads text as a whole number: an optional minus and digits, without
// point, exponent, plus or leading zeros.
func whole(field, text string) (int64, error) {
	digits := text
	if digits != "" && digits[0] == '-' {
		digits = digits[1:]
	}
	plain := digits != "" && (digits == "0" || digits[0] != '0')
	for i := range len(digits) {
		plain = plain && '0' <= digits[i] && digits[i] <= '9'
	}
	if !plain {
		return 0, bucketring.Invalidf("%s must be a whole number written in digits only, such as 5", field)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, bucketring.Invalidf("%s is out of range: at most %d", field, int64(math.MaxInt64))
	}
	return n, nil
}

const nano = 1e9 // billionths of a unit

// amount reads text, a number as JSON writes them, as units and billionths of the
// same sign. What is smaller than a billionth is rounded up.
func amount(field, text string) (units int64, nanos int32, err error) {
	if !isNumber(text) {
		return 0, 0, bucketring.Invalidf("%s must be a number such as 5 or 12.5", field)
	}
	text, negative := strings.CutPrefix(text, "-")
	digits, point := significant(text)
	whole, fraction, ok := uint64(0), int64(0), point <= 19 // more do not fit
	for i := 0; ok && i < point; i++ {
		whole = whole*10 + uint64(digitAt(digits, i))
	}
	for i := point; i < point+9; i++ {
		fraction = fraction*10 + int64(digitAt(digits, i))
	}
	if point+9 < len(digits) && !negative {
		fraction++ // digits end with one that is not 0
	}
	if fraction == nano {
		whole, fraction = whole+1, 0
	}
	if !ok || whole > math.MaxInt64 {
		return 0, 0, bucketring.Invalidf("%s is out of range: at most %d", field, int64(math.MaxInt64))
	}
	if negative {
		return -int64(whole), -int32(fraction), nil
	}
	return int64(whole), int32(fraction), nil
}

func isNumber(text string) bool {
	if text == "" {
		return false
	}
	s := scanner{data: []byte(text)}
	s.number()
	return s.err == nil && s.pos == len(s.data)
}

// significant returns the digits of a number without a sign, from the first to the
// last that is not 0, and how many of them stand before the point: more than there
// are for 5e9, less than none for 5e-9.
func significant(text string) (digits string, point int) {
	const most = 1 << 20 // as good as any larger exponent
	exponent := 0
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		exponent, _ = strconv.Atoi(text[at+1:]) // the nearest that fits
		exponent = min(max(exponent, -most), most)
		text = text[:at]
	}
	before, after, _ := strings.Cut(text, ".")
	all := before + after
	digits = strings.TrimLeft(all, "0")
	point = len(before) + exponent - (len(all) - len(digits))
	if digits = strings.TrimRight(digits, "0"); digits == "" {
		return "", 0
	}
	return digits, point
}

// digitAt returns a digit, 0 before the first and behind the last.
func digitAt(digits string, i int) byte {
	if i < 0 || i >= len(digits) {
		return 0
	}
	return digits[i] - '0'
}
