// stats.go counts what happens, and says so of panics.

package envoyrls

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Stats are figures of a Server since it was made.
type Stats struct {
	// Calls counts all calls, Invalid those that were malformed, Failed those that nobody could
	// decide, Panics those that ended in a panic. UnknownDomains counts calls to domains that
	// nobody configured, which pass.
	Calls, Invalid, Failed, Panics, UnknownDomains uint64
	// Degraded counts descriptors that this node decided by its share of the limit.
	Degraded uint64
	// Rules are the figures of domains in the dialect, sorted; nil unless Settings has
	// Metrics.
	Rules []RuleStats
}

// RuleStats are hits of one rule, or of all that are below one in the first two levels.
type RuleStats struct {
	// Domain, Key1 and Key2 say which rule: see policy.Rule.Labels. Past 1,000 values of a
	// domain a label is "_other".
	Domain, Key1, Key2 string
	// TotalHits are all hits; the others are those of them that were over the limit, near it,
	// not over it, and over the limit of a rule in shadow.
	TotalHits, OverLimit, NearLimit, WithinLimit, ShadowMode uint64
}

type counts struct{ calls, invalid, failed, panics, unknownDomains, degraded atomic.Uint64 }

// Stats returns the present figures.
func (s *Server) Stats() Stats {
	return Stats{
		Calls: s.counts.calls.Load(), Invalid: s.counts.invalid.Load(), Failed: s.counts.failed.Load(), Panics: s.counts.panics.Load(),
		UnknownDomains: s.counts.unknownDomains.Load(), Degraded: s.counts.degraded.Load(), Rules: s.rules.stats(),
	}
}

// counted counts an error and returns it.
func (s *Server) counted(err error) error {
	switch status.Code(err) {
	case codes.InvalidArgument:
		s.counts.invalid.Add(1)
	case codes.Unavailable:
		s.counts.failed.Add(1)
	}
	return err
}

// panicked counts a panic and logs where it was, at most once a second. It shows only
// the runtime's own texts: any other might hold a value of the call.
func (s *Server) panicked(v any) {
	s.counts.panics.Add(1)
	last, second := s.logged.Load(), time.Now().Unix()
	if last == second || !s.logged.CompareAndSwap(last, second) {
		return
	}
	text := fmt.Sprintf("a %T, its text is withheld", v)
	if err, ok := v.(runtime.Error); ok {
		text = err.Error()
	}
	s.cfg.Logger.Error("rate limit call panicked", "err", text, "stack", string(debug.Stack()))
}

// maxLabels bounds the values of a label in one domain, and maxSets the sets of labels of all.
const (
	maxLabels = 1000
	maxSets   = 10_000
	other     = "_other"
)

// ruleCounts are the figures of rules. The zero value has none.
type ruleCounts struct {
	mu   sync.Mutex // guards what follows
	all  map[RuleStats]*RuleStats
	seen map[string]map[string]bool // by domain and label
}

// tally counts what a call came to.
func (c *call) tally(domain string, asks []*ask) {
	if !c.cfg.Settings.Metrics {
		return
	}
	for _, a := range asks {
		if a.out || a.back || a.limit == nil && a.rule == nil {
			continue
		}
		one := a.figures(c.cfg.Settings.NearLimitRatio)
		one.Domain = domain
		one.Key1, one.Key2 = a.labels()
		c.rules.add(one)
	}
}

// labels are those of the rule. A limit that came with the call has none: its keys count, and
// no values.
func (a *ask) labels() (key1, key2 string) {
	if a.rule != nil {
		return a.rule.Labels(a.entries)
	}
	if len(a.entries) > 1 {
		key2 = a.entries[1].Key
	}
	return a.entries[0].Key, key2
}

// figures says how the hits were, in the counting of envoyproxy/ratelimit: a call that
// crosses a limit is partly near it and partly over.
func (a *ask) figures(ratio float64) (s RuleStats) {
	hits := uint64(a.n)
	s.TotalHits = hits
	if a.limit == nil { // unlimited
		s.WithinLimit = hits
		return s
	}
	limit := int64(a.limit.requests)
	near := int64(math.Floor(float64(limit)*ratio + 1e-9))
	before, after := a.before, a.would()
	switch over := a.over(); {
	case over && before >= limit:
		s.OverLimit = hits
	case over:
		s.OverLimit = uint64(after - limit)
		s.NearLimit = uint64(limit - max(near, before))
	default:
		s.WithinLimit = hits
		if after > near {
			s.NearLimit = uint64(min(after-near, a.n))
		}
	}
	if a.shadow() {
		s.ShadowMode = s.OverLimit
	}
	return s
}

func (r *ruleCounts) add(one RuleStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all, r.seen = map[RuleStats]*RuleStats{}, map[string]map[string]bool{}
	}
	at := RuleStats{Domain: one.Domain, Key1: r.foldedLocked(one.Domain, "1", one.Key1), Key2: r.foldedLocked(one.Domain, "2", one.Key2)}
	sum := r.all[at]
	if sum == nil && len(r.all) >= maxSets {
		at = RuleStats{Domain: one.Domain, Key1: other, Key2: other}
		sum = r.all[at]
	}
	if sum == nil {
		made := at
		sum = &made
		r.all[at] = sum
	}
	sum.TotalHits += one.TotalHits
	sum.OverLimit += one.OverLimit
	sum.NearLimit += one.NearLimit
	sum.WithinLimit += one.WithinLimit
	sum.ShadowMode += one.ShadowMode
}

// foldedLocked is the value of a label, or "_other" for one too many.
func (r *ruleCounts) foldedLocked(domain, label, value string) string {
	seen := r.seen[label+domain]
	if seen == nil {
		seen = map[string]bool{}
		r.seen[label+domain] = seen
	}
	if !seen[value] {
		if len(seen) >= maxLabels {
			return other
		}
		seen[value] = true
	}
	return value
}

func (r *ruleCounts) stats() (all []RuleStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.all {
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b RuleStats) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Key1, b.Key1), cmp.Compare(a.Key2, b.Key2))
	})
	return all
}
