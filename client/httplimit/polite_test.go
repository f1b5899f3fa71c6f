package httplimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/client/httplimit"
)

// An api is a server without sockets: an http.RoundTripper of its handler.
type api struct {
	handler http.Handler
	mu      sync.Mutex
	status  map[int]int // answers, by status; guarded by mu
}

func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status[w.Code]++
	return w.Result(), nil
}

// newAPI limits an application as a policy of deploy/policies does.
func newAPI(t *testing.T, namespace string, attributes map[string]string) *api {
	t.Helper()
	text, err := os.ReadFile("../../deploy/policies/" + namespace + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	limit := httplimit.New(httplimit.Config{
		Limiter: newNode(t, string(text)),
		Request: httplimit.Policy(namespace, func(*http.Request) map[string]string { return attributes }),
	})
	return &api{handler: limit(hello), status: map[int]int{}}
}

// TestPoliteClientsSeeNo429 of any of the policies that are deployed: they stop where
// nothing is left, and go on after the reset.
func TestPoliteClientsSeeNo429(t *testing.T) {
	for namespace, attributes := range map[string]map[string]string{
		"voicedub":   {"user": "u1"},
		"lesan":      {"api_key": "A"},
		"uberduck":   {"user": "u1", "plan": "free"},
		"plaud":      {"client": "c1", "user": "u1", "plan": "standard"},
		"aionvision": {"account": "a1", "auth": "api_key", "plan": "starter"},
	} {
		t.Run(namespace, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, began := newAPI(t, namespace, attributes), time.Now()
				hc := &http.Client{Transport: &client.Polite{Base: a, Concurrent: 1}}
				const calls = 700
				var group sync.WaitGroup
				for range 7 {
					group.Go(func() {
						for range calls / 7 {
							if resp, err := hc.Post("http://api/v1/me/dubs", "", nil); err != nil {
								t.Error(err)
							} else {
								resp.Body.Close()
							}
						}
					})
				}
				group.Wait()
				if a.status[200] != calls || a.status[429] != 0 {
					t.Errorf("answers %v, want %d admitted and none denied", a.status, calls)
				}
				if took := time.Since(began); took < time.Second {
					t.Errorf("they took %v: no limit was met", took)
				}
			})
		})
	}
}

// TestPoliteClientsSpread: many that one reset sets free do not all come at once, and all
// are served.
func TestPoliteClientsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, "lesan", map[string]string{"api_key": "A"}) // 60 in a minute of the clock
		var mu sync.Mutex
		when := map[string]int{}
		var group sync.WaitGroup
		for range 50 {
			hc := &http.Client{Transport: &client.Polite{Base: a, Spread: 30 * time.Second}}
			group.Go(func() {
				for range 2 {
					resp, err := hc.Get("http://api/")
					if err != nil {
						t.Error(err)
						return
					}
					resp.Body.Close()
				}
				mu.Lock()
				defer mu.Unlock()
				if since := time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); since > 0 {
					when[fmt.Sprint(int(since.Seconds())/10)]++
				}
			})
		}
		group.Wait()
		if a.status[200] != 100 {
			t.Errorf("answers %v, want 100 admitted", a.status)
		}
		for _, part := range []string{"6", "7", "8"} { // of the 30 s behind the reset
			if when[part] < 3 || when[part] > 30 {
				t.Errorf("they came in tens of seconds: %v, want them spread over 60 s to 90 s", when)
				break
			}
		}
	})
}
