// bound_test.go checks what every caller may rely on, without a model: how much
// can pass in any interval, and that a wait is long enough and no longer.

package bucket_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// passed is a charge that was admitted.
type passed struct {
	at int64 // nanoseconds
	n  int64
}

// drawLimit draws amounts for a shape that make counters run dry often.
func drawLimit(t *rapid.T, shape bucketring.Limit) bucketring.Limit {
	amounts := []int64{1, 3, 7, 10, 60, 999983, 1 << 26, 100000007, 1<<63 - 1}
	shape.Amount = rapid.SampledFrom(amounts).Draw(t, "amount")
	shape.Per = rapid.SampledFrom(pers(shape)).Draw(t, "per")
	if shape.Algorithm == bucketring.TokenBucket {
		shape.Burst = rapid.SampledFrom([]int64{0, 1, 5, shape.Amount}).Draw(t, "burst")
	}
	if err := shape.Validate(); err != nil {
		shape.Burst = 0
	}
	return shape
}

// drawCost draws a cost which fits a counter that is unused.
func drawCost(t *rapid.T, l bucketring.Limit) int64 {
	part := rapid.SampledFrom([]int64{1, 2, 3, 10}).Draw(t, "part")
	return max(l.Capacity()/part, 1)
}

// TestBoundInEveryInterval: no schedule of takes, peeks and sweeps gets more
// through any interval than the doc comment of the algorithm says.
func TestBoundInEveryInterval(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				l := drawLimit(t, shape)
				table, all := bucket.New(bucket.Config{}), []passed(nil)
				now := int64(rapid.SampledFrom([]int{0, 1e9, 1e18}).Draw(t, "start"))
				if l.Zone != "" || l.Per%time.Second != 0 { // no calendar is for dates long ago
					now = max(now, 1e18)
				}
				for range rapid.IntRange(1, 60).Draw(t, "calls") {
					now += rapid.Int64Range(0, int64(l.Per)/rapid.SampledFrom([]int64{1, 10, 1000}).Draw(t, "pace")).Draw(t, "wait")
					at := bucket.Now{Mono: now, Wall: now}
					counter := bucket.Counter{Key: "k", Limit: &l}
					switch rapid.IntRange(0, 9).Draw(t, "what") {
					case 0:
						table.Sweep(at, 1)
					case 1:
						table.Do(bucketring.VerbPeek, counter, at, drawCost(t, l))
					default:
						if n := drawCost(t, l); table.Take(counter, at, n).Allowed {
							all = append(all, passed{now, n})
						}
					}
				}
				if fault := excess(l, all); fault != "" {
					t.Fatalf("%v admitted %s in %v", l, fault, all)
				}
			})
		})
	}
}

// excess names an interval in which more passed than may.
func excess(l bucketring.Limit, all []passed) string {
	switch {
	case l.Algorithm == bucketring.TokenBucket:
		return excessBucket(l, all)
	case l.Algorithm == bucketring.FixedWindow && l.Align == bucketring.AlignFirstRequest:
		return excessFirst(l, all)
	case l.Algorithm == bucketring.FixedWindow:
		return excessWithin(l, all, func(first, other passed) bool {
			one, _ := windowAt(l, first.at)
			two, _ := windowAt(l, other.at)
			return one == two
		})
	default: // whatever comes: at most the amount in any Per
		return excessWithin(l, all, func(first, other passed) bool { return other.at-first.at < int64(l.Per) })
	}
}

// excessBucket looks for more than capacity + rate·w in any interval w.
func excessBucket(l bucketring.Limit, all []passed) string {
	for i := range all {
		sum := new(big.Int)
		for _, p := range all[i:] {
			sum.Add(sum, big.NewInt(p.n))
			w := p.at/tick - all[i].at/tick // in ticks, as buckets count
			most := new(big.Int).Mul(big.NewInt(l.Amount), big.NewInt(w))
			most.Div(most, big.NewInt(int64(l.Per)/tick)).Add(most, big.NewInt(l.Capacity()))
			if sum.Cmp(most) > 0 {
				return fmt.Sprintf("%v > %v from %d to %d", sum, most, all[i].at, p.at)
			}
		}
	}
	return ""
}

// excessWithin looks for more than the amount among the charges that are
// together with a first one.
func excessWithin(l bucketring.Limit, all []passed, together func(first, other passed) bool) string {
	for i := range all {
		sum := new(big.Int)
		for _, p := range all[i:] {
			if !together(all[i], p) {
				break
			}
			sum.Add(sum, big.NewInt(p.n))
		}
		if sum.Cmp(big.NewInt(l.Amount)) > 0 {
			return fmt.Sprintf("%v > %d from %d", sum, l.Amount, all[i].at)
		}
	}
	return ""
}

// excessFirst cuts the charges into windows that begin with the first of each.
func excessFirst(l bucketring.Limit, all []passed) string {
	for len(all) > 0 {
		window, _ := firstAt(l, bucket.Now{Mono: all[0].at, Wall: all[0].at})
		n, sum := 0, new(big.Int)
		for n < len(all) && all[n].at < window.ends {
			sum.Add(sum, big.NewInt(all[n].n))
			n++
		}
		if sum.Cmp(big.NewInt(l.Amount)) > 0 {
			return fmt.Sprintf("%v > %d in the window from %d", sum, l.Amount, all[0].at)
		}
		all = all[n:]
	}
	return ""
}

// TestWaitsDoNotOverflow: from the last reading to the first, with the longest
// window and the slowest refill. A wait that wraps would be negative.
func TestWaitsDoNotOverflow(t *testing.T) {
	last, first := bucket.Now{Mono: math.MaxInt64, Wall: math.MaxInt64}, bucket.Now{Mono: math.MinInt64, Wall: math.MinInt64}
	for _, l := range shapes() {
		for _, amount := range []int64{1, 100000007, math.MaxInt64 / 4} {
			l.Amount, l.Per, l.Burst = amount, pers(l)[5], 0
			if l.Algorithm == bucketring.TokenBucket {
				l.Burst = 4 * amount
			}
			if err := l.Validate(); err != nil {
				t.Fatal(err)
			}
			table, c := bucket.New(bucket.Config{}), bucket.Counter{Key: "k", Limit: &l}
			table.Take(c, last, l.Capacity())
			for _, now := range []bucket.Now{last, first} {
				if got := table.Take(c, now, l.Capacity()); got.Allowed || got.Retry <= 0 || got.Reset < got.Retry || got.Remaining != 0 {
					t.Errorf("Take(%v) at %+v = %+v, want a denial with 0 < Retry ≤ Reset", l, now, got)
				}
			}
		}
	}
}

// TestRetryIsEnough: the same call after exactly Retry is allowed if nothing
// else came, also for a call whose reading another one has overtaken, and a
// moment earlier it is denied.
func TestRetryIsEnough(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			moment := time.Nanosecond
			if shape.Algorithm == bucketring.TokenBucket {
				moment = time.Microsecond
			}
			rapid.Check(t, func(t *rapid.T) { checkRetry(t, drawLimit(t, shape), moment) })
		})
	}
}

func checkRetry(t *rapid.T, l bucketring.Limit, moment time.Duration) {
	table, counter := bucket.New(bucket.Config{}), bucket.Counter{Key: "k", Limit: &l}
	at := func(now int64) bucket.Now { return bucket.Now{Mono: now, Wall: now} }
	now := int64(time.Hour)
	if l.Zone != "" || l.Per%time.Second != 0 {
		now = 1e18
	}
	for range 100 {
		now += rapid.Int64Range(0, int64(l.Per)/3).Draw(t, "wait")
		n := drawCost(t, l)
		res := table.Take(counter, at(now), n)
		if res.Allowed {
			continue
		}
		late := now - rapid.SampledFrom([]int64{0, 0, 1, 5e3, 2e6, 1e9}).Draw(t, "overtaken")
		res = table.Take(counter, at(late), n)
		if res.Allowed || res.Retry == bucketring.Never {
			t.Fatalf("Take(%v, %d) at %d = %+v, want a denial that ends", l, n, late, res)
		}
		if early := at(late + int64(res.Retry-moment)); res.Retry > moment {
			if got := table.Do(bucketring.VerbPeek, counter, early, n); got.Allowed {
				t.Fatalf("Take(%v, %d) at %d = %+v, and %v earlier = %+v", l, n, late, res, moment, got)
			}
		}
		if got := table.Take(counter, at(late+int64(res.Retry)), n); !got.Allowed {
			t.Fatalf("Take(%v, %d) at %d = %+v, and after Retry = %+v", l, n, late, res, got)
		}
		return
	}
}
