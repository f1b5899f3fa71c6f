package httplimit_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/client/httplimit"
)

const jobsPolicy = `apiVersion: limits/v1
namespace: jobs
limits:
  - {name: slots, kind: concurrency, limit: 1, lease: {ttl: 9s, max: 1m}}
  - {name: minutes, unit: minutes, precision: 3, limit: 10, per: 1h, cost: {from: report, reserve: attr, attr: estimate}}
`

// start has a handler answer in a goroutine, and returns once it waits for something.
func start(h http.Handler) <-chan *httptest.ResponseRecorder {
	done := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		defer close(done)
		defer func() { _ = recover() }() // as a server does
		done <- get(h, "GET", "/")
	}()
	synctest.Wait()
	return done
}

// TestLeaseLastsAsLongAsTheHandler, be it longer than the lease, and no longer.
func TestLeaseLastsAsLongAsTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := &recorder{Limiter: newNode(t)}
		work := make(chan bool) // true panics
		h := httplimit.PerKey(lim, "1 concurrent ttl=6s", httplimit.RemoteIP)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if <-work {
				panic(http.ErrAbortHandler)
			}
		}))
		for _, panics := range []bool{false, true, false} {
			first := start(h)
			time.Sleep(5 * time.Minute)
			if w := get(h, "GET", "/"); w.Code != 429 || w.Header().Get("Retry-After") == "" {
				t.Errorf("while the handler runs: %d %v, want 429", w.Code, w.Header())
			}
			work <- panics
			if w, ok := <-first; ok == panics || ok && w.Code != 200 {
				t.Errorf("the handler ended with %v, panics %v", w, panics)
			}
		}
		if renewed, released := lim.count(bucketring.VerbRenew), lim.count(bucketring.VerbRelease); renewed < 3*140 || released != 3 {
			t.Errorf("%d renewals and %d releases, want one in 2 s and 3", renewed, released)
		}
	})
}

// TestRatesAreNotHeld: a request without a lease makes no other call.
func TestRatesAreNotHeld(t *testing.T) {
	lim := &recorder{Limiter: newNode(t)}
	get(httplimit.PerKey(lim, "5/m", httplimit.RemoteIP)(hello), "GET", "/")
	if len(lim.asks) != 1 {
		t.Errorf("asked %d times, want once", len(lim.asks))
	}
}

// TestLostLease: a handler whose lease has ended is told by its context, and Observe is.
func TestLostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var lost, observed error
		h := httplimit.New(httplimit.Config{
			Limiter: newNode(t, jobsPolicy), Request: httplimit.Policy("jobs", nil), LeaseTTL: 9 * time.Second,
			Observe: func(_ *http.Request, d *bucketring.Decision, err error) {
				if d != nil && err != nil {
					observed = err
				}
			},
		})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			lost = context.Cause(r.Context())
		}))
		get(h, "GET", "/")
		if took := time.Since(began); took < time.Minute || took > 64*time.Second || !errors.Is(lost, client.ErrLeaseGone) || !errors.Is(observed, client.ErrLeaseGone) {
			t.Errorf("after %v: cause %v, observed %v, want ErrLeaseGone after max", took, lost, observed)
		}
	})
}

// TestLimiterThatGoesAway costs running requests nothing.
func TestLimiterThatGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		var gone atomic.Bool
		var observed error
		lim := decider(func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
			if gone.Load() {
				return away(ctx, req)
			}
			return n.Take(ctx, req)
		})
		h := httplimit.New(httplimit.Config{
			Limiter: lim, Request: httplimit.Key(bucketring.MustParse("1 concurrent ttl=6s"), httplimit.RemoteIP),
			Observe: func(_ *http.Request, d *bucketring.Decision, err error) { observed = err },
		})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			gone.Store(true)
			time.Sleep(time.Hour)
			if err := r.Context().Err(); err != nil {
				t.Errorf("context of the handler = %v, want it to go on", err)
			}
		}))
		if w := get(h, "GET", "/"); w.Code != 200 || !errors.Is(observed, bucketring.ErrUnavailable) {
			t.Errorf("answer %d, observed %v, want 200 and what went wrong", w.Code, observed)
		}
	})
}

// TestCallerThatLeaves: its slot is not free before the handler has noticed.
func TestCallerThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := make(chan struct{})
		h := httplimit.PerKey(newNode(t), "1 concurrent", httplimit.RemoteIP)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-work
		}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if w := get(h, "GET", "/"); w.Code != 429 {
			t.Errorf("while the handler of a caller that left runs: %d, want 429", w.Code)
		}
		close(work)
		<-done
		if w := get(h, "GET", "/"); w.Code != 200 {
			t.Errorf("when it has ended: %d, want 200", w.Code)
		}
	})
}

// TestSettle: the handler says what it has cost.
func TestSettle(t *testing.T) {
	lim := &recorder{Limiter: newNode(t, jobsPolicy)}
	minutes := func() int64 {
		d, err := lim.Limiter.Take(t.Context(), bucketring.Request{Verb: bucketring.VerbUsage, Namespace: "jobs"})
		if err != nil {
			t.Fatal(err)
		}
		return d.All()[1].Used
	}
	estimate := func(*http.Request) map[string]string { return map[string]string{"estimate": "2"} }
	serve := func(work func(*client.Grant)) {
		get(httplimit.New(httplimit.Config{Limiter: lim, Request: httplimit.Policy("jobs", estimate)})(
			http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				grant, ok := client.GrantFrom(r.Context())
				if !ok || !grant.Decision.Allowed {
					t.Fatalf("GrantFrom = %+v, %v", grant, ok)
				}
				work(grant)
			})), "GET", "/")
	}
	serve(func(*client.Grant) {})
	if got := minutes(); got != 2000 {
		t.Errorf("%d thousandths used, want the 2 that were reserved", got)
	}
	serve(func(g *client.Grant) { g.Settle(1, 0); g.Settle(4, 500_000_000) })
	if got := minutes(); got != 2000+4500 {
		t.Errorf("%d thousandths used, want 4.5 for the second", got)
	}
	if n := lim.count(bucketring.VerbSettle); n != 1 {
		t.Errorf("%d settlements, want 1", n)
	}
}

// says is a limiter that always says the same.
func says(d bucketring.Decision) decider {
	return func(context.Context, bucketring.Request) (bucketring.Decision, error) { return d, nil }
}
