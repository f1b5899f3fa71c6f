// answers.go reads what an HTTP API says of its limits.

package client

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refused reports whether an answer says that the request was not carried out and may be
// sent again, and when: a wait below 0 if it does not say it.
func refused(resp *http.Response) (wait time.Duration, repeat bool) {
	after, said := retryAfter(resp.Header, time.Now())
	switch resp.StatusCode {
	case http.StatusServiceUnavailable:
		return after, said // another 503 may have been half way through
	case http.StatusTooManyRequests:
		if said {
			return after, true
		}
		return inBody(resp), true
	}
	return 0, false
}

// retryAfter reads the header of that name: seconds or a date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if d, ok := seconds(text); ok {
		return d, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(dateOf(h, now)), 0), true
	}
	return -1, false
}

// usedUp returns how long no request is left: 0 if some are, or if nothing is said. Reset is a
// time in Unix seconds, or how many seconds there are until then.
func usedUp(h http.Header, now time.Time) time.Duration {
	if strings.TrimSpace(h.Get("X-RateLimit-Remaining")) != "0" {
		return 0
	}
	reset, ok := seconds(h.Get("X-RateLimit-Reset"))
	if !ok {
		return 0
	}
	const years16 = 5e8 * time.Second // no window is as long, and no clock as early
	if reset > years16 {
		reset -= dateOf(h, now).Sub(time.Unix(0, 0)).Truncate(time.Second)
	}
	return max(reset, 0)
}

// dateOf returns the API's own time, which its times are to be read by.
func dateOf(h http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return now
}

// seconds reads a number of seconds, with or without decimals.
func seconds(text string) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(n >= 0) || n > math.MaxInt64/float64(time.Second)-1 {
		return 0, false
	}
	return time.Duration(math.Ceil(n * float64(time.Second))), true
}

// maxErrorBody is how much of a body is looked at, in bytes.
const maxErrorBody = 64 << 10

// inBody finds retry_after in a JSON body, at the places where APIs have it; below 0 if
// it is at none. The body can be read again from its beginning.
func inBody(resp *http.Response) time.Duration {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what is missing is no JSON
	resp.Body = &replayed{Reader: io.MultiReader(bytes.NewReader(text), resp.Body), Closer: resp.Body}
	type hint struct {
		RetryAfter json.Number `json:"retry_after"`
	}
	var body struct {
		hint
		Error json.RawMessage `json:"error"` // of some APIs it is a text
	}
	var inside struct {
		hint
		Details hint `json:"details"`
	}
	_ = json.Unmarshal(text, &body)
	_ = json.Unmarshal(body.Error, &inside)
	for _, n := range []json.Number{body.RetryAfter, inside.RetryAfter, inside.Details.RetryAfter} {
		if d, ok := seconds(n.String()); ok {
			return d
		}
	}
	return -1
}

// A replayed body begins with what was read of it.
type replayed struct {
	io.Reader
	io.Closer
}

// drop ends an answer that nobody will see, so that its connection is used again.
func drop(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	_ = resp.Body.Close() // nothing was to come
}

// closeBody closes the body of a request that is not sent, as a RoundTripper must.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // nothing was written
	}
}
