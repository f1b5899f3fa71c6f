package httpapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/internal/httpapi"
)

func TestHealth(t *testing.T) {
	ring := httpapi.Check{Name: "ring"}
	loop := httpapi.Check{Name: "loop", Live: true}
	draining := httpapi.Check{Name: "drain", Err: errors.New("draining since 3s")}
	stuck := httpapi.Check{Name: "loop", Err: errors.New("no turn for 9s"), Live: true}
	healths := []struct {
		name   string
		health *httpapi.Health
	}{
		{"nothing to check", nil},
		{"all well", &httpapi.Health{Checks: func() []httpapi.Check { return []httpapi.Check{loop, ring} }}},
		{"draining", &httpapi.Health{Checks: func() []httpapi.Check { return []httpapi.Check{loop, ring, draining} }}},
		{"stuck", &httpapi.Health{Checks: func() []httpapi.Check { return []httpapi.Check{stuck, draining, ring} }}},
	}
	var b strings.Builder
	for _, tt := range healths {
		h := httpapi.New(httpapi.Config{Limiter: answering(allowed(), nil), Health: tt.health})
		for _, target := range []string{"/livez", "/readyz", "/livez?verbose", "/readyz?verbose", "/healthz", "/-/healthy", "/-/ready"} {
			fmt.Fprintf(&b, "=== %s\n> GET %s\n%s\n", tt.name, target, dump(serve(h, request(target, ""))))
		}
	}
	golden(t, "health.golden", b.String())
}

func TestHealthOnAnotherListener(t *testing.T) {
	mux := http.NewServeMux()
	(&httpapi.Health{}).Register(mux)
	if w := serve(mux, request("/readyz?verbose=1", "")); w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("answer = %d %q, want 200 ok", w.Code, w.Body)
	}
}

func TestHealthTakesOnlyGetAndHead(t *testing.T) {
	h := newHandler(answering(allowed(), nil))
	for _, path := range []string{"/livez", "/readyz", "/healthz", "/-/healthy", "/-/ready"} {
		w := serve(h, httptest.NewRequest("DELETE", path, nil))
		if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("DELETE %s: status %d, Allow %q, want 405 and GET, HEAD", path, w.Code, w.Header().Get("Allow"))
		}
	}
}
