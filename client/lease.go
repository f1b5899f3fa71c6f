// lease.go keeps leases while their holder works.

package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bucketring/bucketring"
)

// ErrLeaseGone marks a lease that has ended although its holder goes on: it reached
// its greatest age, somebody released it, or no node could be asked for its TTL.
var ErrLeaseGone = errors.New("client: lease has ended")

// releaseWait bounds the release; a lease that is not released ends by itself.
const releaseWait = time.Second

// KeepLeases renews the leases of a Decision every third of their ttl, which is at
// least 1 s, until ctx is done, and releases them then. A node that cannot be asked
// is asked again four times as often. It returns nil if all went well, ErrLeaseGone
// as soon as one lease has ended, and what the Limiter says if it does not take the
// ids; the other leases are released then.
//
// It blocks: run it beside the work that the leases are for.
func KeepLeases(ctx context.Context, lim bucketring.Limiter, ids []string, ttl time.Duration) error {
	if ttl < time.Second {
		return bucketring.Invalidf("ttl of leases is %v, it must be at least 1s, as in the limit", ttl)
	}
	if len(ids) == 0 { // of a caller whose leases are not limited
		<-ctx.Done()
		return nil
	}
	err := keep(ctx, lim, ids, ttl)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWait)
	defer cancel()
	if _, failed := lim.Take(ctx, bucketring.Request{Verb: bucketring.VerbRelease, IDs: ids}); failed != nil && err == nil {
		err = fmt.Errorf("client: release leases, which end by themselves now: %w", failed)
	}
	return err
}

// keep renews until ctx is done or a lease is lost.
func keep(ctx context.Context, lim bucketring.Limiter, ids []string, ttl time.Duration) error {
	ticker := time.NewTicker(ttl / 3)
	defer ticker.Stop()
	for safe := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		asked := time.Now()
		d, err := renew(ctx, lim, ids, ttl/6)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && !d.Allowed:
			return fmt.Errorf("%w: %d of %d are left", ErrLeaseGone, len(d.Leases), len(ids))
		case err == nil:
			safe = asked
			ticker.Reset(ttl / 3)
		case errors.Is(err, bucketring.ErrInvalid):
			return err
		case time.Since(safe) >= ttl:
			return fmt.Errorf("%w: not renewed for %v: %w", ErrLeaseGone, ttl, err)
		default:
			ticker.Reset(ttl / 12)
		}
	}
}

func renew(ctx context.Context, lim bucketring.Limiter, ids []string, wait time.Duration) (bucketring.Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return lim.Take(ctx, bucketring.Request{Verb: bucketring.VerbRenew, IDs: ids})
}
