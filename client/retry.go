// retry.go repeats what failed, less and less often.

package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"github.com/bucketring/bucketring"
)

// A Retry is a Limiter for callers that would rather wait than go on without an answer,
// such as workers: it repeats calls that no node could decide. Denials are answers; Wait
// waits for these.
//
//	d, err := client.Wait(ctx, client.Retry{Limiter: lim}, req)
type Retry struct {
	// Limiter is asked; required.
	Limiter bucketring.Limiter
	// Attempts is how often it is asked at most; 0 means until the context is done.
	Attempts int
	// First is the pause after the first failure; each further one is twice as long, up
	// to Longest. 0 means DefaultFirst and DefaultLongest. Each is made up to half as
	// long again, so that many callers do not come back at once.
	First, Longest time.Duration
}

// The pauses of a Retry unless it says otherwise.
const (
	DefaultFirst   = 50 * time.Millisecond
	DefaultLongest = 5 * time.Second
)

var _ bucketring.Limiter = Retry{}

// Take asks until there is an answer, and has the errors of the Limiter; that of ctx if
// it ends during a pause. Refunds and additions to a level are asked for once: they may
// have been carried out. What else may have been is the same if it is repeated, save a
// rate that is charged twice, which only denies.
func (r Retry) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	if req.Token == "" && leases(&req) {
		req.Token = rand.Text() // of all attempts, so that leases are made once
	}
	wait := cmp.Or(r.First, DefaultFirst)
	for attempt := 1; ; attempt++ {
		d, err := r.Limiter.Take(ctx, req)
		if !errors.Is(err, bucketring.ErrUnavailable) || !repeatable(req.Verb) || attempt == r.Attempts || ctx.Err() != nil {
			return d, err
		}
		wait = min(wait, cmp.Or(r.Longest, DefaultLongest))
		if err := sleep(ctx, spread(wait, wait/2)); err != nil {
			return d, err
		}
		wait *= 2
	}
}

// spread makes a pause up to most longer.
func spread(wait, most time.Duration) time.Duration {
	if most <= 0 {
		return wait
	}
	return wait + mathrand.N(most)
}

// sleep returns early, with its error, when ctx is done.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
