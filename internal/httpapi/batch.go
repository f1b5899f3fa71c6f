package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/bucketring/bucketring"
)

// batchTime bounds how long a batch is worked on, so that its answer can still
// be sent in time. Requests that are left then answer 503.
const batchTime = 5 * time.Second

// An item is one request of a batch, or what is wrong with it.
type item struct {
	req bucketring.Request
	err error
}

// batch serves POST /v1/take/batch.
func (h *Handler) batch(w http.ResponseWriter, r *http.Request) {
	b := h.buffers.Get().(*buffers)
	defer h.release(b)
	if err := b.read(r); err != nil {
		h.fail(w, r, err)
		return
	}
	items, err := decodeBatch(b.in)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), batchTime)
	defer cancel()
	b.out = append(b.out[:0], `{"decisions":[`...)
	for i := range items {
		if i > 0 {
			b.out = append(b.out, ',')
		}
		b.out = h.appendItem(ctx, b.out, &items[i])
	}
	b.out = append(b.out, "]}\n"...)
	writeJSON(w, http.StatusOK, b.out)
}

// appendItem takes for one item and appends its answer.
func (h *Handler) appendItem(ctx context.Context, b []byte, it *item) []byte {
	err := it.err
	if err == nil {
		err = prepare(&it.req)
	}
	if err == nil {
		err = h.may(ctx, &it.req)
	}
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			err = errTooSlow
		}
	}
	if err == nil {
		var d bucketring.Decision
		if d, err = h.limiter.Take(ctx, it.req); err == nil {
			h.hide(ctx, &d)
			return appendDecision(b, &d, ofPolicy(&it.req))
		}
	}
	b = append(b, `{"error":`...)
	b = appendProblem(b, h.problemOf(ctx, &it.req, err))
	return append(b, '}')
}

const batchExample = `{"requests":[{"key":"alice","limit":"3/m"}]}`

// decodeBatch reads a body of the form {"requests":[...]}. An error in one
// request is that item's; too many requests are refused while they are counted.
func decodeBatch(body []byte) ([]item, error) {
	s, err := begin(body, batchExample)
	if err != nil {
		return nil, err
	}
	items, err := s.batch()
	if err == errBatchTooLong {
		return nil, err // the rest is not worth reading
	}
	return items, s.finish(err)
}

// batch reads the object around the requests.
func (s *scanner) batch() (items []item, err error) {
	if s.peek() != '{' {
		s.skip()
		return nil, bucketring.Invalidf("a batch must be an object such as %s", batchExample)
	}
	var first error
	var seen fieldSet
	for s.enter(); s.more('}'); {
		if _, err = s.member(&seen, []string{"requests"}); err == nil {
			items, err = s.requests()
		}
		if err == errBatchTooLong {
			return nil, err
		}
		if first == nil {
			first = err
		}
	}
	if first == nil && len(items) == 0 {
		first = bucketring.Invalidf("requests is missing or empty: give 1 to %d", maxBatch)
	}
	return items, first
}

// requests reads the array of a batch.
func (s *scanner) requests() ([]item, error) {
	if s.peek() != '[' {
		s.skip()
		return nil, bucketring.Invalidf("requests must be an array of objects")
	}
	var items []item
	for s.enter(); s.more(']'); {
		if len(items) == maxBatch {
			return nil, errBatchTooLong
		}
		req, err := s.request()
		items = append(items, item{req, err})
	}
	return items, nil
}
