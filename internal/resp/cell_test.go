package resp_test

import (
	"context"
	"math"
	"math/big"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

// A cell is a Limiter that counts as redis-cell does, in fractions, for the formulas
// to stand here as they are written. Its clock is set by hand.
type cell struct {
	mu       sync.Mutex
	now      *big.Rat // seconds
	arrivals map[string]*big.Rat
}

func newCell() *cell { return &cell{now: new(big.Rat), arrivals: map[string]*big.Rat{}} }

func fraction(a, b int64) *big.Rat    { return big.NewRat(a, b) }
func plus(a, b *big.Rat) *big.Rat     { return new(big.Rat).Add(a, b) }
func minus(a, b *big.Rat) *big.Rat    { return new(big.Rat).Sub(a, b) }
func times(a, b *big.Rat) *big.Rat    { return new(big.Rat).Mul(a, b) }
func by(a, b *big.Rat) *big.Rat       { return new(big.Rat).Quo(a, b) }
func later(a, b *big.Rat) *big.Rat    { return map[bool]*big.Rat{true: a, false: b}[a.Cmp(b) > 0] }
func roundedDown(a *big.Rat) *big.Int { return new(big.Int).Div(a.Num(), a.Denom()) }

func roundedUp(a *big.Rat) *big.Int {
	return new(big.Int).Neg(roundedDown(new(big.Rat).Neg(a)))
}

// saturated is n, or the largest number if it is larger.
func saturated(n *big.Int) int64 {
	if !n.IsInt64() {
		return math.MaxInt64
	}
	return n.Int64()
}

// duration rounds seconds up to nanoseconds.
func duration(seconds *big.Rat) time.Duration {
	return time.Duration(saturated(roundedUp(times(seconds, fraction(1e9, 1)))))
}

// step moves the clock.
func (c *cell) step(seconds *big.Rat) { c.now = plus(c.now, seconds) }

// Take decides what TakeNow does.
func (c *cell) Take(_ context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
	c.TakeNow(0, &req, &d)
	return d, nil
}

func (c *cell) Now() int64 { return 0 }

// TakeNow decides by the formulas.
func (c *cell) TakeNow(_ int64, req *bucketring.Request, d *bucketring.Decision) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := &req.Limits[0]
	emission := by(fraction(int64(limit.Per), 1e9), fraction(limit.Amount, 1))
	burst := times(emission, fraction(limit.Burst, 1))
	cost := times(emission, fraction(req.Cost, 1))
	arrival := c.now
	if stored := c.arrivals[req.Key]; stored != nil {
		arrival = later(stored, c.now)
	}
	d.Allowed = true
	switch req.Verb {
	case bucketring.VerbTake:
		next := plus(arrival, cost)
		allowedAt := minus(next, burst)
		if d.Allowed = allowedAt.Cmp(c.now) <= 0; d.Allowed {
			arrival = next
			break
		}
		d.LimitState.RetryAfter = duration(minus(allowedAt, c.now))
		if req.Cost > limit.Burst {
			d.LimitState.RetryAfter = bucketring.Never
		}
	case bucketring.VerbRefund:
		arrival = later(c.now, minus(arrival, cost))
	case bucketring.VerbReset:
		arrival = c.now
	}
	if delete(c.arrivals, req.Key); arrival.Cmp(c.now) > 0 {
		c.arrivals[req.Key] = arrival
	}
	debt := minus(arrival, c.now)
	left := roundedDown(by(minus(burst, debt), emission))
	d.LimitState.Limit = limit.Burst
	d.Remaining = max(0, min(saturated(left), limit.Burst))
	if left.Sign() < 0 {
		d.Remaining = 0
	}
	d.Used = limit.Burst - d.Remaining
	d.ResetAfter = duration(debt)
	return true
}
