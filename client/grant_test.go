package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

// asked keeps the verbs of a Limiter's calls, and says yes to all.
type asked struct {
	verbs []bucketring.Verb
	last  bucketring.Request
	fail  error
}

func (a *asked) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	if err := ctx.Err(); err != nil {
		return bucketring.Decision{}, err
	}
	a.verbs, a.last = append(a.verbs, req.Verb), req
	return bucketring.Decision{Allowed: true, Leases: req.IDs}, a.fail
}

// TestGrantOfNothing costs nothing.
func TestGrantOfNothing(t *testing.T) {
	lim := &asked{}
	ctx, g := client.Hold(t.Context(), lim, bucketring.Decision{Allowed: true}, 0)
	g.Settle(5, 0)
	if err := g.End(); err != nil || len(lim.verbs) != 0 {
		t.Errorf("End() = %v after %v, want nothing asked", err, lim.verbs)
	}
	if found, ok := client.GrantFrom(ctx); !ok || found != g {
		t.Errorf("GrantFrom = %v, %v, want the grant", found, ok)
	}
	if _, ok := client.GrantFrom(t.Context()); ok {
		t.Errorf("GrantFrom of another context is ok")
	}
}

// TestGrantIsKept although the call's context ends, until End, and then no longer.
func TestGrantIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		lim := &asked{}
		working, g := client.Hold(ctx, lim, bucketring.Decision{Leases: []string{"a"}, Reservation: "r"}, 0)
		cancel()
		if working.Err() == nil {
			t.Errorf("the context of the work goes on after the call's has ended")
		}
		time.Sleep(bucketring.DefaultTTL + time.Second)
		synctest.Wait()
		if len(lim.verbs) != 3 {
			t.Errorf("asked %v in 61 s, want 3 renewals", lim.verbs)
		}
		g.Settle(1, 0)
		g.Settle(2, 5)
		for range 2 {
			if err := g.End(); err != nil {
				t.Errorf("End() = %v", err)
			}
		}
		g.Settle(3, 0) // too late
		settled := lim.verbs[3:]
		if len(settled) != 2 || settled[0] != bucketring.VerbSettle || settled[1] != bucketring.VerbRelease {
			t.Errorf("at the end it asked %v, want settle and release", settled)
		}
	})
}

func TestGrantSettlesTheLastCost(t *testing.T) {
	lim := &asked{}
	_, g := client.Hold(t.Context(), lim, bucketring.Decision{Reservation: "r"}, 0)
	g.Settle(1, 0)
	g.Settle(2, 500)
	if err := g.End(); err != nil || lim.last.Cost != 2 || lim.last.CostNanos != 500 || lim.last.IDs[0] != "r" {
		t.Errorf("End() = %v, settled %+v, want 2.0000005 of r", err, lim.last)
	}
}

// TestGrantThatCannotEnd tells both things that went wrong.
func TestGrantThatCannotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := &asked{fail: bucketring.ErrUnavailable}
		_, g := client.Hold(t.Context(), lim, bucketring.Decision{Leases: []string{"a"}, Reservation: "r"}, time.Minute)
		g.Settle(1, 0)
		err := g.End()
		const text = "client: settle a cost, of which what was reserved stands: bucketring: unavailable\n" +
			"client: release leases, which end by themselves now: bucketring: unavailable"
		if !errors.Is(err, bucketring.ErrUnavailable) || err.Error() != text {
			t.Errorf("End() = %v, want both", err)
		}
	})
}

// TestGrantOfShortLeases: no lease is shorter than a second, so none is renewed more often
// than that needs.
func TestGrantOfShortLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := &asked{}
		_, g := client.Hold(t.Context(), lim, bucketring.Decision{Leases: []string{"a"}}, time.Millisecond)
		time.Sleep(time.Second)
		if err := g.End(); err != nil || len(lim.verbs) != 4 {
			t.Errorf("End() = %v after %v, want 3 renewals and the release", err, lim.verbs)
		}
	})
}

// TestGrantIsLost: the work hears of it once, at once.
func TestGrantIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		denies := decider(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			return bucketring.Decision{}, nil
		})
		working, g := client.Hold(t.Context(), denies, bucketring.Decision{Leases: []string{"a"}}, 3*time.Second)
		<-working.Done()
		if took := time.Since(began); took != time.Second || !errors.Is(context.Cause(working), client.ErrLeaseGone) {
			t.Errorf("after %v: %v, want ErrLeaseGone with the first renewal", took, context.Cause(working))
		}
		if err := g.End(); !errors.Is(err, client.ErrLeaseGone) {
			t.Errorf("End() = %v, want ErrLeaseGone", err)
		}
	})
}
