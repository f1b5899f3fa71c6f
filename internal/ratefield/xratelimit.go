package ratefield

import "strconv"

const (
	xLimit     = "X-RateLimit-Limit"
	xRemaining = "X-RateLimit-Remaining"
	xReset     = "X-RateLimit-Reset"
)

// AppendXRateLimit appends X-RateLimit-Limit, which is the capacity,
// X-RateLimit-Remaining and, if s has a reset, X-RateLimit-Reset: its Unix time,
// or with delta the seconds until then. It costs one allocation beside the slice.
func AppendXRateLimit[F Field](fields []F, s *State, delta bool) []F {
	reset := s.ResetAt
	if delta {
		reset = Seconds(s.ResetAfter)
	}
	var room [3 * 20]byte // an int64 has at most 20 characters
	digits := strconv.AppendInt(room[:0], s.capacity(), 10)
	limitEnd := len(digits)
	digits = strconv.AppendInt(digits, s.whole(s.Remaining), 10)
	remainingEnd := len(digits)
	digits = strconv.AppendInt(digits, reset, 10)

	text := string(digits) // one string carries all values
	fields = append(fields,
		F(field{xLimit, text[:limitEnd]}),
		F(field{xRemaining, text[limitEnd:remainingEnd]}))
	if s.ResetAt <= 0 {
		return fields
	}
	return append(fields, F(field{xReset, text[remainingEnd:]}))
}
