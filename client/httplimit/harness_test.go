package httplimit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
)

// A decider is a Limiter made of a function.
type decider func(context.Context, bucketring.Request) (bucketring.Decision, error)

func (f decider) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return f(ctx, req)
}

// newNode returns a node with policies, which are files of deploy/policies or texts.
func newNode(t testing.TB, policies ...string) *node.Node {
	t.Helper()
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	set := &policy.Set{}
	for _, text := range policies {
		p, err := policy.Parse("test.yaml", []byte(text), policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		set = set.WithPolicy(p)
	}
	n.SetPolicies(set)
	return n
}

// A recorder is a Limiter that keeps what was asked and said.
type recorder struct {
	bucketring.Limiter
	mu   sync.Mutex
	asks []bucketring.Request  // guarded by mu
	says []bucketring.Decision // guarded by mu
}

func (r *recorder) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	d, err := r.Limiter.Take(ctx, req)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asks, r.says = append(r.asks, req), append(r.says, d)
	return d, err
}

// count returns how often a verb was asked for.
func (r *recorder) count(verb bucketring.Verb) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.asks {
		if r.asks[i].Verb == verb {
			n++
		}
	}
	return n
}

func (r *recorder) last() (bucketring.Request, bucketring.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asks[len(r.asks)-1], r.says[len(r.says)-1]
}

// hello is an application.
var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte("hello"))
})

// get has a handler answer a request.
func get(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

var errAway = errors.Join(errors.New("connection refused"), bucketring.ErrUnavailable)

// away is a limiter that nobody can reach.
func away(context.Context, bucketring.Request) (bucketring.Decision, error) {
	return bucketring.Decision{}, errAway
}

func read(t testing.TB, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
