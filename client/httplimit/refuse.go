// refuse.go writes the answers that the application does not write.

package httplimit

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/internal/ratefield"
)

// rateHeaders are all that tell of limits.
var rateHeaders = []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit"}

// hasRate reports whether one of them is there, under either spelling, be it without a
// value.
func hasRate(h http.Header) bool {
	for _, name := range rateHeaders {
		_, ours := h[name]
		_, usual := h[http.CanonicalHeaderKey(name)]
		if ours || usual {
			return true
		}
	}
	return false
}

// fieldsOf returns the rate fields of a decision: those of its policy, without the one
// that describes its body, or X-RateLimit and, if waiting can help, Retry-After.
func fieldsOf(d *bucketring.Decision) (fields []bucketring.Header) {
	if d.Response != nil {
		for _, f := range d.Response.Headers {
			if f.Name != "Content-Type" {
				fields = append(fields, f)
			}
		}
		return fields
	}
	s := ratefield.State{Limit: d.Limit, Remaining: d.Remaining, Precision: d.Precision, ResetAt: d.ResetAt}
	fields = ratefield.AppendXRateLimit(fields, &s, false)
	if !d.Allowed {
		fields = ratefield.AppendRetryAfter(fields, ratefield.Wait(d.RetryAfter))
	}
	return fields
}

// prepare makes a header that of an answer of ours: what others have put there about
// another answer goes, and nobody keeps it.
func prepare(h http.Header, fields []bucketring.Header) {
	for _, name := range rateHeaders {
		delete(h, name)
		h.Del(name)
	}
	for _, name := range []string{"Retry-After", "Content-Length", "Content-Encoding", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	for _, f := range fields {
		h.Set(f.Name, f.Value)
	}
}

// refuse answers a request that was denied.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, limits []bucketring.Limit, d *bucketring.Decision) {
	refusal := client.RefusalOf(limits, d)
	away := refusal.Unavailable && d.Response == nil
	fields := fieldsOf(d)
	if away { // what the limit would say is not known
		fields = ratefield.AppendRetryAfter([]bucketring.Header(nil), ratefield.Wait(refusal.RetryAfter))
	}
	prepare(w.Header(), fields)
	switch {
	case h.cfg.Refuse != nil:
		h.cfg.Refuse(w, r, d)
	case d.Response != nil:
		writeResponse(w, d.Response)
	case away:
		p := undecided
		p.Detail, p.Violated = refusal.Detail, refusal.Violated
		p.write(w, r)
	default:
		p := problem{Type: quotaExceeded, Title: "Rate limit exceeded", Status: http.StatusTooManyRequests,
			Detail: refusal.Detail, Violated: refusal.Violated}
		p.write(w, r)
	}
}

// writeResponse writes what a policy says; the rate fields are there already.
func writeResponse(w http.ResponseWriter, as *bucketring.Response) {
	for _, f := range as.Headers {
		if f.Name == "Content-Type" {
			w.Header().Set(f.Name, f.Value)
		}
	}
	w.WriteHeader(as.Status)
	_, _ = w.Write(as.Body) // nobody is left to tell if this fails
}

// The registered types of problem.
const (
	quotaExceeded   = "https://iana.org/assignments/http-problem-types#quota-exceeded"
	reducedCapacity = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
)

// A problem is a problem document of RFC 9457.
type problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail"`
	Violated []string `json:"violated-policies,omitempty"`
	Instance string   `json:"instance,omitempty"`

	retry int64 // seconds
}

// The problems of requests that nobody has decided.
var (
	invalid = problem{Type: "about:blank", Title: "Bad Request", Status: http.StatusBadRequest,
		Detail: "The limits that hold here cannot be applied to this request: a part of it is too long or is no number."}
	undecided = problem{Type: reducedCapacity, Title: "Temporary reduced capacity", Status: http.StatusServiceUnavailable,
		Detail: "The limits that hold here cannot be checked at the moment; try again in 1 second.", retry: 1}
)

// writeProblem answers without a decision.
func writeProblem(w http.ResponseWriter, r *http.Request, p problem) {
	prepare(w.Header(), nil)
	if p.retry > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(p.retry, 10))
	}
	p.write(w, r)
}

// write writes the document. Its instance is the request's id, if it has one.
func (p problem) write(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get("X-Request-Id"); len(id) <= maxRequestID {
		p.Instance = id
	}
	body, _ := json.Marshal(p) // no error: it has texts and numbers only
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // nobody is left to tell if this fails
}
