// bench_result.go says what a load has shown, for people and for programs.

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/workload"
)

// A benchResult is what bench prints. Latencies are in milliseconds.
type benchResult struct {
	Door     string   `json:"door"`
	Addrs    []string `json:"addrs"`
	Limit    string   `json:"limit"`
	Keys     int      `json:"keys"`
	Zipf     float64  `json:"zipf"`
	Callers  int      `json:"callers"`
	Offered  float64  `json:"offered_per_second"`
	Answered float64  `json:"answered_per_second"`
	Seconds  float64  `json:"seconds"`
	Calls    int64    `json:"calls"`
	Allowed  int64    `json:"allowed"`
	Denied   int64    `json:"denied"`
	Degraded int64    `json:"degraded"`
	Failed   int64    `json:"failed"`
	// Behind are calls that began late because their callers were busy.
	Behind       int64              `json:"behind"`
	Latency      map[string]float64 `json:"latency_ms"`
	OverAdmitted int64              `json:"over_admitted"`
	MostPerKey   int64              `json:"most_per_key"`
	FirstError   string             `json:"first_error,omitempty"`
	Missed       []string           `json:"missed"`
}

func (cfg *benchConfig) result(r *workload.Report, limits []bucketring.Limit) *benchResult {
	answered := r.Calls - r.Failed
	b := &benchResult{
		Door: cfg.door, Addrs: cfg.addrs, Limit: cfg.limit, Keys: cfg.keys, Zipf: cfg.zipf, Callers: cfg.callers,
		Offered: cfg.rate, Answered: float64(answered) / max(r.Took, cfg.duration).Seconds(), Seconds: r.Took.Seconds(),
		Calls: r.Calls, Allowed: r.Allowed, Denied: r.Denied, Degraded: r.Degraded, Failed: r.Failed, Behind: r.Behind,
		OverAdmitted: r.Over(limits), MostPerKey: workload.Allowed(limits, r.Ended.Sub(r.Began)), Missed: []string{},
		Latency: map[string]float64{"max": float64(r.Latency.Max()) / 1e6, "mean": r.Latency.Mean() / 1e6},
	}
	if r.FirstErr != nil {
		b.FirstError = r.FirstErr.Error()
	}
	for _, q := range quantiles {
		b.Latency[q.name] = float64(r.Latency.ValueAtQuantile(q.percent)) / 1e6
	}
	b.miss(cfg)
	return b
}

var quantiles = []struct {
	name    string
	percent float64
}{{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}}

// miss finds the targets that were missed.
func (b *benchResult) miss(cfg *benchConfig) {
	if b.OverAdmitted > 0 {
		b.Missed = append(b.Missed, fmt.Sprintf("%d calls were admitted beyond the limit, want 0", b.OverAdmitted))
	}
	for name, target := range map[string]time.Duration{"p50": cfg.p50, "p99": cfg.p99, "p99.9": cfg.p999} {
		if most := float64(target) / 1e6; target > 0 && b.Latency[name] > most {
			b.Missed = append(b.Missed, fmt.Sprintf("%s is %.3g ms, want at most %.3g", name, b.Latency[name], most))
		}
	}
	if share := b.Answered / b.Offered; share < cfg.answered {
		b.Missed = append(b.Missed, fmt.Sprintf("%.1f %% of the calls were answered in time, want at least %g", 100*share, 100*cfg.answered))
	}
	if share := float64(b.Degraded) / float64(max(b.Calls-b.Failed, 1)); share > cfg.degraded {
		b.Missed = append(b.Missed, fmt.Sprintf("%.2f %% of the answers came without the owner, want at most %g", 100*share, 100*cfg.degraded))
	}
}

func (b *benchResult) text() string {
	var t strings.Builder
	fmt.Fprintf(&t, "%.0f answers/s for %.1f s: %d allowed, %d denied, %d without the owner, %d failed\n",
		b.Answered, b.Seconds, b.Allowed, b.Denied, b.Degraded, b.Failed)
	t.WriteString("latency ")
	for _, q := range quantiles {
		fmt.Fprintf(&t, " %s %.3g ms,", q.name, b.Latency[q.name])
	}
	fmt.Fprintf(&t, " max %.3g ms\n", b.Latency["max"])
	fmt.Fprintf(&t, "over-admitted %d: at most %d calls of a key may pass in this time\n", b.OverAdmitted, b.MostPerKey)
	if b.Behind > b.Calls/100 {
		fmt.Fprintf(&t, "%d calls began late because their caller was busy: this is as fast as it gets, or give more --callers\n", b.Behind)
	}
	if b.FirstError != "" {
		fmt.Fprintf(&t, "first error: %s\n", b.FirstError)
	}
	return t.String()
}
