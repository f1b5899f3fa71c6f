// polite.go is for programs that call an HTTP API which has limits, ours or another one.

package client

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

// A Polite is an http.RoundTripper that keeps to the limits that an API tells it, so that
// its callers rarely see a 429. It waits
//
//   - when X-RateLimit-Remaining is 0, until X-RateLimit-Reset, with all requests;
//   - after a 429, or a 503 that has Retry-After, as long as Retry-After says, or else a
//     retry_after in the JSON body, or else 1 s, 2 s, 4 s and so on; then it sends the
//     request again, if its body can be had again (http.Request.GetBody).
//
// Requests wait in line, first come, first sent, until their context is done. Use one
// Polite for one API and one caller there, and give it to an http.Client. The zero value
// works. It is safe for concurrent use; its fields are not changed after the first use.
type Polite struct {
	// Base sends requests; nil means http.DefaultTransport.
	Base http.RoundTripper
	// Concurrent is how many requests are under way at most, up to the end of their
	// answers; 0 means any number.
	Concurrent int
	// Spacing is the time between the beginnings of two requests at least.
	Spacing time.Duration
	// Queue is how many may wait; 0 means DefaultQueue. More fail with ErrQueueFull.
	Queue int
	// Attempts is how often a request is sent at most; 0 means DefaultAttempts. Then its
	// caller gets the answer that there is.
	Attempts int
	// Longest bounds waits of which the API says nothing; 0 means DefaultLongestWait.
	Longest time.Duration
	// Spread is how long after a wait of more than a second requests go on at most, by
	// chance: many processes wait for the same reset. 0 means a second.
	Spread time.Duration

	once  sync.Once
	line  *Queue
	slots chan struct{} // holds one for each request under way; nil for any number

	mu    sync.Mutex
	next  time.Time // when the next request may begin, by Spacing; guarded by mu
	until time.Time // before which the API wants none; guarded by mu
}

// What a Polite does unless it says otherwise.
const (
	DefaultAttempts    = 5
	DefaultLongestWait = 30 * time.Second
)

var _ http.RoundTripper = (*Polite)(nil)

// RoundTrip sends a request, perhaps later and more than once. Beside the errors of Base
// and of the request's context it has ErrQueueFull.
func (p *Polite) RoundTrip(r *http.Request) (*http.Response, error) {
	p.once.Do(func() {
		p.line = NewQueue((*gate)(p), p.Queue)
		if p.Concurrent > 0 {
			p.slots = make(chan struct{}, p.Concurrent)
		}
	})
	for attempt := 0; ; attempt++ {
		if _, err := p.line.Wait(r.Context(), bucketring.Request{}); err != nil {
			closeBody(r)
			return nil, err
		}
		resp, err := cmp.Or(p.Base, http.DefaultTransport).RoundTrip(r)
		if err != nil {
			p.free()
			return nil, err
		}
		wait, repeat := p.learn(resp, attempt)
		if repeat && attempt+1 < cmp.Or(p.Attempts, DefaultAttempts) {
			if again := p.again(r, wait); again != nil {
				drop(resp)
				p.free()
				r = again
				continue
			}
		}
		p.freeAtEnd(resp)
		return resp, nil
	}
}

// learn takes from an answer how long to wait, with all requests, and whether the one it
// is for should be repeated.
func (p *Polite) learn(resp *http.Response, attempt int) (wait time.Duration, repeat bool) {
	wait, repeat = refused(resp)
	if repeat && wait < 0 {
		longest := cmp.Or(p.Longest, DefaultLongestWait)
		wait = min(time.Second<<min(attempt, 30), longest)
		wait = spread(wait, wait/4)
	}
	if !repeat {
		wait = usedUp(resp.Header, time.Now())
	}
	if wait > time.Second {
		wait = spread(wait, cmp.Or(p.Spread, time.Second))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := time.Now().Add(wait); until.After(p.until) {
		p.until = until
	}
	return wait, repeat
}

// again returns a request to be sent again after wait, nil if it cannot be.
func (p *Polite) again(r *http.Request, wait time.Duration) *http.Request {
	if deadline, ok := r.Context().Deadline(); ok && time.Until(deadline) < wait {
		return nil // an answer that says to wait is more use than an error
	}
	again := r.Clone(r.Context())
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case r.GetBody == nil:
		return nil
	default:
		body, err := r.GetBody()
		if err != nil {
			return nil
		}
		again.Body = body
	}
	return again
}

// A gate says when the first in line may go: a Limiter, so that a Queue can ask it.
type gate Polite

// Take waits for a slot, and is denied for as long as it is too early.
func (g *gate) Take(ctx context.Context, _ bucketring.Request) (bucketring.Decision, error) {
	if g.slots != nil {
		select {
		case g.slots <- struct{}{}:
		case <-ctx.Done():
			return bucketring.Decision{}, ctx.Err()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now, from := time.Now(), g.next
	if g.until.After(from) {
		from = g.until
	}
	if wait := from.Sub(now); wait > 0 {
		(*Polite)(g).free()
		return bucketring.Decision{LimitState: bucketring.LimitState{RetryAfter: wait}}, nil
	}
	g.next = now.Add(g.Spacing)
	return bucketring.Decision{Allowed: true}, nil
}

// free ends a request that was under way.
func (p *Polite) free() {
	if p.slots != nil {
		<-p.slots
	}
}

// freeAtEnd does so when the answer has been read or closed.
func (p *Polite) freeAtEnd(resp *http.Response) {
	if p.slots == nil {
		return
	}
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.Body == nil || resp.Body == http.NoBody {
		p.free()
		return
	}
	resp.Body = &ending{ReadCloser: resp.Body, end: sync.OnceFunc(p.free)}
}

// An ending is a body that tells its end.
type ending struct {
	io.ReadCloser
	end func()
}

func (e *ending) Read(b []byte) (int, error) {
	n, err := e.ReadCloser.Read(b)
	if err != nil {
		e.end()
	}
	return n, err
}

func (e *ending) Close() error {
	defer e.end()
	return e.ReadCloser.Close()
}
