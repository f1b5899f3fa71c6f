// native_answer.go describes native calls: a status for each descriptor, and headers, body
// and metadata of the one that the answer is about.

package envoyrls

import (
	"net/textproto"

	"github.com/bucketring/bucketring"
	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
	"github.com/bucketring/bucketring/internal/ratefield"
)

func (c *call) answerNative(parts []*part) *rls.RateLimitResponse {
	resp := &rls.RateLimitResponse{
		OverallCode: rls.RateLimitResponse_OK, Statuses: make([]*rls.RateLimitResponse_DescriptorStatus, len(parts)),
	}
	if refused(parts) {
		resp.OverallCode = rls.RateLimitResponse_OVER_LIMIT
	}
	for i, p := range parts {
		resp.Statuses[i] = c.nativeStatus(p)
	}
	about := described(parts)
	settings := &c.cfg.Settings
	if about != nil && about.d.Response != nil {
		r, body := about.d.Response, settings.RawBody.on(true) && !about.d.Allowed
		for _, h := range r.Headers {
			of := settings.ResponseHeaders.on(true)
			if textproto.CanonicalMIMEHeaderKey(h.Name) == "Content-Type" {
				of = body
			}
			if of {
				resp.ResponseHeadersToAdd = append(resp.ResponseHeadersToAdd, &rls.HeaderValue{Key: h.Name, Value: h.Value})
			}
		}
		if body {
			resp.RawBody = r.Body
		}
	}
	if settings.DynamicMetadata {
		resp.DynamicMetadata = structOf(c.nativeMetadata(parts, about))
	}
	return resp
}

// described returns the descriptor that headers and body are about: of a refusal the one that
// is free again last, else the one with the fewest further calls like this. Ties: the first.
// nil if there is none.
func described(parts []*part) (about *part) {
	deny := refused(parts)
	for _, p := range parts {
		switch {
		case p.d.Response == nil || p.d.Allowed == deny:
		case about == nil, deny && p.d.RetryAfter > about.d.RetryAfter, !deny && p.further() < about.further():
			about = p
		}
	}
	return about
}

// further is how many more calls like this one there could be.
func (p *part) further() int64 {
	if p.d.Name == "" {
		return bucketring.Unlimited
	}
	return whole(p.d.Remaining, p.d.Precision) / max(p.n, 1)
}

// nativeStatus describes a descriptor by the limit that its decision is about.
func (c *call) nativeStatus(p *part) *rls.RateLimitResponse_DescriptorStatus {
	s := &rls.RateLimitResponse_DescriptorStatus{Code: rls.RateLimitResponse_OK}
	if !p.d.Allowed {
		s.Code = rls.RateLimitResponse_OVER_LIMIT
	}
	state := &p.d.LimitState
	if len(p.d.Limits) == 0 && (!p.d.Allowed || state.Name == "") {
		if p.d.Allowed { // no limit at all; else an access rule
			s.LimitRemaining = u32(bucketring.Unlimited)
		}
		return s
	}
	if state.Name == "" || state.Limit == bucketring.Unlimited {
		for i := range p.d.Limits {
			if p.d.Limits[i].Limit == bucketring.Unlimited {
				s.LimitRemaining = u32(bucketring.Unlimited)
			}
		}
		return s
	}
	l := &limit{name: state.Name, requests: u32(whole(state.Limit, state.Precision))}
	if state.Kind == bucketring.KindRate {
		if l.unit, l.multiplier = unitOf(c.p.Per(state.Name)); p.override != nil {
			l.unit, l.multiplier = p.override.unit, p.override.multiplier
		}
	}
	s.CurrentLimit = currentLimit(l)
	s.LimitRemaining = u32(whole(state.Remaining, state.Precision))
	switch {
	case !p.d.Allowed && state.RetryAfter != bucketring.Never:
		s.DurationUntilReset = seconds(ratefield.Wait(state.RetryAfter))
	case p.d.Allowed && state.Kind == bucketring.KindRate:
		s.DurationUntilReset = seconds(ratefield.Seconds(state.ResetAfter))
	}
	return s
}

// nativeMetadata tells later filters of the limits that the statuses are not about, of the
// leases to give back, and which status a refusal should have.
func (c *call) nativeMetadata(parts []*part, about *part) map[string]any {
	var limits, leases []any
	for _, p := range parts {
		for i := range p.d.Limits {
			if l := &p.d.Limits[i]; l.Name != p.d.Name {
				limits = append(limits, limitMetadata(l))
			}
		}
		for _, id := range c.hidden(p.d.Leases) {
			leases = append(leases, id)
		}
	}
	all := map[string]any{"domain": c.req.GetDomain()}
	if limits != nil {
		all["limits"] = limits
	}
	if leases != nil {
		all["leases"] = leases
	}
	if about != nil && !about.d.Allowed {
		all["status"] = float64(about.d.Response.Status)
	}
	return all
}

// limitMetadata describes one limit in whole tokens; its reset is in seconds from now.
func limitMetadata(l *bucketring.LimitState) map[string]any {
	one := map[string]any{"name": l.Name, "remaining": float64(whole(l.Remaining, l.Precision))}
	if l.Limit != bucketring.Unlimited {
		one["limit"] = float64(whole(l.Limit, l.Precision))
	}
	if l.ResetAt != 0 {
		one["reset"] = float64(ratefield.Seconds(l.ResetAfter))
	}
	return one
}
