// field.go holds what all styles share: the state of a limit, the header map, and
// the rounding of times.

package ratefield

import (
	"math"
	"strconv"
	"time"
)

// A Field is one header field, in any type of this shape: callers append to
// slices of their own type.
type Field interface{ ~struct{ Name, Value string } }

// field is the Field of this package.
type field struct{ Name, Value string }

// A State is what the fields tell about one limit.
type State struct {
	// Name is the limit's name. Characters that no header may carry are written
	// as question marks.
	Name string
	// Unit is what is counted; empty means requests.
	Unit string
	// Limit is the amount per Window, Burst the capacity of a token bucket if it
	// has another one, else 0, and Remaining what is left. All three count in
	// 10^-Precision and are written in whole units, rounded down, at least 0.
	Limit, Burst, Remaining int64
	Precision               uint8
	// Concurrency says that the limit counts what is out at one moment. It has no
	// Window.
	Concurrency bool
	// Window is the length of the present window; 0 if the limit has none.
	Window time.Duration
	// Next is the time until there is more than Remaining; 0 if nothing is used.
	Next time.Duration
	// ResetAt is when the limit is wholly unused again, in Unix seconds rounded
	// up, and ResetAfter the time until then. ResetAt 0 means that no time does it.
	ResetAt    int64
	ResetAfter time.Duration
}

// capacity returns the most that can be taken at one instant, in whole units.
func (s *State) capacity() int64 {
	if s.Burst > 0 {
		return s.whole(s.Burst)
	}
	return s.whole(s.Limit)
}

// whole returns amount in whole units, rounded down, at least 0.
func (s *State) whole(amount int64) int64 {
	for range s.Precision {
		amount /= 10
	}
	return max(amount, 0)
}

// AppendRetryAfter appends Retry-After unless seconds, from Wait, is 0.
func AppendRetryAfter[F Field](fields []F, seconds int64) []F {
	if seconds <= 0 {
		return fields
	}
	return append(fields, F(field{"Retry-After", strconv.FormatInt(seconds, 10)}))
}

// rateNames are the names of the rate fields, first as we write them and then as
// http.Header.Set would.
var rateNames = [...]string{
	xLimit, "X-Ratelimit-Limit",
	xRemaining, "X-Ratelimit-Remaining",
	xReset, "X-Ratelimit-Reset",
	ietfPolicy, "Ratelimit-Policy",
	ietfState, "Ratelimit",
}

// Set puts fields onto h, an http.Header. No other rate field stays there, under
// either spelling, so that there is one of each and all are about the same call.
// What else stands there stays, Retry-After too, unless fields replace it.
func Set[F Field](h map[string][]string, fields []F) {
	for _, name := range rateNames {
		delete(h, name)
	}
	values := make([]string, len(fields)) // one slice carries all values
	for i := range fields {
		f := field(fields[i])
		values[i] = f.Value
		h[f.Name] = values[i : i+1 : i+1] // no room: adding to one must not reach the next
	}
}

// never is the wait that no time ends.
const never = time.Duration(math.MaxInt64)

// Wait returns how many whole seconds the caller of a denied call should wait:
// at least 1, or 0 if waiting cannot help, which the longest duration stands for.
func Wait(retry time.Duration) int64 {
	if retry == never {
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
