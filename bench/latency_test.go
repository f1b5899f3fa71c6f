// latency_test.go measures how long calls take at rates below what the machine can bear.

package bench_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/workload"
)

// BenchmarkLatency is an open loop: calls begin when they are due, however long others
// take. Its time is only that between two calls, given by the rate.
func BenchmarkLatency(b *testing.B) {
	for _, p := range []struct {
		name string
		way  func(b *testing.B) way
	}{{"public", public}, {"stream", streamed}, {"forwarded", forwarded}} {
		for _, rate := range []int{1000, 5000, 20_000, 50_000} {
			b.Run(fmt.Sprintf("path=%s/keys=hot/rate=%d", p.name, rate), func(b *testing.B) { latency(b, p.way(b), rate) })
		}
	}
}

func latency(b *testing.B, w way, rate int) {
	keys := workload.Hot()
	books := newLedger(w.limiter, keys.All(), roomForOne)
	books.fill(b)
	load := workload.Load{
		Rate: float64(rate), Callers: 256, For: time.Duration(float64(b.N) / float64(rate) * float64(time.Second)), Keys: keys,
		Call: func(ctx context.Context, _ int, key string) (workload.Answer, error) {
			d, err := w.limiter.Take(ctx, bucketring.Request{Key: key, Limits: books.limits, Cost: 1})
			return workload.Answer{Allowed: d.Allowed, Degraded: d.Degraded}, err
		},
	}
	m := startMeter(nil)
	b.ResetTimer()
	r, err := load.Run(context.Background())
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	if r.Failed > 0 || r.Degraded > 0 {
		b.Fatalf("%d calls failed and %d were decided without the owner: %v", r.Failed, r.Degraded, r.FirstErr)
	}
	books.admitted.Add(r.Allowed)
	m.report(b, int(r.Calls))
	for _, q := range []struct {
		unit    string
		percent float64
	}{{"p50-us", 50}, {"p99-us", 99}, {"p99.9-us", 99.9}} {
		b.ReportMetric(float64(r.Latency.ValueAtQuantile(q.percent))/1e3, q.unit)
	}
	books.audit(b)
}
