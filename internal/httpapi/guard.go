// guard.go keeps a panic to one call and keys out of the log.

package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
)

// A writer knows whether an answer has begun, so that a panic before it can
// still become one.
type writer struct {
	http.ResponseWriter
	sent bool
}

func (w *writer) WriteHeader(status int) {
	w.sent = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	w.sent = true
	return w.ResponseWriter.Write(b)
}

// recovered ends a call that panicked: it counts, logs where, and answers 500
// or, if the answer has begun, breaks the connection so that the caller cannot
// take a torn answer for a whole one.
func (f *face) recovered(w *writer) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	f.counts.panics.Add(1)
	if f.panics.ready(time.Now()) {
		f.log.Error("call panicked", "err", panicText(v), "stack", string(debug.Stack()))
	}
	if w.sent {
		panic(http.ErrAbortHandler)
	}
	writeProblem(w, errPanic)
}

// panicText describes a panic's value. Only the runtime's own texts are shown:
// any other might hold a key.
func panicText(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a %T, its text is withheld", v)
}

// logError reports an error that a Limiter should have mapped to one of the
// known ones.
func (f *face) logError(req *bucketring.Request, err error) {
	if f.errors.ready(time.Now()) {
		f.log.Error("call failed with an unexpected error", "err", withoutKey(req, err))
	}
}

// withoutKey returns the text of err, or only the types of its chain if the
// text may hold something of the caller's.
func withoutKey(req *bucketring.Request, err error) string {
	text := err.Error()
	if req == nil || !mentions(text, req) {
		return text
	}
	var types []string
	for ; err != nil; err = errors.Unwrap(err) {
		types = append(types, fmt.Sprintf("%T", err))
	}
	return strings.Join(types, ": ") + ", the text is withheld"
}

// mentions reports whether text holds the request's key, namespace, token, an id or
// a value, plain or quoted.
func mentions(text string, req *bucketring.Request) bool {
	holds := func(s string) bool {
		return s != "" && (strings.Contains(text, s) || strings.Contains(text, strings.Trim(strconv.Quote(s), `"`)))
	}
	for _, value := range req.Attributes {
		if holds(value) {
			return true
		}
	}
	return holds(req.Key) || holds(req.Namespace) || holds(req.Token) || slices.ContainsFunc(req.IDs, holds)
}

// A sparse allows one log line a second, however often it is asked.
type sparse struct {
	// second is the Unix second of the last line. Any goroutine moves it on.
	second atomic.Int64
}

// ready reports whether the caller may write a line now. It counts as written.
func (s *sparse) ready(now time.Time) bool {
	last, second := s.second.Load(), now.Unix()
	return last != second && s.second.CompareAndSwap(last, second)
}
