// writer.go puts the rate headers onto the application's answer.

package httplimit

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/bucketring/bucketring"
)

// A writer adds fields to an answer as it is about to be sent, so that whatever the
// application does to the header before, each field is there once. What the writer below
// can do, it can: directly, or for http.ResponseController by Unwrap.
type writer struct {
	http.ResponseWriter
	fields []bucketring.Header
	done   bool
}

// put adds the fields. An application that has set a rate header itself speaks for all
// of them; so does a middleware of this kind that is nearer to it.
func (w *writer) put() {
	if w.done {
		return
	}
	w.done = true
	header := w.Header()
	if hasRate(header) {
		return
	}
	for _, f := range w.fields {
		header.Set(f.Name, f.Value)
	}
}

// WriteHeader puts the fields onto all but interim answers.
func (w *writer) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.put()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write begins the answer if that was not done before.
func (w *writer) Write(b []byte) (int, error) {
	w.put()
	return w.ResponseWriter.Write(b)
}

// WriteString spares the writer below a copy, if it can.
func (w *writer) WriteString(s string) (int, error) {
	w.put()
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom lets the writer below send a file by itself, if it can.
func (w *writer) ReadFrom(from io.Reader) (int64, error) {
	w.put()
	return io.Copy(w.ResponseWriter, from)
}

// Flush sends what is written so far.
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is Flush for http.ResponseController.
func (w *writer) FlushError() error {
	w.put()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack hands over the connection; whoever takes it writes the header.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Push is for HTTP/2; elsewhere it is not supported.
func (w *writer) Push(target string, opts *http.PushOptions) error {
	if p, ok := w.ResponseWriter.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
