// handler.go is the way of a request through the middleware.

package httplimit

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

// A handler asks, and then serves or refuses.
type handler struct {
	cfg                    Config
	next                   http.Handler
	usageMethod, usagePath string
}

// ServeHTTP serves one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, ok := h.cfg.Request(r)
	switch {
	case !ok:
		h.next.ServeHTTP(w, r)
		return
	case h.usagePath != "" && r.Method == h.usageMethod && r.URL.Path == h.usagePath:
		h.usage(w, r, req)
		return
	case h.cfg.Cost != nil:
		req.Cost, req.CostNanos = h.cfg.Cost(r), 0
	}
	d, err := h.take(r, req)
	switch {
	case errors.Is(err, bucketring.ErrInvalid):
		writeProblem(w, r, invalid)
	case err != nil && h.cfg.FailClosed:
		writeProblem(w, r, undecided)
	case err != nil:
		h.next.ServeHTTP(w, r)
	case !d.Allowed:
		h.refuse(w, r, req.Limits, &d)
	default:
		h.serve(w, r, req.Limits, d)
	}
}

// take asks, for as long as Config allows, and has the answer observed.
func (h *handler) take(r *http.Request, req bucketring.Request) (bucketring.Decision, error) {
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Within)
	defer cancel()
	d, err := h.cfg.Limiter.Take(ctx, req)
	if err != nil {
		h.observe(r, nil, err)
	} else {
		h.observe(r, &d, nil)
	}
	return d, err
}

func (h *handler) observe(r *http.Request, d *bucketring.Decision, err error) {
	if h.cfg.Observe != nil {
		h.cfg.Observe(r, d, err)
	}
}

// serve has the application answer, and ends what the request was lent.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, limits []bucketring.Limit, d bucketring.Decision) {
	ctx, grant := client.Hold(r.Context(), h.cfg.Limiter, d, h.leaseTTL(limits))
	defer func() { // also if the application panics
		if err := grant.End(); err != nil {
			h.observe(r, &d, err)
		}
	}()
	out := &writer{ResponseWriter: w, fields: fieldsOf(&d)}
	h.next.ServeHTTP(out, r.WithContext(ctx))
	out.put() // if it has written nothing
}

// leaseTTL returns how long the leases of a request last without renewal.
func (h *handler) leaseTTL(limits []bucketring.Limit) time.Duration {
	ttl := h.cfg.LeaseTTL
	for i := range limits {
		if l := &limits[i]; l.Kind == bucketring.KindConcurrency && (ttl == 0 || l.TTL < ttl) {
			ttl = l.TTL
		}
	}
	return ttl
}

// usage shows callers what they have used, which costs nothing. A caller that the policy
// has no page for is the application's to answer.
func (h *handler) usage(w http.ResponseWriter, r *http.Request, req bucketring.Request) {
	req.Verb, req.Cost, req.CostNanos = bucketring.VerbUsage, 0, 0
	d, err := h.take(r, req)
	if err != nil || d.Response == nil {
		h.next.ServeHTTP(w, r)
		return
	}
	header := w.Header()
	prepare(header, nil)
	writeResponse(w, d.Response)
}
