// xratelimit.go holds the X-RateLimit fields, Retry-After and their rounding.

package ratefield

import (
	"net/http"
	"strconv"
	"time"

	"github.com/bucketring/bucketring"
)

// Names of the fields, as they stand in the header map.
const (
	Limit     = "X-RateLimit-Limit"
	Remaining = "X-RateLimit-Remaining"
	Reset     = "X-RateLimit-Reset"
	Retry     = "Retry-After"
)

// The same names in the form that http.Header.Set would choose.
const (
	canonicalLimit     = "X-Ratelimit-Limit"
	canonicalRemaining = "X-Ratelimit-Remaining"
	canonicalReset     = "X-Ratelimit-Reset"
)

// Set writes the fields of d onto h: exactly one of each, in place of any that
// stand there under either spelling. A limit without a reset (ResetAt 0) gets
// no X-RateLimit-Reset. Retry-After is written only when d is a denial that
// waiting can cure, and otherwise left as it is.
func Set(h http.Header, d *bucketring.Decision) {
	delete(h, canonicalLimit)
	delete(h, canonicalRemaining)
	delete(h, canonicalReset)

	var room [4 * 20]byte // an int64 has at most 20 characters
	digits := strconv.AppendInt(room[:0], d.Limit, 10)
	limitEnd := len(digits)
	digits = strconv.AppendInt(digits, d.Remaining, 10)
	remainingEnd := len(digits)
	digits = strconv.AppendInt(digits, d.ResetAt, 10)
	resetEnd := len(digits)
	retry := RetryAfter(d)
	digits = strconv.AppendInt(digits, retry, 10)

	// One string and one slice carry all values.
	text, values := string(digits), make([]string, 4)
	values[0], values[1] = text[:limitEnd], text[limitEnd:remainingEnd]
	values[2], values[3] = text[remainingEnd:resetEnd], text[resetEnd:]
	h[Limit] = values[0:1:1]
	h[Remaining] = values[1:2:2]
	if d.ResetAt > 0 {
		h[Reset] = values[2:3:3]
	} else {
		delete(h, Reset)
	}
	if retry > 0 {
		h[Retry] = values[3:4:4]
	}
}

// RetryAfter returns the value of Retry-After in seconds: at least 1 for a
// denial that waiting can cure, 0 for every other decision. A refusal because
// the key's owner is away says 1, whatever the limit would say.
func RetryAfter(d *bucketring.Decision) int64 {
	switch {
	case d.Allowed:
		return 0
	case d.Source == bucketring.SourceFallbackClosed:
		return 1
	}
	return Wait(d.LimitState.RetryAfter)
}

// Wait returns how many whole seconds the caller of a denied call should wait:
// at least 1, or 0 if retry is bucketring.Never.
func Wait(retry time.Duration) int64 {
	if retry == bucketring.Never {
		return 0
	}
	return max(Seconds(retry), 1)
}

// Seconds returns d in whole seconds, rounded up; 0 if d is negative.
func Seconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	seconds := int64(d / time.Second)
	if d%time.Second != 0 {
		seconds++
	}
	return seconds
}
