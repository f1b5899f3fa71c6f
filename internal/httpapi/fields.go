// fields.go puts decisions into header fields.

package httpapi

import (
	"net/http"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/ratefield"
)

// setFields puts the rate fields of d onto h: those that its policy chose, else
// X-RateLimit; and Retry-After if d is a denial that waiting can cure.
func setFields(h http.Header, d *bucketring.Decision) {
	if d.Response != nil {
		ratefield.Set(h, rateFields(d.Response.Headers))
		return
	}
	s := ratefield.State{Limit: d.Limit, Remaining: d.Remaining, Precision: d.Precision, ResetAt: d.ResetAt}
	var room [4]bucketring.Header
	fields := ratefield.AppendXRateLimit(room[:0], &s, false)
	fields = ratefield.AppendRetryAfter(fields, retryAfter(d))
	ratefield.Set(h, fields)
}

// rateFields returns a policy's fields without that which describes its body.
func rateFields(all []bucketring.Header) []bucketring.Header {
	for i := range all {
		if all[i].Name == "Content-Type" {
			return append(append([]bucketring.Header{}, all[:i]...), all[i+1:]...)
		}
	}
	return all
}

// retryAfter returns the seconds to wait: at least 1 for a denial that waiting
// can cure, 0 for every other decision. A refusal because the key's owner is away
// says 1, whatever the limit would say; a policy says it itself.
func retryAfter(d *bucketring.Decision) int64 {
	switch {
	case d.Allowed:
		return 0
	case refused(d):
		return 1
	}
	return ratefield.Wait(d.LimitState.RetryAfter)
}

// refused reports whether d refuses only because the key's owner is away, and no
// policy says how that looks.
func refused(d *bucketring.Decision) bool {
	return !d.Allowed && d.Source == bucketring.SourceFallbackClosed && d.Response == nil
}

// refusalStatus returns the status of a denial.
func refusalStatus(d *bucketring.Decision) int {
	if d.Response != nil {
		return d.Response.Status
	}
	return http.StatusTooManyRequests
}
