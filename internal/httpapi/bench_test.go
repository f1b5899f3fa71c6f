package httpapi_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/bucketring/bucketring"
)

// null is a ResponseWriter that keeps nothing but its header map.
type null struct{ header http.Header }

func (w *null) Header() http.Header         { return w.header }
func (w *null) WriteHeader(int)             {}
func (w *null) Write(b []byte) (int, error) { return len(b), nil }

// again is a body that can be read once more.
type again struct{ bytes.Reader }

func (*again) Close() error { return nil }

func BenchmarkTake(b *testing.B) {
	const body = `{"key":"alice","limit":"3/m","cost":1}`
	for _, bb := range []struct {
		name, target, body string
		d                  bucketring.Decision
	}{
		{"door=post/result=allowed", "/v1/take", body, allowed()},
		{"door=post/result=denied", "/v1/take", body, denied()},
		{"door=get/result=allowed", "/v1/take?key=alice&limit=3/m&cost=1", "", allowed()},
		{"door=batch/items=100", "/v1/take/batch", batchOf(100), allowed()},
		{"door=post/result=bad", "/v1/take", "{}", allowed()},
	} {
		b.Run(bb.name, func(b *testing.B) {
			h := newHandler(answering(bb.d, nil))
			r := request(bb.target, bb.body)
			body, reader := []byte(bb.body), &again{}
			r.Body = reader
			w := &null{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				reader.Reset(body)
				h.ServeHTTP(w, r)
			}
		})
	}
}
