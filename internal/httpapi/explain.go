// explain.go says where a key lives, and the counters of a caller.

package httpapi

import (
	"net/http"
	"strconv"

	"github.com/bucketring/bucketring"
)

// explainFields are the parameters of GET /v1/explain. Beside a namespace all others are
// attributes.
var explainFields = []string{"key", "limit", "namespace"}

// explain serves GET /v1/explain.
func (h *Handler) explain(w http.ResponseWriter, r *http.Request) {
	if h.view == nil {
		h.fail(w, r, errNoView)
		return
	}
	req, err := explainRequest(r.URL.RawQuery)
	if err == nil && req.Namespace != "" {
		err = h.may(r.Context(), &req)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	e, err := h.view.Explain(r.Context(), req)
	if err != nil {
		h.failRequest(w, r, &req, err)
		return
	}
	writeJSON(w, http.StatusOK, append(appendExplanation(nil, &e), '\n'))
}

// explainRequest reads what is to be explained, as a peek.
func explainRequest(raw string) (req bucketring.Request, err error) {
	q, err := readQuery(raw, explainFields)
	if err != nil {
		return req, err
	}
	key, limit, namespace := q.values[0], q.values[1], q.values[2]
	req = bucketring.Request{Verb: bucketring.VerbPeek, Key: key.text, Namespace: namespace.text}
	switch {
	case namespace.given && (key.given || limit.given):
		return req, bucketring.Invalidf("explain is of a key, with a limit or without, or of a caller in a namespace: leave out namespace, or key and limit")
	case namespace.given && q.bad != nil:
		return req, q.bad
	case namespace.text != "":
		req.Attributes = q.others
		return req, checkNamespace(req.Namespace)
	case q.unknown != nil:
		return req, q.unknown
	}
	// The rules for a key and limits are those of a request; a limit may be missing here only.
	if !limit.given {
		limit.text = "1/s"
	}
	if req.Limits, err = bucketring.Parse(limit.text); err == nil {
		err = req.Validate()
	}
	if !limit.given {
		req.Limits = nil
	}
	return req, err
}

// appendExplanation appends e as the API shows it.
func appendExplanation(b []byte, e *Explanation) []byte {
	if e.Namespace == "" {
		b = appendString(append(b, `{"key":`...), e.Key)
		b = appendPlace(append(b, ','), &e.Place)
	} else {
		b = appendString(append(b, `{"namespace":`...), e.Namespace)
		b = append(b, `,"places":[`...)
		for i := range e.Places {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"limits":[`...)
			for j, name := range e.Places[i].Limits {
				if j > 0 {
					b = append(b, ',')
				}
				b = appendString(b, name)
			}
			b = append(appendPlace(append(b, "],"...), &e.Places[i]), '}')
		}
		b = append(b, ']')
	}
	b = append(b, `,"node":`...)
	b = appendString(b, e.Node)
	b = append(b, `,"ring_version":`...)
	b = strconv.AppendUint(b, e.RingVersion, 10)
	if e.Decision != nil {
		b = append(b, `,"decision":`...)
		b = appendDecision(b, e.Decision, false)
	}
	return append(b, '}')
}

// appendPlace appends the fields of a place.
func appendPlace(b []byte, p *Place) []byte {
	b = append(b, `"partition":`...)
	if p.Partition < 0 {
		b = append(b, "null"...)
	} else {
		b = appendInt(b, int64(p.Partition))
	}
	b = append(b, `,"owner":`...)
	b = appendString(b, p.Owner)
	b = append(b, `,"replica":`...)
	return appendString(b, p.Replica)
}
