// decision.go writes what policies decide, and reads and writes amounts with decimals.

package resp

import (
	"bytes"
	"math"

	"github.com/bucketring/bucketring"
)

// appendDecision appends a decision as a map. Where no limit is described, as by a rule
// that refuses, there is nothing in place of its numbers.
func appendDecision(b []byte, version int, d *bucketring.Decision) []byte {
	described := &d.LimitState
	if d.Name == "" || d.Limits != nil && len(d.Limits) == 0 {
		described = nil
	}
	retry := int64(-1)
	if !d.Allowed && d.RetryAfter != bucketring.Never {
		retry = max(wholeSeconds(d.RetryAfter), 1)
	}
	b = appendMap(b, version, 9)
	b = appendFlag(appendBulk(b, "allowed"), d.Allowed)
	b = appendBulk(appendBulk(b, "policy"), d.Name)
	b = appendCounts(b, version, described)
	b = appendInt(appendBulk(b, "retry_after"), retry)
	b = appendFlag(appendBulk(b, "degraded"), d.Degraded)
	b = appendList(appendBulk(b, "leases"), len(d.Leases))
	for _, id := range d.Leases {
		b = appendBulk(b, id)
	}
	return appendBulk(appendBulk(b, "reservation"), d.Reservation)
}

// appendUsage appends a list with a map of each limit.
func appendUsage(b []byte, version int, limits []bucketring.LimitState) []byte {
	b = appendList(b, len(limits))
	for i := range limits {
		s := &limits[i]
		b = appendMap(b, version, 5)
		b = appendBulk(appendBulk(b, "name"), s.Name)
		b = appendAmount(appendBulk(b, "used"), s.Used, s.Precision)
		b = appendCounts(b, version, s)
	}
	return b
}

// appendCounts appends three pairs: what a limit has, and when it is whole again. A level or
// leases without end have nothing there, and so has the reset of what no time resets.
func appendCounts(b []byte, version int, s *bucketring.LimitState) []byte {
	endless := s == nil || s.Kind != bucketring.KindRate && s.Limit == bucketring.Unlimited
	if b = appendBulk(b, "limit"); endless {
		b = appendNothing(b, version)
		b = appendNothing(appendBulk(b, "remaining"), version)
	} else {
		b = appendAmount(b, s.Limit, s.Precision)
		b = appendAmount(appendBulk(b, "remaining"), s.Remaining, s.Precision)
	}
	if b = appendBulk(b, "reset_at"); s == nil || s.ResetAt == 0 {
		return appendNothing(b, version)
	}
	return appendInt(b, s.ResetAt)
}

func appendFlag(b []byte, set bool) []byte {
	if set {
		return appendInt(b, 1)
	}
	return appendInt(b, 0)
}

// appendAmount appends an amount in 10^-precision: a text where the limit has decimals, also
// of an amount that has none, so that a limit keeps its type.
func appendAmount(b []byte, amount int64, precision uint8) []byte {
	if precision == 0 {
		return appendInt(b, amount)
	}
	var space [24]byte
	return appendBulk(b, bucketring.AppendAmount(space[:0], amount, precision))
}

const billionths = 9 // digits

// parseAmount reads a decimal number of 0 or more, such as 5 or 12.5, without an exponent.
// What is smaller than a billionth is rounded up.
func parseAmount(word []byte) (units int64, nanos int32, ok bool) {
	whole, fraction, point := bytes.Cut(word, []byte{'.'})
	if point && len(fraction) == 0 || !isDigits(whole) || !isDigits(fraction) {
		return 0, 0, false
	}
	if units, ok = parseInt(whole); !ok {
		return 0, 0, false
	}
	for i := range billionths {
		if nanos *= 10; i < len(fraction) {
			nanos += int32(fraction[i] - '0')
		}
	}
	if len(fraction) > billionths && len(bytes.Trim(fraction[billionths:], "0")) > 0 {
		nanos++
	}
	if nanos == 1e9 {
		return units + 1, 0, units < math.MaxInt64
	}
	return units, nanos, true
}

func isDigits(word []byte) bool {
	for _, c := range word {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
