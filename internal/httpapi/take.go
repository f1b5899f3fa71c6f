package httpapi

import (
	"net/http"

	"github.com/bucketring/bucketring"
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
	return h.body(func(body []byte) (bucketring.Request, error) {
		req, err := decodeRequest(body)
		req.Verb = verb
		return req, err
	})
}

// body serves a call that is decoded from its body, verb and all.
func (h *Handler) body(decode func([]byte) (bucketring.Request, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b := h.buffers.Get().(*buffers)
		defer h.release(b)
		if err := b.read(r); err != nil {
			h.fail(w, r, err)
			return
		}
		req, err := decode(b.in)
		h.decide(w, r, b, req, err)
	}
}

// get serves a verb whose request is the query.
func (h *Handler) get(verb bucketring.Verb) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b := h.buffers.Get().(*buffers)
		defer h.release(b)
		req, err := queryRequest(r.URL.RawQuery)
		req.Verb = verb
		h.decide(w, r, b, req, err)
	}
}

// decide carries out one request, unless err says that it cannot be read, and
// answers.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request, b *buffers, req bucketring.Request, err error) {
	if err == nil {
		err = prepare(&req)
	}
	if err == nil {
		err = h.may(r.Context(), &req)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	named(&req, r.Header["X-Request-Id"])
	d, err := h.limiter.Take(r.Context(), req)
	if err != nil {
		h.failRequest(w, r, &req, err)
		return
	}
	if refused(&d) {
		h.fail(w, r, ownerAway(&d))
		return
	}
	h.hide(r.Context(), &d)
	b.out = append(appendDecision(b.out[:0], &d, ofPolicy(&req)), '\n')
	status := http.StatusOK
	switch req.Verb {
	case bucketring.VerbTake, bucketring.VerbPeek:
		setFields(w.Header(), &d)
		fallthrough
	case bucketring.VerbAdd:
		if !d.Allowed {
			status = refusalStatus(&d)
		}
	}
	h.countStatus(status)
	writeJSON(w, status, b.out)
}

// countStatus counts what is answered without a problem.
func (h *Handler) countStatus(status int) {
	if status == http.StatusServiceUnavailable {
		h.counts.unavailable.Add(1)
	}
}

// minToken and bucketring.MaxTokenLen bound a token in bytes.
const minToken = 16

// prepare completes req and checks it. What a namespace needs is known to its
// policy only, and what ids stand for to the node that made them.
func prepare(req *bucketring.Request) error {
	if n := len(req.Token); n != 0 && (n < minToken || n > bucketring.MaxTokenLen) {
		return bucketring.Invalidf("token has %d bytes, it must have %d to %d, at random", n, minToken, bucketring.MaxTokenLen)
	}
	if req.Verb == bucketring.VerbReset {
		req.Cost, req.CostNanos = 0, 0 // it has none
	}
	if req.Namespace != "" || len(req.IDs) > 0 {
		return nil
	}
	if len(req.Attributes) > 0 {
		return bucketring.Invalidf("attributes are matched by a policy: give its namespace too")
	}
	return req.Validate()
}

// named gives a call with a policy the id of its request, which a body may show.
func named(req *bucketring.Request, id []string) {
	if req.Namespace == "" || len(id) != 1 || len(id[0]) > maxAttributeValue || len(req.Attributes) >= maxAttributes {
		return
	}
	if _, sent := req.Attributes["request_id"]; sent {
		return
	}
	if req.Attributes == nil {
		req.Attributes = map[string]string{}
	}
	req.Attributes["request_id"] = id[0]
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
