package httplimit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client/httplimit"
)

// TestPerKey spends a limit and is admitted again after Retry-After. A bubble begins at
// 946684800.
func TestPerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := httplimit.PerKey(newNode(t), "2/m", httplimit.RemoteIP)(hello)
		for i, want := range []http.Header{
			{"X-Ratelimit-Limit": {"2"}, "X-Ratelimit-Remaining": {"1"}, "X-Ratelimit-Reset": {"946684830"}, "Content-Type": {"text/plain"}},
			{"X-Ratelimit-Limit": {"2"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"946684860"}, "Content-Type": {"text/plain"}},
		} {
			w := get(h, "GET", "/")
			if diff := cmp.Diff(want, w.Header()); diff != "" || w.Code != 200 || w.Body.String() != "hello" {
				t.Errorf("answer %d = %d %q, header (-want +got):\n%s", i+1, w.Code, w.Body, diff)
			}
		}
		w := get(h, "GET", "/")
		want := http.Header{
			"X-Ratelimit-Limit": {"2"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"946684860"},
			"Retry-After": {"30"}, "Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"},
		}
		if diff := cmp.Diff(want, w.Header()); diff != "" {
			t.Errorf("header of the denial (-want +got):\n%s", diff)
		}
		body := `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Rate limit exceeded","status":429,` +
			`"detail":"Limit inline allows 2 per minute; try again in 30 seconds.","violated-policies":["inline"]}` + "\n"
		if w.Code != 429 || w.Body.String() != body {
			t.Errorf("denial = %d\n%swant 429\n%s", w.Code, w.Body, body)
		}
		time.Sleep(30 * time.Second)
		if w := get(h, "GET", "/"); w.Code != 200 {
			t.Errorf("after Retry-After: %d, want 200", w.Code)
		}
	})
}

// hang is a limiter that never answers.
func hang(ctx context.Context, _ bucketring.Request) (bucketring.Decision, error) {
	<-ctx.Done()
	return bucketring.Decision{}, ctx.Err()
}

// fails is a limiter that has one error for all.
func fails(err error) decider {
	return func(context.Context, bucketring.Request) (bucketring.Decision, error) {
		return bucketring.Decision{}, err
	}
}

// The bodies of answers without a decision, for the request r1.
const (
	reduced = `{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity","title":"Temporary reduced capacity","status":503,` +
		`"detail":"The limits that hold here cannot be checked at the moment; try again in 1 second.","instance":"r1"}` + "\n"
	notValid = `{"type":"about:blank","title":"Bad Request","status":400,` +
		`"detail":"The limits that hold here cannot be applied to this request: a part of it is too long or is no number.","instance":"r1"}` + "\n"
)

// TestNoDecision: what happens to requests when the limiter says nothing.
func TestNoDecision(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lim    decider
		closed bool
		status int
		retry  string
		body   string
		err    error
	}{
		{"away", away, false, 200, "", "hello", bucketring.ErrUnavailable},
		{"slow", hang, false, 200, "", "hello", context.DeadlineExceeded},
		{"no policy", fails(bucketring.ErrNoPolicy), false, 200, "", "hello", bucketring.ErrNoPolicy},
		{"anything else", fails(io.ErrUnexpectedEOF), false, 200, "", "hello", io.ErrUnexpectedEOF},
		{"away, closed", away, true, 503, "1", reduced, bucketring.ErrUnavailable},
		{"slow, closed", hang, true, 503, "1", reduced, context.DeadlineExceeded},
		{"invalid", fails(bucketring.Invalidf("secret is too long")), false, 400, "", notValid, bucketring.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen []string
				h := httplimit.New(httplimit.Config{
					Limiter: tt.lim, Request: httplimit.Policy("api", nil), FailClosed: tt.closed, Within: 70 * time.Millisecond,
					Observe: func(_ *http.Request, d *bucketring.Decision, err error) {
						seen = append(seen, fmt.Sprint(d == nil, errors.Is(err, tt.err)))
					},
				})(hello)
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("X-Request-Id", "r1")
				w, began := httptest.NewRecorder(), time.Now()
				h.ServeHTTP(w, r)
				if w.Code != tt.status || w.Body.String() != tt.body || w.Header().Get("Retry-After") != tt.retry {
					t.Errorf("answer = %d, Retry-After %q\n%s\nwant %d, %q\n%s", w.Code, w.Header().Get("Retry-After"), w.Body, tt.status, tt.retry, tt.body)
				}
				if _, limited := w.Header()["X-Ratelimit-Limit"]; limited {
					t.Errorf("an answer without a decision has rate headers: %v", w.Header())
				}
				if diff := cmp.Diff([]string{"true true"}, seen); diff != "" {
					t.Errorf("observed (-want +got):\n%s", diff)
				}
				if took := time.Since(began); took > 70*time.Millisecond {
					t.Errorf("it took %v, want at most Within", took)
				}
			})
		})
	}
}

// TestDefaultWithin: a limiter that hangs costs 100 ms.
func TestDefaultWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		h := httplimit.PerKey(decider(hang), "1/m", httplimit.RemoteIP)(hello)
		if w := get(h, "GET", "/"); w.Code != 200 || time.Since(began) != httplimit.DefaultWithin {
			t.Errorf("answer %d after %v, want 200 after %v", w.Code, time.Since(began), httplimit.DefaultWithin)
		}
	})
}

// TestOwnerAway: a limit that asks to refuse what nobody can count.
func TestOwnerAway(t *testing.T) {
	h := httplimit.PerKey(decider(func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		return bucketring.Decision{Source: bucketring.SourceFallbackClosed, Degraded: true,
			LimitState: bucketring.LimitState{Name: "inline", Limit: 5, RetryAfter: time.Minute}}, nil
	}), "5/m unavailable=deny", httplimit.RemoteIP)(hello)
	w := get(h, "GET", "/")
	want := http.Header{"Retry-After": {"1"}, "Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}}
	if diff := cmp.Diff(want, w.Header()); diff != "" || w.Code != 503 {
		t.Errorf("answer %d, header (-want +got):\n%s", w.Code, diff)
	}
	body := `{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity","title":"Temporary reduced capacity","status":503,` +
		`"detail":"Limit inline cannot be checked at the moment; try again in 1 second.","violated-policies":["inline"]}` + "\n"
	if w.Body.String() != body {
		t.Errorf("body = %swant %s", w.Body, body)
	}
}

// TestWhatIsAsked: the request function lets requests pass, and the cost is the
// program's.
func TestWhatIsAsked(t *testing.T) {
	lim := &recorder{Limiter: newNode(t)}
	perMinute := httplimit.Key(bucketring.MustParse("10/m"), httplimit.RemoteIP)
	var decisions int
	h := httplimit.New(httplimit.Config{
		Limiter: lim,
		Request: func(r *http.Request) (bucketring.Request, bool) {
			req, _ := perMinute(r)
			return req, r.URL.Path != "/healthz"
		},
		Cost:    func(r *http.Request) int64 { return int64(len(r.URL.Path)) },
		Observe: func(_ *http.Request, d *bucketring.Decision, err error) { decisions++ },
	})(hello)
	if w := get(h, "GET", "/healthz"); w.Code != 200 || len(w.Header()["X-Ratelimit-Limit"]) != 0 || len(lim.asks) != 0 || decisions != 0 {
		t.Errorf("exempt: %d %v after %d asks and %d decisions, want 200 unasked", w.Code, w.Header(), len(lim.asks), decisions)
	}
	if w := get(h, "GET", "/abcde"); w.Header().Get("X-RateLimit-Remaining") != "4" || decisions != 1 {
		t.Errorf("cost 6 of 10: %v, %d decisions, want 4 left and 1", w.Header(), decisions)
	}
	if w := get(h, "GET", "/abcde"); w.Code != 429 || decisions != 2 {
		t.Errorf("cost 6 of 4 left: %d, want 429", w.Code)
	}
	w := get(h, "GET", "/0123456789")
	if _, wait := w.Header()["Retry-After"]; w.Code != 429 || wait {
		t.Errorf("cost 11 of 10: %d %v, want 429 without Retry-After", w.Code, w.Header())
	}
}

// TestRefuse: an application with its own words for a denial.
func TestRefuse(t *testing.T) {
	h := httplimit.New(httplimit.Config{
		Limiter: newNode(t), Request: httplimit.Key(bucketring.MustParse("1/h"), httplimit.RemoteIP),
		Refuse: func(w http.ResponseWriter, _ *http.Request, d *bucketring.Decision) {
			http.Error(w, fmt.Sprint("slow down: ", d.Limit), http.StatusTooManyRequests)
		},
	})(hello)
	get(h, "GET", "/")
	w := get(h, "GET", "/")
	if w.Code != 429 || w.Body.String() != "slow down: 1\n" || w.Header().Get("Retry-After") != "3600" || w.Header().Get("X-RateLimit-Limit") != "1" {
		t.Errorf("denial = %d %v %q", w.Code, w.Header(), w.Body)
	}
}

func TestNewPanics(t *testing.T) {
	lim, request := decider(away), httplimit.Policy("api", nil)
	start := func(cfg httplimit.Config) func() { return func() { httplimit.New(cfg) } }
	const usage = "httplimit: Config.Usage must be a method and a path, such as GET /v1/usage"
	for _, tt := range []struct {
		want string
		do   func()
	}{
		{"httplimit: Config.Limiter is missing: give a client.Client or a node", start(httplimit.Config{Request: request})},
		{"httplimit: Config.Request is missing: httplimit.Key and httplimit.Policy make one", start(httplimit.Config{Limiter: lim})},
		{usage, start(httplimit.Config{Limiter: lim, Request: request, Usage: "/v1/usage"})},
		{usage, start(httplimit.Config{Limiter: lim, Request: request, Usage: "GET usage"})},
		{"httplimit: limit is missing: give one such as 100/m", func() { httplimit.Key(nil, httplimit.RemoteIP) }},
		{`bucketring: MustParse("100/mn"): limit 1, column 5: unknown unit "mn": did you mean "min"?`,
			func() { httplimit.PerKey(lim, "100/mn", httplimit.RemoteIP) }},
	} {
		t.Run(tt.want, func(t *testing.T) {
			defer func() {
				if got := recover(); got != tt.want {
					t.Errorf("panic = %v, want %s", got, tt.want)
				}
			}()
			tt.do()
		})
	}
}
