// encode.go writes JSON without reflection.

package httpapi

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Header values that never change. They are shared by all answers and have no
// spare room, so that adding to one copies it.
var (
	noStore     = []string{"no-store"}
	jsonType    = []string{"application/json"}
	problemJSON = []string{"application/problem+json"}
	plainText   = []string{"text/plain; charset=utf-8"}
	oneSecond   = []string{"1"}
	bearer      = []string{"Bearer"}
	closeAfter  = []string{"close"}
)

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

// appendStrings appends a list, which is never null.
func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}
