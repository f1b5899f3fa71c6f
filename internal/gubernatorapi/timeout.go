// timeout.go reads the time that an HTTP caller has, as gRPC writes it.

package gubernatorapi

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// timeUnits are the units of the header Grpc-Timeout.
var timeUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second,
	'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// withTimeout returns the context of a call, which ends when the header Grpc-Timeout says
// so. 0 is no bound, and no header is none either.
func withTimeout(r *http.Request) (context.Context, context.CancelFunc, error) {
	text := r.Header.Get("Grpc-Timeout")
	if text == "" {
		return r.Context(), func() {}, nil
	}
	timeout, ok := parseTimeout(text)
	switch {
	case !ok:
		return nil, nil, status.Errorf(codes.InvalidArgument, "invalid grpc-timeout: %s", text)
	case timeout == 0:
		return r.Context(), func() {}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	return ctx, cancel, nil
}

// parseTimeout reads digits and a unit, such as 300u, 50m and 1S. What is too long for a
// Duration is the longest.
func parseTimeout(text string) (time.Duration, bool) {
	last := len(text) - 1
	if last < 1 || text[0] < '0' || text[0] > '9' {
		return 0, false
	}
	unit := timeUnits[text[last]]
	n, err := strconv.ParseInt(text[:last], 10, 64)
	if unit == 0 || err != nil {
		return 0, false
	}
	if n > math.MaxInt64/int64(unit) {
		return math.MaxInt64, true
	}
	return time.Duration(n) * unit, true
}
