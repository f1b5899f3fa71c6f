package httpapi_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// limiterFunc is a Limiter made of one function.
type limiterFunc func(context.Context, bucketring.Request) (bucketring.Decision, error)

func (f limiterFunc) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return f(ctx, req)
}

// answering is a Limiter that always says the same.
func answering(d bucketring.Decision, err error) limiterFunc {
	return func(context.Context, bucketring.Request) (bucketring.Decision, error) { return d, err }
}

// newHandler returns a handler over l with nothing else.
func newHandler(l bucketring.Limiter) *httpapi.Handler {
	return httpapi.New(httpapi.Config{Limiter: l})
}

// allowed is the decision of a first take from 3/m.
func allowed() bucketring.Decision {
	return bucketring.Decision{
		Allowed: true,
		LimitState: bucketring.LimitState{
			Name: "inline", Allowed: true, Limit: 3, Remaining: 2,
			ResetAfter: 20 * time.Second, ResetAt: 1704067200,
		},
		Node: "n1", Owner: "n2",
	}
}

// denied is the decision of the fourth.
func denied() bucketring.Decision {
	d := allowed()
	d.Allowed, d.LimitState.Allowed, d.Remaining = false, false, 0
	d.ResetAfter = 59200*time.Millisecond - time.Microsecond
	d.LimitState.RetryAfter = 19001 * time.Millisecond
	return d
}

// request makes a call; a body makes it a POST with a JSON type.
func request(target, body string) *http.Request {
	if body == "" {
		return httptest.NewRequest("GET", target, nil)
	}
	r := httptest.NewRequest("POST", target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// serve returns the answer of h to r.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// dump writes an answer as text: status, sorted header, body.
func dump(w *httptest.ResponseRecorder) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", w.Code, http.StatusText(w.Code))
	var names []string
	for name := range w.Header() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range w.Header()[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintf(&b, "\n%s", w.Body)
	return b.String()
}

// golden compares got with testdata/name, or rewrites the file with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// detail returns the detail of a problem answer.
func detail(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	return decode[struct{ Detail string }](t, w.Body).Detail
}

// endless is a body that never ends, and counts what was read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}
