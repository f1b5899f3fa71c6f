package envoyrls

import (
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

// RunStep runs a step on a register.
func RunStep(r *bucketring.Register, hits, window, idle, most, start int64) []int64 {
	return Step(r, change{hits, window, idle, most, start}.args())
}

// U32, Seconds, UnitOf and Plus are the arithmetic of answers.
func U32(n int64) uint32 { return u32(n) }

// Seconds returns a time as the protocol has it.
func Seconds(n int64) int64 { return seconds(n).GetSeconds() }

// UnitOf returns the unit of a window.
func UnitOf(per time.Duration) (policy.Unit, uint32) { return unitOf(per) }

// Plus adds without overflow.
func Plus(a, b int64) int64 { return plus(a, b) }

// Key names the counter of a descriptor.
func Key(domain string, entries []policy.Entry, unit policy.Unit, multiplier uint32) string {
	return counterKey(domain, &ask{entries: entries, limit: &limit{unit: unit, multiplier: multiplier}})
}

// Figures says how hits were, of so many before them.
func Figures(limit uint32, ratio float64, shadow bool, before, hits int64) RuleStats {
	a := ask{hits: hitsOf(hits), limit: limitOf(limit), reading: reading{before: before}, rule: &policy.Rule{Shadow: shadow}}
	return a.figures(ratio)
}

func hitsOf(n int64) hits            { return hits{n: n} }
func limitOf(requests uint32) *limit { return &limit{requests: requests, unit: policy.UnitHour} }

// Patient gives calls a minute, for tests that run in real time, on machines that stand still
// now and then.
func (s *Server) Patient() *Server {
	s.bounds = bounds{time.Minute, time.Minute, time.Minute}
	return s
}

// Prompt is the opposite of Patient, which it ends.
func (s *Server) Prompt() { s.bounds = envoysBounds }
