package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring/client"
)

// An api answers by a function of how many requests came before.
type api struct {
	mu     sync.Mutex
	answer func(n int, r *http.Request) *http.Response
	at     []time.Time // guarded by mu
	bodies []string    // guarded by mu
	busy   int         // guarded by mu
	most   int         // guarded by mu
	took   time.Duration
}

func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		text, _ := io.ReadAll(r.Body)
		body = string(text)
	}
	a.mu.Lock()
	n := len(a.at)
	a.at, a.bodies = append(a.at, time.Now()), append(a.bodies, body)
	a.busy++
	a.most = max(a.most, a.busy)
	a.mu.Unlock()
	time.Sleep(a.took)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy--
	return a.answer(n, r), nil
}

// answer makes one; fields are names and values in turn.
func answer(status int, body string, fields ...string) *http.Response {
	h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
	for i := 0; i < len(fields); i += 2 {
		h.Set(fields[i], fields[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func get(t *testing.T, p *client.Polite) (status int, body string) {
	t.Helper()
	resp, err := (&http.Client{Transport: p}).Get("http://api.example/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestPoliteRepeats: how long it waits for what an API says.
func TestPoliteRepeats(t *testing.T) {
	for _, tt := range []struct {
		name     string
		status   int
		body     string
		fields   []string
		min, max time.Duration // of the wait; max 0 if it does not repeat
	}{
		{"seconds", 429, "", []string{"Retry-After", "47"}, 47 * time.Second, 49 * time.Second},
		{"a moment", 429, "", []string{"Retry-After", "1"}, time.Second, time.Second},
		{"a date", 429, "", []string{"Retry-After", "Sat, 01 Jan 2000 00:00:30 GMT"}, 30 * time.Second, 32 * time.Second},
		{"a date by another clock", 429, "", []string{"Retry-After", "Sat, 01 Jan 2000 01:00:30 GMT", "Date", "Sat, 01 Jan 2000 01:00:00 GMT"}, 30 * time.Second, 32 * time.Second},
		{"a date that is over", 429, "", []string{"Retry-After", "Fri, 31 Dec 1999 00:00:30 GMT"}, 0, time.Millisecond},
		{"in the body", 429, `{"retry_after": 12}`, nil, 12 * time.Second, 14 * time.Second},
		{"in the error", 429, `{"error": {"code": "x", "retry_after": 2.5}}`, nil, 2500 * time.Millisecond, 4 * time.Second},
		{"in the error's details", 429, `{"error": {"details": {"retry_after": 47}}}`, nil, 47 * time.Second, 49 * time.Second},
		{"the header counts first", 429, `{"retry_after": 12}`, []string{"Retry-After", "5"}, 5 * time.Second, 7 * time.Second},
		{"null", 429, `{"retry_after": null, "error": "a text"}`, nil, time.Second, 2250 * time.Millisecond},
		{"nothing", 429, "slow down", nil, time.Second, 2250 * time.Millisecond},
		{"nonsense", 429, `{"retry_after": -5}`, []string{"Retry-After", "NaN"}, time.Second, 2250 * time.Millisecond},
		{"away for a time", 503, "", []string{"Retry-After", "3"}, 3 * time.Second, 5 * time.Second},
		{"away", 503, "down", nil, 0, 0},
		{"another error", 500, "oops", []string{"Retry-After", "3"}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &api{answer: func(n int, _ *http.Request) *http.Response {
					if n == 0 {
						return answer(tt.status, tt.body, tt.fields...)
					}
					return answer(200, "good")
				}}
				began := time.Now()
				status, body := get(t, &client.Polite{Base: a})
				took := time.Since(began)
				if tt.max == 0 {
					if status != tt.status || body != tt.body || len(a.at) != 1 {
						t.Errorf("answer %d %q after %d requests, want it passed on", status, body, len(a.at))
					}
					return
				}
				if status != 200 || body != "good" || took < tt.min || took > tt.max {
					t.Errorf("answer %d %q after %v, want 200 after %v to %v", status, body, took, tt.min, tt.max)
				}
			})
		})
	}
}

// TestPoliteGivesUp after the last attempt, with waits that grow up to the longest, and
// hands on what there is.
func TestPoliteGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{answer: func(n int, _ *http.Request) *http.Response { return answer(429, fmt.Sprint("no ", n)) }}
		status, body := get(t, &client.Polite{Base: a, Attempts: 6, Longest: 5 * time.Second, Spread: time.Nanosecond})
		if status != 429 || body != "no 5" {
			t.Errorf("answer %d %q, want the last one", status, body)
		}
		for i, want := range []time.Duration{1, 2, 4, 5, 5} {
			want *= time.Second
			if got := a.at[i+1].Sub(a.at[i]); got < want || got > want+want/4+want/32 {
				t.Errorf("wait %d = %v, want %v and up to a quarter", i+1, got, want)
			}
		}
	})
}

// TestPoliteBodies are sent again if they can be had again.
func TestPoliteBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first429 := func(n int, _ *http.Request) *http.Response {
			if n == 0 {
				return answer(429, "no", "Retry-After", "1")
			}
			return answer(200, "good")
		}
		a := &api{answer: first429}
		hc := &http.Client{Transport: &client.Polite{Base: a}}
		if resp, err := hc.Post("http://api.example/", "text/plain", strings.NewReader("job")); err != nil || resp.StatusCode != 200 || a.bodies[1] != "job" {
			t.Errorf("%v, %v, bodies %q, want the job sent twice", resp, err, a.bodies)
		}
		a = &api{answer: first429}
		hc = &http.Client{Transport: &client.Polite{Base: a}}
		once := io.MultiReader(bytes.NewReader([]byte("job"))) // net/http cannot read it again
		resp, err := hc.Post("http://api.example/", "text/plain", once)
		if err != nil || resp.StatusCode != 429 || len(a.at) != 1 {
			t.Errorf("%v, %v after %d requests, want the 429", resp, err, len(a.at))
		} else if text, _ := io.ReadAll(resp.Body); string(text) != "no" {
			t.Errorf("body %q, want all of it", text)
		}
	})
}

// TestPolitePauses: all requests wait while none is left.
func TestPolitePauses(t *testing.T) {
	for name, reset := range map[string]string{"unix": "946684830", "delta": "30"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &api{answer: func(n int, _ *http.Request) *http.Response {
					return answer(200, "", "X-RateLimit-Remaining", fmt.Sprint((10-n)%4), "X-RateLimit-Reset", reset)
				}}
				p := &client.Polite{Base: a}
				for range 3 {
					get(t, p)
				}
				if took := time.Since(lastSecond()); took != 0 {
					t.Errorf("two left: took %v, want no wait", took)
				}
				var group sync.WaitGroup
				for range 2 {
					group.Go(func() { get(t, p) })
				}
				group.Wait()
				if took := a.at[3].Sub(a.at[2]); took < 30*time.Second || took > 32*time.Second {
					t.Errorf("none left: took %v, want to wait for the reset", took)
				}
			})
		})
	}
}

// TestPoliteIsBounded: so many at a time, so far apart, so many in line.
func TestPoliteIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{took: time.Second, answer: func(int, *http.Request) *http.Response { return answer(200, "good") }}
		p := &client.Polite{Base: a, Concurrent: 5, Spacing: 100 * time.Millisecond, Queue: 20}
		var group sync.WaitGroup
		group.Go(func() { get(t, p) }) // leaves the line at once
		synctest.Wait()
		for range 20 {
			group.Go(func() { get(t, p) })
		}
		synctest.Wait()
		if _, err := p.RoundTrip(request(t, t.Context())); !errors.Is(err, client.ErrQueueFull) {
			t.Errorf("one more = %v, want ErrQueueFull", err)
		}
		group.Wait()
		if a.most != 5 {
			t.Errorf("%d at a time, want 5", a.most)
		}
		for i := range 20 {
			if apart := a.at[i+1].Sub(a.at[i]); apart < 100*time.Millisecond {
				t.Errorf("requests %d and %d are %v apart, want 100ms", i+1, i+2, apart)
			}
		}
	})
}

func request(t *testing.T, ctx context.Context) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://api.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPoliteKeepsDeadlines: it does not wait for what comes too late, and leaves the line.
func TestPoliteKeepsDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{answer: func(int, *http.Request) *http.Response { return answer(429, "no", "Retry-After", "60") }}
		p := &client.Polite{Base: a}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if resp, err := p.RoundTrip(request(t, ctx)); err != nil || resp.StatusCode != 429 || time.Since(began) != 0 {
			t.Errorf("%v, %v after %v, want the 429 at once", resp, err, time.Since(began))
		}
		if _, err := p.RoundTrip(request(t, ctx)); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second || len(a.at) != 1 {
			t.Errorf("the next = %v after %v and %d requests, want DeadlineExceeded in line", err, time.Since(began), len(a.at))
		}
	})
}

// TestPoliteSlots are free once an answer has been read or closed, and not before.
func TestPoliteSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{answer: func(int, *http.Request) *http.Response { return answer(200, "good") }}
		p := &client.Polite{Base: a, Concurrent: 1}
		resp, err := p.RoundTrip(request(t, t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); get(t, p) }()
		synctest.Wait()
		if len(a.at) != 1 {
			t.Errorf("%d requests while the first answer is open, want 1", len(a.at))
		}
		_ = resp.Body.Close()
		_ = resp.Body.Close() // frees nothing more
		<-done
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		second, err := p.RoundTrip(request(t, ctx))
		if err != nil {
			t.Fatal(err)
		}
		defer second.Body.Close()
		if _, err := p.RoundTrip(request(t, ctx)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second one at a time = %v, want DeadlineExceeded", err)
		}
	})
}

// TestPoliteSlotIsFree when an answer was read to its end, and while a request waits to be
// repeated.
func TestPoliteSlotIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{answer: func(n int, _ *http.Request) *http.Response {
			if n == 1 {
				return answer(429, "", "Retry-After", "1")
			}
			return answer(200, "good")
		}}
		p := &client.Polite{Base: a, Concurrent: 1}
		resp, err := p.RoundTrip(request(t, t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil { // and not closed
			t.Fatal(err)
		}
		if status, _ := get(t, p); status != 200 || len(a.at) != 3 {
			t.Errorf("answer %d after %d requests, want 200 after one was repeated", status, len(a.at))
		}
	})
}

// FuzzAnswers: whatever a server says, a wait is none, or not below nothing, and the body
// stays what it was.
func FuzzAnswers(f *testing.F) {
	f.Add(429, "NaN", "0", "-1", `{"retry_after": 1e400}`)
	f.Add(503, "Fri, 31 Dec 9999 23:59:59 GMT", "0", "1704067200", `{"error": {"details": {"retry_after": "7"}}}`)
	f.Add(429, "1e300", " 0 ", "9223372036854775807", `{"error": {"retry_after": [`)
	f.Fuzz(func(t *testing.T, status int, after, remaining, reset, body string) {
		resp := answer(status, body, "Retry-After", after, "X-RateLimit-Remaining", remaining, "X-RateLimit-Reset", reset)
		if wait, repeat := client.Refused(resp); wait < -1 || wait < 0 && !repeat && status != 503 {
			t.Errorf("refused = %v, %v", wait, repeat)
		}
		if wait := client.UsedUp(resp.Header, time.Now()); wait < 0 {
			t.Errorf("usedUp = %v", wait)
		}
		if text, err := io.ReadAll(resp.Body); err != nil || string(text) != body {
			t.Errorf("body %q, %v, want %q", text, err, body)
		}
	})
}
