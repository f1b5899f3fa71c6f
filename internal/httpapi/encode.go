// encode.go writes answers as JSON without reflection.

package httpapi

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/ratefield"
)

// Header values that never change. They are shared by all answers and have no
// spare room, so that adding to one copies it.
var (
	noStore     = []string{"no-store"}
	jsonType    = []string{"application/json"}
	problemJSON = []string{"application/problem+json"}
	plainText   = []string{"text/plain; charset=utf-8"}
	oneSecond   = []string{"1"}
	closeAfter  = []string{"close"}
)

// appendDecision appends d as the API shows it.
func appendDecision(b []byte, d *bucketring.Decision) []byte {
	b = append(b, `{"allowed":`...)
	b = strconv.AppendBool(b, d.Allowed)
	b = appendCounts(b, &d.LimitState)
	b = append(b, `,"reset_after":`...)
	b = appendSeconds(b, d.ResetAfter)
	b = appendRetry(b, d.Allowed, ratefield.RetryAfter(d))
	b = append(b, `,"policy":`...)
	b = appendString(b, d.Name)
	b = append(b, `,"limits":[`...)
	if d.Limits == nil {
		b = appendState(b, d.Allowed, &d.LimitState)
	}
	for i := range d.Limits {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendState(b, d.Limits[i].Allowed, &d.Limits[i])
	}
	b = append(b, `],"leases":[],"reservation":"","source":`...)
	b = appendString(b, d.Source.String())
	b = append(b, `,"degraded":`...)
	b = strconv.AppendBool(b, d.Degraded)
	b = append(b, `,"node":`...)
	b = appendString(b, d.Node)
	b = append(b, `,"owner":`...)
	b = appendString(b, d.Owner)
	return append(b, '}')
}

// appendState appends one limit of a decision.
func appendState(b []byte, allowed bool, s *bucketring.LimitState) []byte {
	b = append(b, `{"name":`...)
	b = appendString(b, s.Name)
	b = append(b, `,"allowed":`...)
	b = strconv.AppendBool(b, allowed)
	b = appendCounts(b, s)
	b = appendRetry(b, allowed, ratefield.Wait(s.RetryAfter))
	return append(b, '}')
}

func appendCounts(b []byte, s *bucketring.LimitState) []byte {
	b = append(b, `,"limit":`...)
	b = appendInt(b, s.Limit)
	b = append(b, `,"remaining":`...)
	b = appendInt(b, s.Remaining)
	b = append(b, `,"reset_at":`...)
	return appendInt(b, s.ResetAt)
}

// appendRetry appends the seconds to wait: 0 when allowed, null when waiting
// cannot help, which seconds says by 0.
func appendRetry(b []byte, allowed bool, seconds int64) []byte {
	b = append(b, `,"retry_after":`...)
	switch {
	case allowed:
		return append(b, '0')
	case seconds == 0:
		return append(b, "null"...)
	}
	return appendInt(b, seconds)
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// appendSeconds appends d in seconds with at most three decimals, rounded up.
func appendSeconds(b []byte, d time.Duration) []byte {
	d = max(d, 0)
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond != 0 {
		ms++
	}
	b = appendInt(b, ms/1000)
	fraction := ms % 1000
	if fraction == 0 {
		return b
	}
	b = append(b, '.', byte('0'+fraction/100), byte('0'+fraction/10%10), byte('0'+fraction%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, as encoding/json writes them.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0 // what is before it has been written
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			b = append(b, s[start:i]...)
			if c < ' ' {
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			} else {
				b = append(b, '\\', c)
			}
			start = i + 1
		}
		i++
	}
	return append(append(b, s[start:]...), '"')
}
