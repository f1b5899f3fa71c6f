// meter_test.go measures what package testing does not.

package bench_test

import (
	"testing"
	"time"

	"github.com/bucketring/bucketring/transport"
)

// A linkCount is a Pool, as far as it counts.
type linkCount interface{ Stats() []transport.PeerStats }

// A meter measures from its start to its report.
type meter struct {
	cpu    time.Duration
	links  []linkCount
	frames int64
}

func startMeter(links []linkCount) *meter {
	return &meter{cpu: cpuTime(), links: links, frames: frames(links)}
}

// report adds the figures of a benchmark whose timer has stopped.
func (m *meter) report(b *testing.B, decisions int) {
	n := float64(decisions)
	if used := cpuTime() - m.cpu; used > 0 {
		b.ReportMetric(float64(used.Nanoseconds())/n, "cpu-ns/decision")
	}
	b.ReportMetric(n/b.Elapsed().Seconds(), "decisions/s")
	if len(m.links) > 0 {
		b.ReportMetric(float64(frames(m.links)-m.frames)/n, "frames/decision")
	}
}

// frames counts those that were sent with calls.
func frames(links []linkCount) (sent int64) {
	for _, l := range links {
		for _, s := range l.Stats() {
			sent += s.Frames
		}
	}
	return sent
}
