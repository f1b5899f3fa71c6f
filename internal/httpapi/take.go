package httpapi

import (
	"net/http"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/ratefield"
)

// buffers are the scratch space of one call.
type buffers struct{ in, out []byte }

// maxKept bounds what a finished call leaves behind for the next one, in bytes.
const maxKept = 64 << 10

// release gives b back unless a large call has swollen it.
func (h *Handler) release(b *buffers) {
	if cap(b.in) <= maxKept && cap(b.out) <= maxKept {
		h.buffers.Put(b)
	}
}

// post serves a verb whose request is the body.
func (h *Handler) post(verb bucketring.Verb) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b := h.buffers.Get().(*buffers)
		defer h.release(b)
		if err := b.read(r); err != nil {
			h.fail(w, r, err)
			return
		}
		req, err := decodeRequest(b.in)
		h.decide(w, r, b, verb, req, err)
	}
}

// get serves a verb whose request is the query.
func (h *Handler) get(verb bucketring.Verb) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b := h.buffers.Get().(*buffers)
		defer h.release(b)
		req, err := queryRequest(r.URL.RawQuery)
		h.decide(w, r, b, verb, req, err)
	}
}

// decide carries out one request, unless err says that it cannot be read, and
// answers.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request, b *buffers,
	verb bucketring.Verb, req bucketring.Request, err error) {
	if err == nil {
		err = prepare(&req, verb)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	d, err := h.limiter.Take(r.Context(), req)
	if err != nil {
		h.failRequest(w, r, &req, err)
		return
	}
	if refused(&d) {
		h.fail(w, r, ownerAway(&d))
		return
	}
	b.out = append(appendDecision(b.out[:0], &d), '\n')
	status := http.StatusOK
	if verb == bucketring.VerbTake || verb == bucketring.VerbPeek {
		ratefield.Set(w.Header(), &d)
		if !d.Allowed {
			status = http.StatusTooManyRequests
		}
	}
	writeJSON(w, status, b.out)
}

// prepare completes req and checks it. What a namespace needs is known to its
// policy only.
func prepare(req *bucketring.Request, verb bucketring.Verb) error {
	req.Verb = verb
	if verb == bucketring.VerbReset {
		req.Cost = 0 // it has none
	}
	if req.Namespace != "" {
		return nil
	}
	if len(req.Attributes) > 0 {
		return bucketring.Invalidf("attributes are matched by a policy: give its namespace too")
	}
	return req.Validate()
}

// refused reports whether d refuses only because the key's owner is away.
func refused(d *bucketring.Decision) bool {
	return !d.Allowed && d.Source == bucketring.SourceFallbackClosed
}

// ownerAway returns the problem that stands for such a decision.
func ownerAway(d *bucketring.Decision) *problem {
	p := unavailable("the node that counts this key is away and the limit asks to refuse calls until it is back: try again in 1 second")
	if d.Limits == nil {
		p.violated = []string{d.Name}
	}
	for i := range d.Limits {
		if !d.Limits[i].Allowed {
			p.violated = append(p.violated, d.Limits[i].Name)
		}
	}
	return p
}

// writeJSON sends an answer that is no problem.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	// Nobody is left to tell if this fails.
	_, _ = w.Write(body)
}
