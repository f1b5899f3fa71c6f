package resp_test

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

// A cell is a Limiter that counts as redis-cell does, in fractions, for the formulas
// to stand here as they are written. Its clock is set by hand.
type cell struct {
	mu        sync.Mutex
	now       *big.Rat // seconds
	arrivals  map[string]*big.Rat
	registers map[string]bucketring.Register // those of CounterStep
	full      bool                           // no other register has room
	asked     int                            // requests
}

func newCell() *cell {
	return &cell{now: new(big.Rat), arrivals: map[string]*big.Rat{}, registers: map[string]bucketring.Register{}}
}

// epoch is when the clock of a cell begins, in seconds since 1970.
const epoch = 1_800_000_000

// wall is the time in ns since 1970.
func (c *cell) wall() int64 {
	return epoch*1e9 + saturated(roundedDown(times(c.now, fraction(1e9, 1))))
}

// count runs the step of a register.
func (c *cell) count(req *bucketring.Request, d *bucketring.Decision) {
	if want := bucketring.StepRequest(resp.CounterID, req.Key, req.Args...); !cmp.Equal(*req, want) {
		panic(fmt.Sprintf("the request is %+v, want %+v", *req, want))
	}
	r, there := c.registers[req.Key]
	if r.Until <= c.wall() {
		r, there = bucketring.Register{}, false
	}
	r.Now, r.Numbers = c.wall(), slices.Clone(r.Numbers)
	values := resp.CounterStep(&r, slices.Clone(req.Args))
	if len(values) > bucketring.MaxNumbers || len(r.Numbers) > bucketring.MaxNumbers {
		panic("too many numbers")
	}
	delete(c.registers, req.Key)
	switch exists := len(r.Numbers) > 0 && r.Until > r.Now; {
	case exists && !there && c.full:
		return
	case exists:
		c.registers[req.Key] = r
	}
	d.Allowed, d.Values = true, values
}

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

// Take decides what TakeNow does, and calls with policies.
func (c *cell) Take(ctx context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
	if req.Namespace != "" || len(req.IDs) > 0 {
		return policed(ctx, req)
	}
	c.TakeNow(0, &req, &d)
	return d, nil
}

func (c *cell) Now() int64 { return 0 }

// TakeNow decides by the formulas.
func (c *cell) TakeNow(_ int64, req *bucketring.Request, d *bucketring.Decision) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if req.Verb == bucketring.VerbStep {
		c.count(req, d)
		return true
	}
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
