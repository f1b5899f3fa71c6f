package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
)

// abort runs f and returns what it panicked with.
func abort(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

// logged returns a handler over l and what it logs.
func logged(l bucketring.Limiter) (*httpapi.Handler, *bytes.Buffer) {
	var b bytes.Buffer
	return httpapi.New(httpapi.Config{Limiter: l, Logger: slog.New(slog.NewJSONHandler(&b, nil))}), &b
}

func TestPanicCostsOneCall(t *testing.T) {
	h, log := logged(limiterFunc(func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		if req.Cost == 13 {
			panic("unlucky " + req.Key)
		}
		return allowed(), nil
	}))
	serve(h, request("/v1/take?key=canary&limit=3/m", "")) // leaves its writer to the next
	w := serve(h, request("/v1/take?key=canary&limit=3/m&cost=13", ""))
	golden(t, "panic.golden", dump(w))
	if w := serve(h, request("/v1/take?key=canary&limit=3/m", "")); w.Code != 200 {
		t.Errorf("the next call has status %d, want 200", w.Code)
	}
	if got := h.Stats(); got != (httpapi.Stats{Panics: 1}) {
		t.Errorf("Stats() = %+v, want one panic", got)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "TestPanicCostsOneCall") {
		t.Errorf("log has %d lines, want one with the stack:\n%s", n, log)
	}
	if !strings.Contains(log.String(), `"err":"a string, its text is withheld"`) || strings.Contains(log.String(), "canary") {
		t.Errorf("log names the key or not the panic:\n%s", log)
	}
}

func TestRuntimePanicIsNamed(t *testing.T) {
	h, log := logged(limiterFunc(func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		req.Attributes["x"] = "y" // no map
		return allowed(), nil
	}))
	if w := serve(h, request("/v1/take?key=alice&limit=3/m", "")); w.Code != 500 {
		t.Errorf("status %d, want 500", w.Code)
	}
	if !strings.Contains(log.String(), "assignment to entry in nil map") {
		t.Errorf("log does not name the panic:\n%s", log)
	}
}

// torn is a ResponseWriter that panics once the answer has begun.
type torn struct{ *httptest.ResponseRecorder }

func (w torn) Write([]byte) (int, error) { panic("torn") }

func TestPanicWithinAnAnswerBreaksTheConnection(t *testing.T) {
	h := newHandler(answering(allowed(), nil))
	w := torn{httptest.NewRecorder()}
	v := abort(func() { h.ServeHTTP(w, request("/v1/take?key=alice&limit=3/m", "")) })
	if v != http.ErrAbortHandler || h.Stats().Panics != 1 {
		t.Errorf("panicked with %v, Stats() = %+v, want http.ErrAbortHandler and one panic", v, h.Stats())
	}
}

func TestAbortIsPassedOn(t *testing.T) {
	h, log := logged(limiterFunc(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
		panic(http.ErrAbortHandler)
	}))
	v := abort(func() { serve(h, request("/v1/take?key=alice&limit=3/m", "")) })
	if v != http.ErrAbortHandler || h.Stats().Panics != 0 || log.Len() > 0 {
		t.Errorf("panicked with %v, Stats() = %+v, log %q, want http.ErrAbortHandler alone", v, h.Stats(), log)
	}
}

// TestCallerGone: nobody reads an answer, so there is none.
func TestCallerGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := newHandler(answering(bucketring.Decision{}, fmt.Errorf("transport: take: %w", context.Canceled)))
	w := httptest.NewRecorder()
	v := abort(func() { h.ServeHTTP(w, request("/v1/take?key=alice&limit=3/m", "").WithContext(ctx)) })
	if v != http.ErrAbortHandler || w.Body.Len() > 0 || h.Stats() != (httpapi.Stats{}) {
		t.Errorf("panicked with %v, wrote %q, Stats() = %+v, want http.ErrAbortHandler and nothing else", v, w.Body, h.Stats())
	}
}

func TestLogHoldsNoKey(t *testing.T) {
	tests := []struct {
		name, target, body string
		err                error
		want               string // in the log
	}{
		{"without a key", "/v1/take?key=canary&limit=3/m", "", errors.New("disk on fire"), `"err":"disk on fire"`},
		{"plain", "/v1/take?key=canary&limit=3/m", "", fmt.Errorf("lost: %w", errors.New("key canary")),
			`"err":"*fmt.wrapError: *errors.errorString, the text is withheld"`},
		{"quoted", "/v1/take?key=a%00canary&limit=3/m", "", fmt.Errorf("key %q", "a\x00canary"),
			`the text is withheld`},
		{"namespace", "/v1/take", `{"namespace":"canary"}`, errors.New("no canary"), `the text is withheld`},
		{"attribute", "/v1/take", `{"namespace":"n","attributes":{"user":"canary"}}`, errors.New("no canary"), `the text is withheld`},
		{"in a batch", "/v1/take/batch", `{"requests":[{"key":"canary","limit":"3/m"}]}`, errors.New("no canary"), `the text is withheld`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, log := logged(answering(bucketring.Decision{}, tt.err))
			w := serve(h, request(tt.target, tt.body))
			if !strings.Contains(log.String(), tt.want) || strings.Contains(log.String(), "canary") {
				t.Errorf("log lacks %s or holds the key:\n%s", tt.want, log)
			}
			if strings.Contains(w.Body.String(), "canary") || strings.Contains(w.Body.String(), "disk") {
				t.Errorf("the answer tells what went wrong inside: %s", w.Body)
			}
		})
	}
}

func TestLogIsSparse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := logged(answering(bucketring.Decision{}, errors.New("disk on fire")))
		lines := func() int {
			for range 1000 {
				serve(h, request("/v1/take?key=alice&limit=3/m", ""))
			}
			return strings.Count(log.String(), "\n")
		}
		if n := lines(); n != 1 {
			t.Errorf("1000 errors in one second wrote %d lines, want 1", n)
		}
		time.Sleep(time.Second) // of the bubble
		if n := lines(); n != 2 {
			t.Errorf("1000 more a second later: %d lines, want 2", n)
		}
		if got := h.Stats(); got != (httpapi.Stats{Unavailable: 2000}) {
			t.Errorf("Stats() = %+v, want 2000 unavailable", got)
		}
	})
}

func TestStats(t *testing.T) {
	h := newHandler(answering(denied(), nil))
	cross := request("/v1/take", "{}")
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	for _, r := range []*http.Request{
		request("/v1/take?key=alice&limit=3/m", ""), // a denial is no trouble
		request("/v1/take?key=alice", ""),
		request("/nowhere", ""),
		cross,
	} {
		serve(h, r)
	}
	if got, want := h.Stats(), (httpapi.Stats{Bad: 2, CrossSite: 1}); got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
}

func TestSites(t *testing.T) {
	tests := []struct {
		site, origin string
		ok           bool
	}{
		{"", "", true},
		{"none", "", true},
		{"same-origin", "http://example.com", true},
		{"same-site", "", false},
		{"cross-site", "", false},
		{"nonsense", "", false},
		{"", "http://example.com", true},
		{"", "http://other.example", false},
		{"", "null", false},
	}
	h := newHandler(answering(allowed(), nil))
	for _, tt := range tests {
		for _, r := range []*http.Request{
			request("/v1/take", `{"key":"a","limit":"3/m"}`),
			request("/v1/take?key=a&limit=3/m", ""),
			request("/v1/peek?key=a&limit=3/m", ""),
			httptest.NewRequest("HEAD", "/v1/take?key=a&limit=3/m", nil),
		} {
			for name, value := range map[string]string{"Sec-Fetch-Site": tt.site, "Origin": tt.origin} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			want := http.StatusForbidden
			if tt.ok {
				want = http.StatusOK
			}
			if w := serve(h, r); w.Code != want {
				t.Errorf("%s %s with Sec-Fetch-Site %q and Origin %q: status %d, want %d",
					r.Method, r.URL.Path, tt.site, tt.origin, w.Code, want)
			}
		}
	}
}

func TestNewWithoutLimiterPanics(t *testing.T) {
	if v := abort(func() { httpapi.New(httpapi.Config{}) }); v == nil {
		t.Error("New accepted a Config without a Limiter")
	}
}
