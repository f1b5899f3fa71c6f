// leases.go serves calls about what a take has handed out: leases and reservations.

package httpapi

import (
	"net/http"
	"strconv"

	"github.com/bucketring/bucketring"
)

const (
	maxLeases     = 1000    // of one call
	maxIDLen      = 8 << 10 // bytes of a reservation, which may be for many limits
	leasesExample = `{"leases":["AbCdEfGhIjKlMnOpQrStUvWx"]}`
	settleExample = `{"reservation":"AbCdEfGhIjKlMnOpQrStUvWx","cost":12.5}`
)

// leases serves POST /v1/renew and POST /v1/release.
func (h *Handler) leases(verb bucketring.Verb) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b := h.buffers.Get().(*buffers)
		defer h.release(b)
		if err := b.read(r); err != nil {
			h.fail(w, r, err)
			return
		}
		ids, err := decodeLeases(b.in)
		req := bucketring.Request{Verb: verb, IDs: ids}
		if err == nil {
			err = h.may(r.Context(), &req)
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
		h.hide(r.Context(), &d)
		b.out = append(appendReached(b.out[:0], ids, d.Leases), '\n')
		writeJSON(w, http.StatusOK, b.out)
	}
}

// appendReached says of each id whether it is among those that were reached.
func appendReached(b []byte, ids, reached []string) []byte {
	known := make(map[string]bool, len(reached))
	for _, id := range reached {
		known[id] = true
	}
	b = append(b, `{"leases":[`...)
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"id":`...), id)
		b = strconv.AppendBool(append(b, `,"ok":`...), known[id])
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

// decodeLeases reads a body of the form {"leases":["id",...]}.
func decodeLeases(body []byte) ([]string, error) {
	s, err := begin(body, leasesExample)
	if err != nil {
		return nil, err
	}
	ids, err := s.leases()
	return ids, s.finish(err)
}

func (s *scanner) leases() (ids []string, err error) {
	if s.peek() != '{' {
		s.skip()
		return nil, bucketring.Invalidf("leases must be given in an object such as %s", leasesExample)
	}
	var first error
	var seen fieldSet
	for s.enter(); s.more('}'); {
		if _, err = s.member(&seen, []string{"leases"}); err == nil {
			ids, err = s.ids()
		}
		if first == nil {
			first = err
		}
	}
	if first == nil && len(ids) == 0 {
		first = bucketring.Invalidf("leases is missing or empty: give 1 to %d ids", maxLeases)
	}
	return ids, first
}

// ids reads an array of ids of leases. An id lets its holder end the lease, so no
// error repeats it.
func (s *scanner) ids() (ids []string, first error) {
	if s.peek() != '[' {
		s.skip()
		return nil, bucketring.Invalidf("leases must be an array of ids in double quotes")
	}
	for s.enter(); s.more(']'); {
		id, err := s.text("an id")
		if err == nil {
			_, _, err = bucketring.ParseID(id)
		}
		if len(ids) == maxLeases {
			err = bucketring.Invalidf("more than %d leases in one call: split it", maxLeases)
		} else {
			ids = append(ids, id)
		}
		if first == nil && err != nil {
			first = bucketring.Invalidf("lease %d: %v", len(ids), err)
		}
	}
	return ids, first
}

// settleFields are the names in a settlement.
var settleFields = []string{"reservation", "cost"}

// decodeSettle reads the body of POST /v1/settle.
func decodeSettle(body []byte) (bucketring.Request, error) {
	s, err := begin(body, settleExample)
	if err != nil {
		return bucketring.Request{}, err
	}
	req, err := s.settlement()
	return req, s.finish(err)
}

func (s *scanner) settlement() (bucketring.Request, error) {
	req := bucketring.Request{Verb: bucketring.VerbSettle}
	if s.peek() != '{' {
		s.skip()
		return req, bucketring.Invalidf("a settlement must be an object such as %s", settleExample)
	}
	var first error
	var seen fieldSet
	for s.enter(); s.more('}'); {
		i, err := s.member(&seen, settleFields)
		switch {
		case err != nil:
		case i == 0:
			req.IDs = make([]string, 1)
			req.IDs[0], err = s.text("reservation")
		default:
			req.Cost, req.CostNanos, err = amount("cost", string(s.numeral()))
		}
		if first == nil {
			first = err
		}
	}
	switch {
	case first != nil:
		return req, first
	case len(req.IDs) == 0 || req.IDs[0] == "":
		return req, bucketring.Invalidf("reservation is missing: give it as the take answered it")
	case len(req.IDs[0]) > maxIDLen:
		return req, bucketring.Invalidf("reservation has %d bytes, at most %d are allowed", len(req.IDs[0]), maxIDLen)
	case !seen.has(1):
		return req, bucketring.Invalidf("cost is missing: give what the work has cost in the end")
	case req.Cost < 0 || req.CostNanos < 0:
		return req, bucketring.Invalidf("cost is negative, it must be 0 or more")
	}
	return req, nil
}
