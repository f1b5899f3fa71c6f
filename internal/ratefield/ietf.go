// ietf.go writes the fields of draft-ietf-httpapi-ratelimit-headers-11, which are
// Lists of RFC 9651.

package ratefield

import (
	"strconv"
	"time"
)

const (
	ietfPolicy = "RateLimit-Policy"
	ietfState  = "RateLimit"
)

// maxInteger is the largest Integer of RFC 9651, section 3.3.1.
const maxInteger = 999_999_999_999_999

// AppendIETF appends RateLimit-Policy and RateLimit with one item for each state,
// in that order; nothing if there is no state, for a List is never sent empty.
func AppendIETF[F Field](fields []F, states []State) []F {
	if len(states) == 0 {
		return fields
	}
	var room [512]byte // enough for four limits; more make it grow
	b := appendList(room[:0], states, appendPolicy)
	policyEnd := len(b)
	b = appendList(b, states, appendState)

	text := string(b) // one string carries both values
	return append(fields,
		F(field{ietfPolicy, text[:policyEnd]}),
		F(field{ietfState, text[policyEnd:]}))
}

func appendList(b []byte, states []State, item func([]byte, *State) []byte) []byte {
	for i := range states {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = item(b, &states[i])
	}
	return b
}

// appendPolicy appends what of a limit stays the same from call to call.
func appendPolicy(b []byte, s *State) []byte {
	b = appendString(b, s.Name)
	b = appendInteger(b, ";q=", s.whole(s.Limit))
	if seconds := int64(s.Window / time.Second); seconds > 0 && !s.Concurrency {
		b = appendInteger(b, ";w=", seconds)
	}
	switch {
	case s.Concurrency:
		b = append(b, `;qu="concurrent-requests"`...)
	case s.Unit == "bytes":
		b = append(b, `;qu="content-bytes"`...)
	case s.Unit != "" && s.Unit != "requests":
		// The draft has a registry for qu and no other word may stand there.
		b = appendString(append(b, ";bucketring-unit="...), s.Unit)
	}
	if burst := s.capacity(); burst != s.whole(s.Limit) {
		b = appendInteger(b, ";bucketring-burst=", burst)
	}
	return b
}

// appendState appends what is left of a limit, and for how long no more than that.
// Up to draft 10, t was the time until there is more: Next is right under both.
func appendState(b []byte, s *State) []byte {
	b = appendString(b, s.Name)
	b = appendInteger(b, ";r=", s.whole(s.Remaining))
	if s.Next > 0 && s.Next != never && s.Window > 0 && !s.Concurrency {
		b = appendInteger(b, ";t=", Seconds(s.Next))
	}
	return b
}

// appendInteger appends a parameter whose value is an Integer; n is not negative.
func appendInteger(b []byte, parameter string, n int64) []byte {
	return strconv.AppendInt(append(b, parameter...), min(n, maxInteger), 10)
}

// appendString appends s as a String of RFC 9651, section 3.3.3. It holds
// printable ASCII only; any other character becomes a question mark.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range s {
		switch {
		case c < ' ' || c > '~':
			b = append(b, '?')
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		default:
			b = append(b, byte(c))
		}
	}
	return append(b, '"')
}
