// grant.go ends what an admitted call began: it gives leases back and settles costs.

package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

// A Grant is what an admitted call may use while its work runs: the leases that it was
// lent and the cost that it reserved. Mostly it has neither, and then it costs nothing.
// A Grant is safe for concurrent use.
type Grant struct {
	// Decision is what the Limiter said; it is not changed.
	Decision bucketring.Decision

	lim    bucketring.Limiter
	finish context.Context    // for what is done at the end: it has the values of the call's context, not its end
	stop   context.CancelFunc // of the renewals; nil without leases
	kept   chan error         // what came of them
	end    func() error       // once

	mu   sync.Mutex
	cost *bucketring.Request // settles the reservation; nil while nobody has said the cost; guarded by mu
}

// grantKey is where a context has its Grant.
type grantKey struct{}

// Hold begins the work of a call that was admitted, and keeps its leases until End is
// called, which must be: also when the work fails. ttl is that of the leases, from 1 s;
// 0 means bucketring.DefaultTTL. One that is too long loses them, one that is too short
// costs only renewals.
//
// The context has the Grant, for GrantFrom. It is done when ctx is, and with the cause
// ErrLeaseGone as soon as a node has said that a lease has ended: another call may have
// its place. While no node can be asked, the work goes on.
func Hold(ctx context.Context, lim bucketring.Limiter, d bucketring.Decision, ttl time.Duration) (context.Context, *Grant) {
	ttl = max(cmp.Or(ttl, bucketring.DefaultTTL), time.Second)
	g := &Grant{Decision: d, lim: lim, finish: context.WithoutCancel(ctx)}
	g.end = sync.OnceValue(g.finishAll)
	ctx = context.WithValue(ctx, grantKey{}, g)
	if len(d.Leases) == 0 {
		return ctx, g
	}
	working, lose := context.WithCancelCause(ctx)
	var keeping context.Context
	keeping, g.stop = context.WithCancel(g.finish)
	g.kept = make(chan error, 1)
	go func() {
		err := KeepLeases(keeping, lim, d.Leases, ttl)
		if errors.Is(err, ErrLeaseGone) && !errors.Is(err, bucketring.ErrUnavailable) {
			lose(err)
		}
		<-keeping.Done()
		lose(nil) // frees the context; the work is over
		g.kept <- err
	}()
	return working, g
}

// GrantFrom returns the Grant of the call that a context is for: below Hold, and in
// handlers behind httplimit and grpclimit. ok is false where no call was admitted, also
// if it passed because nobody could be asked.
func GrantFrom(ctx context.Context) (g *Grant, ok bool) {
	g, ok = ctx.Value(grantKey{}).(*Grant)
	return g, ok
}

// Settle says what the call has cost in the end, units and billionths of one, both 0 or
// more. The last value before End counts. Without it, what was reserved stands. It does
// nothing for calls that reserved nothing.
func (g *Grant) Settle(units int64, nanos int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Decision.Reservation != "" {
		g.cost = &bucketring.Request{
			Verb: bucketring.VerbSettle, IDs: []string{g.Decision.Reservation}, Cost: units, CostNanos: nanos,
		}
	}
}

// End settles the cost if it was said, and gives the leases back; it waits for both, for
// a second each at most. It returns what went wrong, as KeepLeases and the Limiter say
// it; the leases end by themselves then. Later calls return the same.
func (g *Grant) End() error { return g.end() }

func (g *Grant) finishAll() error {
	g.mu.Lock()
	cost := g.cost
	g.mu.Unlock()
	var failed error
	if cost != nil {
		ctx, cancel := context.WithTimeout(g.finish, releaseWait)
		defer cancel()
		if _, err := g.lim.Take(ctx, *cost); err != nil {
			failed = fmt.Errorf("client: settle a cost, of which what was reserved stands: %w", err)
		}
	}
	if g.stop != nil {
		g.stop()
		failed = errors.Join(failed, <-g.kept)
	}
	return failed
}
