package gubernatorapi_test

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// A model is a bucket as the specification has it, step by numbered step, with exact
// fractions and without a thought for speed. Only the deviations are corrected.
type model struct {
	exists           bool
	algorithm        pb.Algorithm
	over             bool
	limit, duration  int64
	window, burst    int64
	remaining        *big.Rat
	touched, expires int64 // created_at or updated_at, expire_at
}

// said is an answer of the model.
type said struct {
	over             bool
	remaining, reset int64
}

const modelSkew = 1000

func whole(r *big.Rat) int64 {
	q, m := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	_ = m
	return q.Int64()
}

func rat(n, d int64) *big.Rat { return new(big.Rat).SetFrac64(n, d) }

// ask asks the model at a time of the owner's clock. length and end are those of the
// Gregorian interval.
func (m *model) ask(clock int64, r *pb.RateLimitReq, length, end int64) said {
	q := asked{r, min(max(r.GetCreatedAt(), clock-modelSkew), clock+modelSkew), r.GetDuration(), 0}
	alive := false
	if m.exists && clock <= m.expires+modelSkew {
		q.at = max(q.at, m.touched)
		if alive = m.expires >= clock; !alive {
			q.at = max(q.at, m.expires+1)
		}
	}
	q.end = q.at + q.length
	if r.GetBehavior()&pb.Behavior_DURATION_IS_GREGORIAN != 0 {
		q.length, q.end = length, end
	}
	switch {
	case r.GetAlgorithm() == pb.Algorithm_LEAKY_BUCKET && (!alive || m.algorithm != r.GetAlgorithm() || q.length == 0):
		return m.newLeaky(q)
	case r.GetAlgorithm() == pb.Algorithm_LEAKY_BUCKET:
		return m.leaky(q)
	case alive && q.resets():
		m.exists = false
		return said{false, r.GetLimit(), 0}
	case !alive || m.algorithm != r.GetAlgorithm() || q.length == 0:
		return m.newToken(q)
	}
	return m.token(q)
}

// asked is a request, its time, and what its duration means.
type asked struct {
	*pb.RateLimitReq
	at, length, end int64
}

func (q asked) drains() bool { return q.GetBehavior()&pb.Behavior_DRAIN_OVER_LIMIT != 0 }
func (q asked) resets() bool { return q.GetBehavior()&pb.Behavior_RESET_REMAINING != 0 }

func (m *model) newToken(q asked) said {
	*m = model{
		exists: q.length > 0, algorithm: pb.Algorithm_TOKEN_BUCKET, limit: q.GetLimit(), duration: q.GetDuration(),
		remaining: rat(q.GetLimit()-q.GetHits(), 1), touched: q.at, expires: q.end,
	}
	over := q.GetHits() > q.GetLimit()
	if over {
		m.remaining = rat(q.GetLimit(), 1)
		if q.drains() { // D3
			m.remaining = rat(0, 1)
		}
	}
	return said{over, whole(m.remaining), q.end}
}

func (m *model) token(q asked) said {
	left := whole(m.remaining)
	if m.limit != q.GetLimit() { // 3
		left = max(left+q.GetLimit()-m.limit, 0)
		m.limit = q.GetLimit()
	}
	if m.duration != q.GetDuration() { // 5
		m.duration = q.GetDuration()
		m.expires = m.touched + q.length
		if q.GetBehavior()&pb.Behavior_DURATION_IS_GREGORIAN != 0 {
			m.expires = q.end
		}
		if m.expires <= q.at { // D2, D8
			m.expires, m.touched, left, m.over = q.end, q.at, q.GetLimit(), false
		}
	}
	if left > 0 { // D1
		m.over = false
	}
	hits, over := q.GetHits(), false
	switch {
	case hits == 0: // 6
		over = m.over
	case left == 0 && hits > 0: // 7
		over, m.over = true, true
	case left == hits: // 8
		left = 0
	case hits > left: // 9
		if over = true; q.drains() {
			left = 0
		}
	default: // 10
		left -= hits
		m.over = false // D1: something is left now
	}
	m.remaining = rat(left, 1)
	return said{over, left, m.expires}
}

func (q asked) capacity() int64 {
	if q.GetBurst() == 0 {
		return q.GetLimit()
	}
	return q.GetBurst()
}

// reset is the formula with D5.
func (m *model) reset(q asked) int64 {
	if q.GetLimit() == 0 {
		return q.at
	}
	wait := new(big.Rat).Mul(rat(q.GetLimit()-whole(m.remaining), 1), rat(q.length, q.GetLimit()))
	return q.at - whole(new(big.Rat).Neg(wait)) // rounded up
}

func (m *model) newLeaky(q asked) said {
	*m = model{
		exists: q.length > 0, algorithm: pb.Algorithm_LEAKY_BUCKET, window: q.length, burst: q.capacity(),
		remaining: rat(q.capacity()-q.GetHits(), 1), touched: q.at, expires: q.end,
	}
	over := q.GetHits() > q.capacity()
	if over {
		m.remaining = rat(0, 1)
	}
	return said{over, whole(m.remaining), m.reset(q)}
}

func (m *model) leaky(q asked) said {
	if q.resets() { // 2
		m.remaining = rat(q.capacity(), 1)
	}
	if m.burst != q.capacity() && q.capacity() > whole(m.remaining) { // 3
		m.remaining = rat(q.capacity(), 1)
	}
	m.burst = q.capacity()
	if m.window != q.length { // what is kept of the fraction, in new parts
		parts := new(big.Rat).Mul(m.remaining, rat(q.length, 1))
		m.remaining, m.window = new(big.Rat).Quo(rat(whole(parts), 1), rat(q.length, 1)), q.length
	}
	if q.GetHits() != 0 { // 5
		m.expires = q.end
	}
	m.remaining.Add(m.remaining, new(big.Rat).Mul(rat(q.at-m.touched, 1), rat(q.GetLimit(), q.length))) // 6, D4
	m.touched = q.at
	if m.remaining.Cmp(rat(m.burst, 1)) > 0 {
		m.remaining = rat(m.burst, 1)
	}
	left, hits := whole(m.remaining), q.GetHits()
	reset := m.reset(q)
	switch {
	case left == 0 && hits > 0: // 7
		return said{true, 0, reset}
	case hits > left: // 9
		if q.drains() {
			m.remaining = rat(0, 1)
		}
		return said{true, whole(m.remaining), reset}
	}
	m.remaining.Sub(m.remaining, rat(hits, 1)) // 8, 10, D4
	return said{false, left - hits, m.reset(q)}
}

// request draws one that the model can follow: it knows no end of int64.
func request(t *rapid.T, clock int64) *pb.RateLimitReq {
	created := clock + rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(-1500, 1500)).Draw(t, "created")
	r := &pb.RateLimitReq{
		Algorithm: pb.Algorithm(rapid.SampledFrom([]int32{0, 0, 0, 1, 1, 1}).Draw(t, "algorithm")),
		Hits:      rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(-3, 15)).Draw(t, "hits"),
		Limit:     rapid.SampledFrom([]int64{10, 10, 10, 7, 3, 0, 2000}).Draw(t, "limit"),
		Duration:  rapid.SampledFrom([]int64{1000, 1000, 1000, 3000, 999, 1, 0}).Draw(t, "duration"),
		Burst:     rapid.SampledFrom([]int64{0, 0, 0, 5, 20}).Draw(t, "burst"),
		Behavior:  pb.Behavior(rapid.SampledFrom([]int32{0, 0, 0, 32, 32, 8, 4}).Draw(t, "behavior")),
		CreatedAt: &created,
	}
	if r.Behavior == pb.Behavior_DURATION_IS_GREGORIAN {
		r.Duration = 0
	}
	return r
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m model
		register := bucketring.Register{}
		usual := request(t, 0)
		const minute = 60_000
		for clock, i := int64(1_000_000*minute+59_000), 0; i < 40; i++ {
			clock += rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, 400), rapid.Int64Range(900, 1100)).Draw(t, "wait")
			r := request(t, clock)
			if rapid.IntRange(0, 3).Draw(t, "as usual") > 0 { // most callers do not change their limits
				r.Algorithm, r.Limit, r.Duration, r.Burst = usual.Algorithm, usual.Limit, usual.Duration, usual.Burst
				r.Behavior = r.Behavior&^pb.Behavior_DURATION_IS_GREGORIAN | usual.Behavior&pb.Behavior_DURATION_IS_GREGORIAN
			}
			if register.Now = clock * int64(time.Millisecond); register.Until <= register.Now {
				register.Numbers, register.Until = nil, 0
			}
			start := clock / minute * minute
			// The door's clock is up to a minute away.
			door := start + minute*rapid.Int64Range(-1, 1).Draw(t, "door")
			bounds := [4]int64{door - minute, door, door + minute, door + 2*minute}
			values := gubernatorapi.Step(&register, gubernatorapi.ArgsOf(r, modelSkew, bounds))
			want := m.ask(clock, r, minute, start+minute-1)
			got := said{values[0] == 1, values[1], values[2]}
			if got != want {
				t.Fatalf("step %d at %d: %v = %+v, want %+v", i, clock, r, got, want)
			}
			if got.remaining < 0 || (values[3] != 0) != got.over {
				t.Fatalf("step %d at %d: %v = %v", i, clock, r, values)
			}
		}
	})
}

// TestRetryAfterIsExact waits as long as an answer says, and 1 ms less. Nobody else asks.
func TestRetryAfterIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := int64(1_000_000_000)
		r, register := request(t, at), bucketring.Register{Now: at * int64(time.Millisecond)}
		r.Behavior &= pb.Behavior_DRAIN_OVER_LIMIT
		ask := func(hits, created int64) (over bool, retry int64) {
			r.Hits, r.CreatedAt = hits, &created
			values := gubernatorapi.Step(&register, gubernatorapi.ArgsOf(r, modelSkew, [4]int64{}))
			return values[0] == 1, values[3]
		}
		hits := max(r.Hits, 0)
		for range 3 { // use some of it, at odd times
			ask(rapid.Int64Range(0, 12).Draw(t, "used"), at)
			at += rapid.Int64Range(0, 300).Draw(t, "wait")
			register.Now = at * int64(time.Millisecond)
		}
		over, retry := ask(hits, at+rapid.Int64Range(0, 300).Draw(t, "created")) // later than it is, at most
		if !over || retry < 0 {
			return
		}
		before := register
		for wait := max(retry-1, 0); wait <= retry; wait++ {
			register = before
			if register.Now += wait * int64(time.Millisecond); register.Until <= register.Now {
				register.Numbers, register.Until = nil, 0
			}
			if over, _ := ask(hits, at+wait); over != (wait < retry) {
				t.Fatalf("%v is to wait %d ms; after %d it is over: %v", r, retry, wait, over)
			}
		}
	})
}
