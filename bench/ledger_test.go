// ledger_test.go checks that a benchmark measured a limiter that limits.

package bench_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

// A ledger counts what was admitted under limits that nobody else uses.
type ledger struct {
	limiter  bucketring.Limiter
	keys     []string // all that were asked for
	limits   []bucketring.Limit
	began    time.Time
	admitted atomic.Int64
}

// newLedger opens the books of keys before their first call.
func newLedger(limiter bucketring.Limiter, keys []string, limits string) *ledger {
	return &ledger{limiter: limiter, keys: keys, limits: bucketring.MustParse(limits), began: time.Now()}
}

// fill takes one token of every key, so that all counters exist.
func (l *ledger) fill(tb testing.TB) {
	tb.Helper()
	for _, key := range l.keys {
		d, err := l.limiter.Take(context.Background(), bucketring.Request{Key: key, Limits: l.limits, Cost: 1})
		if err != nil || !d.Allowed {
			tb.Fatalf("first Take of %s = %v, %v, want it allowed", key, d.Allowed, err)
		}
	}
	l.admitted.Add(int64(len(l.keys)))
}

// audit reports how many were admitted beyond the limits and fails if any were.
func (l *ledger) audit(b *testing.B) {
	b.Helper()
	over, err := l.over()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(over), "over-admitted")
	if over > 0 {
		b.Fatalf("%d decisions were admitted beyond the limits", over)
	}
}

// over returns how many were admitted beyond the limits. What the counters lack
// and what may have come back since must make up for all that was admitted. The
// error is about the opposite: charges for calls that were not admitted.
func (l *ledger) over() (int64, error) {
	admitted := l.admitted.Load()
	charged := make([]int64, len(l.limits))
	for _, key := range l.keys {
		d, err := l.limiter.Take(context.Background(), bucketring.Request{Verb: bucketring.VerbPeek, Key: key, Limits: l.limits})
		if err != nil {
			return 0, err
		}
		for i, s := range d.All() {
			charged[i] += s.Limit - s.Remaining
		}
	}
	passed, count, worst := time.Since(l.began), int64(len(l.keys)), int64(0)
	for i := range l.limits {
		limit, back := &l.limits[i], int64(0)
		if limit.Algorithm == bucketring.TokenBucket {
			back = count * int64(float64(limit.Amount)*float64(passed)/float64(limit.Per))
		}
		if charged[i] > admitted {
			return 0, fmt.Errorf("limit %v lacks %d tokens, but %d were admitted", limit, charged[i], admitted)
		}
		worst = max(worst, admitted-charged[i]-back, admitted-count*limit.Capacity()-back)
	}
	return worst, nil
}
