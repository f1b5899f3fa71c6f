package bucket_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// A cell is the arithmetic of redis-cell 0.5.0 in rationals: one time for a key, at which
// it is full.
type cell struct{ tat *big.Rat }

// take returns what CL.THROTTLE answers: the last two in nanoseconds, rounded up; retry
// is -1 for nothing to wait for.
func (c *cell) take(now, burst, count, period, n int64) (limited bool, remaining, retry, reset *big.Int) {
	at, e := new(big.Rat).SetInt64(now), big.NewRat(period*int64(time.Second), count)
	limit := new(big.Rat).SetInt64(burst + 1)
	window := new(big.Rat).Mul(e, limit)
	if c.tat == nil || c.tat.Cmp(at) < 0 {
		c.tat = at
	}
	next := new(big.Rat).Add(c.tat, new(big.Rat).Mul(e, new(big.Rat).SetInt64(n)))
	if next.Cmp(at) < 0 {
		next = at
	}
	early := new(big.Rat).Sub(new(big.Rat).Sub(next, window), at)
	retry = big.NewInt(-1)
	if limited = early.Sign() > 0 && n >= 0; !limited {
		c.tat = next
	} else if n <= burst+1 {
		retry = ceil(early)
	}
	lacks := new(big.Rat).Sub(c.tat, at)
	left := new(big.Rat).Quo(new(big.Rat).Sub(window, lacks), e)
	remaining = new(big.Int).Div(left.Num(), left.Denom())
	if remaining.Sign() < 0 {
		remaining.SetInt64(0)
	}
	return limited, remaining, retry, ceil(lacks)
}

func cellLimit(burst, count, period int64) *bucketring.Limit {
	return &bucketring.Limit{
		Name: "cell", ID: 1, Algorithm: bucketring.Cell, Amount: count, Burst: burst + 1, Per: time.Duration(period) * time.Second,
	}
}

// takeCell takes n tokens, gives them back, or looks, as the sign of n says.
func takeCell(t *testing.T, table *bucket.Table, l *bucketring.Limit, now, n int64) bucket.Result {
	t.Helper()
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	op := bucket.Op{Verb: bucketring.VerbTake, N: n}
	if n <= 0 {
		op.Verb, op.N = bucketring.VerbRefund, -n
	}
	if n == 0 {
		op.Verb = bucketring.VerbPeek
	}
	return table.Apply(op, bucket.Counter{Key: "k", Limit: l}, bucket.Now{Mono: now, Wall: now})
}

// TestCellAgainstRedisCell takes with parameters that stay, from one in ten years to a
// thousand million a second, at any nanosecond: all that is answered is exact.
func TestCellAgainstRedisCell(t *testing.T) {
	for _, p := range [][3]int64{{15, 30, 60}, {0, 1, 2}, {6, 7, 60}, {0, 10000000, 1}, {2, 1, 1}, {9, 1, 315360000}, {1000, 999999937, 1}, {99, 1000000000, 1}, {0, 7, 3}} {
		burst, count, period := p[0], p[1], p[2]
		r := rand.New(rand.NewPCG(uint64(count), uint64(period)))
		table, c, now := bucket.New(bucket.Config{}), &cell{}, int64(1e9)
		for i := 0; i < 20_000 && now < 2e18; i++ { // a node is not up for longer
			now += int64(r.Float64() * r.Float64() * 3 * float64(period) * 1e9 / float64(count))
			n := r.Int64N(burst+3) - min(burst, 1)
			res := takeCell(t, table, cellLimit(burst, count, period), now, n)
			limited, remaining, retry, reset := c.take(now, burst, count, period, n)
			got := big.NewInt(int64(res.Retry))
			if res.Allowed || res.Retry == bucketring.Never {
				got.SetInt64(-1)
			}
			if n > 0 && res.Allowed == limited || big.NewInt(res.Remaining).Cmp(remaining) != 0 || n > 0 && got.Cmp(retry) != 0 || big.NewInt(int64(res.Reset)).Cmp(reset) != 0 {
				t.Fatalf("at %d, %v of %v: %+v, want limited %v, remaining %v, retry %v, reset %v", now, n, p, res, limited, remaining, retry, reset)
			}
		}
	}
}

// TestCellKeepsItsTime: with other parameters the same moment of being full is read anew,
// early by less than a nanosecond for each change and never late.
func TestCellKeepsItsTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	table, c, now, changes := bucket.New(bucket.Config{}), &cell{}, int64(1e9), int64(0)
	for range 5_000 {
		now += r.Int64N(1e9)
		burst, count, period := r.Int64N(50), 1+r.Int64N(1000), 1+r.Int64N(100)
		changes++
		before := c.tat
		res := takeCell(t, table, cellLimit(burst, count, period), now, 0)
		_, _, _, reset := c.take(now, burst, count, period, 0)
		if off := new(big.Int).Sub(reset, big.NewInt(int64(res.Reset))); off.Sign() < 0 || off.Cmp(big.NewInt(changes)) > 0 {
			t.Fatalf("after %d changes it is full in %v ns, exactly %v (before at %v)", changes, res.Reset.Nanoseconds(), reset, before)
		}
		if n := 1 + r.Int64N(burst+1); takeCell(t, table, cellLimit(burst, count, period), now, n).Allowed {
			_, _, _, _ = c.take(now, burst, count, period, n)
			c.tat = new(big.Rat).SetInt64(now + int64(takeCell(t, table, cellLimit(burst, count, period), now, 0).Reset)) // both begin anew
			changes = 1
		}
	}
}

// TestCellOfLargestNumbers: nothing wraps and nothing panics.
func TestCellOfLargestNumbers(t *testing.T) {
	const most = math.MaxInt64
	for _, p := range [][3]int64{{most - 1, 1, most}, {most - 1, most, 1}, {0, most, most}, {most - 1, most, most}, {0, 1, most}, {most - 1, 1, 1}} {
		l := cellLimit(p[0], p[1], 1)
		l.Per = time.Duration(max(p[2], int64(time.Second)))
		table, now := bucket.New(bucket.Config{}), int64(1)
		for _, n := range []int64{1, most, p[0] + 1, 0, -1, -most, p[0] + 1, 1, 0} {
			res := takeCell(t, table, l, now, n)
			if res.Remaining < 0 || res.Reset < 0 || res.Retry < 0 || res.Remaining > l.Capacity() {
				t.Errorf("%d of %v = %+v, want no number to wrap", n, p, res)
			}
			for _, other := range []*bucketring.Limit{cellLimit(1, most, 1), cellLimit(most-1, 1, 100), l} {
				takeCell(t, table, other, now, 0)
			}
			now += 1e12
		}
	}
}

// TestCellTravels: another node goes on where this one was, on its own clock.
func TestCellTravels(t *testing.T) {
	l, now := cellLimit(9, 10, 60), bucket.Now{Mono: 5_000_000_007}
	from, to := bucket.New(bucket.Config{}), bucket.New(bucket.Config{Closed: true})
	takeCell(t, from, l, now.Mono, 7)
	there := bucket.Now{Mono: 77_000_000_123}
	to.Open(0, 1, 2, nil, there, from.Close(0, now).Relative(now).Absolute(there))
	if res := takeCell(t, to, l, there.Mono, 0); res.Remaining != 3 || res.Reset != 42*time.Second {
		t.Errorf("elsewhere %+v, want 3 remaining and full in 42s", res)
	}
}
