// dialect.go answers calls to a domain in Envoy's dialect: which rule each descriptor
// meets, what is counted, and what the call comes to.

package envoyrls

import (
	"math"

	"github.com/bucketring/bucketring"
	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
	"github.com/bucketring/bucketring/policy"
)

// An ask is one descriptor's part in a call.
type ask struct {
	hits
	entries []policy.Entry
	rule    *policy.Rule // that was met, nil for none; it may be without effect
	out     bool         // the rule is replaced by another one of the call
	limit   *limit       // nil if nothing is counted
	key     string       // of the counter

	reading                   // of the counter
	source  bucketring.Source // of the reading
	local   bool              // this node has decided by its share
	share   int64             // remaining, if local
	err     error             // nobody could decide
}

// A limit is so many requests per unit.
type limit struct {
	name       string
	requests   uint32
	unit       policy.Unit
	multiplier uint32 // of the unit; 0 where none was sent, which is 1
}

// window is the length of the window in seconds.
func (l *limit) window() int64 { return l.unit.Seconds() * int64(max(l.multiplier, 1)) }

// dialect answers a call to a domain.
func (c *call) dialect(d *policy.Domain) (*rls.RateLimitResponse, error) {
	asks := c.asks(d)
	var counted []*ask
	for _, a := range asks {
		if a.limit != nil && !a.out {
			counted = append(counted, a)
		}
	}
	var err error
	if c.cfg.Settings.AllOrNothing {
		err = c.chargeAllOrNothing(asks, counted)
	} else {
		err = c.chargeEach(counted)
	}
	if err != nil {
		return nil, err
	}
	resp := c.answer(asks)
	c.tally(d.Name(), asks)
	c.told(d.Name(), asks, resp)
	return resp, nil
}

// told tells a Limiter that counts decisions what those of its steps were.
func (c *call) told(domain string, asks []*ask, resp *rls.RateLimitResponse) {
	if c.counter == nil {
		return
	}
	for i, a := range asks {
		if a.limit != nil && !a.out && !a.local {
			c.counter.Count(keyText(a), bucketring.Decision{
				Allowed: resp.Statuses[i].Code == rls.RateLimitResponse_OK, Source: a.source, LimitState: bucketring.LimitState{Name: domain},
			})
		}
	}
}

// asks finds what each descriptor is held to.
func (c *call) asks(d *policy.Domain) []*ask {
	all := make([]*ask, len(c.req.GetDescriptors()))
	rules := make([]*policy.Rule, len(all))
	for i, desc := range c.req.GetDescriptors() {
		a := &ask{hits: c.hits[i], entries: entriesOf(desc)}
		if desc.GetLimit() != nil {
			a.limit = overrideOf(desc.GetLimit())
		} else if a.rule = d.Match(a.entries); a.rule != nil && !a.rule.Unlimited {
			a.limit = &limit{name: a.rule.Name, requests: a.rule.Requests, unit: a.rule.Unit}
		}
		if a.limit != nil {
			a.key = counterKey(d.Name(), a)
		}
		all[i], rules[i] = a, a.rule
	}
	for i, out := range policy.Replaced(rules) {
		all[i].out = out
	}
	return all
}

// overrideOf is the limit that came with a descriptor. Up to YEAR, units have the same
// numbers in overrides and in answers.
func overrideOf(o *rls.RateLimitDescriptor_RateLimitOverride) *limit {
	return &limit{requests: o.GetRequestsPerUnit(), unit: policy.Unit(o.GetUnit()), multiplier: o.GetUnitMultiplier().GetValue()}
}

// would is what would be used if the hits were charged, whether they were or not.
func (a *ask) would() int64 {
	if a.back {
		return a.after
	}
	return plus(a.before, a.n)
}

// over reports whether the limit says no.
func (a *ask) over() bool {
	return !a.back && a.would() > int64(a.limit.requests)
}

// remaining is what is left of the limit.
func (a *ask) remaining() int64 {
	if a.local {
		return a.share
	}
	return max(int64(a.limit.requests)-a.after, 0)
}

// shadow and quota report how much a refusal is worth. Those of a limit that came with the
// call are worth all.
func (a *ask) shadow() bool { return a.rule != nil && a.rule.Shadow }
func (a *ask) quota() bool  { return a.rule != nil && a.rule.Quota && !a.rule.Shadow && !a.out }

// denied reports whether a call is refused: by a rule that is neither in shadow nor a quota,
// or by all its quotas together.
func denied(asks []*ask) bool {
	quotas, spent := 0, 0
	for _, a := range asks {
		over := a.limit != nil && !a.out && a.over()
		switch {
		case a.quota():
			quotas++
			if over {
				spent++
			}
		case over && !a.shadow():
			return true
		}
	}
	return quotas > 0 && spent == quotas
}

// answer describes the call.
func (c *call) answer(asks []*ask) *rls.RateLimitResponse {
	settings := &c.cfg.Settings
	resp := &rls.RateLimitResponse{
		OverallCode: rls.RateLimitResponse_OK, Statuses: make([]*rls.RateLimitResponse_DescriptorStatus, len(asks)),
	}
	if !settings.Shadow && denied(asks) {
		resp.OverallCode = rls.RateLimitResponse_OVER_LIMIT
	}
	for i, a := range asks {
		resp.Statuses[i] = a.status()
	}
	if settings.ResponseHeaders.on(false) {
		resp.ResponseHeadersToAdd = settings.dialectHeaders(asks, resp.Statuses)
	}
	if settings.DynamicMetadata {
		var more map[string]any
		for i, a := range asks {
			if a.rule != nil && !a.out && resp.Statuses[i].Code == rls.RateLimitResponse_OK {
				more = policy.MergeMetadata(more, a.rule.Metadata)
			}
		}
		resp.DynamicMetadata = c.metadata(more)
	}
	return resp
}

// status describes a descriptor.
func (a *ask) status() *rls.RateLimitResponse_DescriptorStatus {
	s := &rls.RateLimitResponse_DescriptorStatus{Code: rls.RateLimitResponse_OK}
	switch {
	case a.out:
		return s
	case a.limit == nil:
		if a.rule != nil {
			s.LimitRemaining = math.MaxUint32 // of no limit
		}
		return s
	}
	s.CurrentLimit = currentLimit(a.limit)
	s.LimitRemaining = u32(a.remaining())
	s.DurationUntilReset = seconds(a.left)
	if a.over() {
		if a.shadow() || a.local { // nobody knows what the owner has left
			s.LimitRemaining = 0
		}
		if !a.shadow() {
			s.Code = rls.RateLimitResponse_OVER_LIMIT
		}
	}
	return s
}
