// decision.go writes decisions as JSON.

package httpapi

import (
	"strconv"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/ratefield"
)

// ofPolicy reports whether the limits of a call come from a policy. Answers then
// say more of each, and have null where limits that came with the call always have
// a number.
func ofPolicy(req *bucketring.Request) bool {
	return req.Namespace != "" || req.Verb == bucketring.VerbSettle
}

// appendDecision appends d as the API shows it.
func appendDecision(b []byte, d *bucketring.Decision, policy bool) []byte {
	none := policy && (d.Name == "" || d.Limits != nil && len(d.Limits) == 0) // no limit is described
	b = append(b, `{"allowed":`...)
	b = strconv.AppendBool(b, d.Allowed)
	if none {
		b = append(b, `,"limit":null,"remaining":null,"reset_at":null,"reset_after":null`...)
	} else {
		b = appendCounts(b, &d.LimitState, policy)
		b = appendResetAfter(b, &d.LimitState, policy)
	}
	b = appendRetry(b, d.Allowed, retryAfter(d))
	b = append(b, `,"policy":`...)
	b = appendString(b, d.Name)
	b = append(b, `,"limits":[`...)
	if d.Limits == nil && !none {
		b = appendState(b, d.Allowed, &d.LimitState, policy)
	}
	for i := range d.Limits {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendState(b, d.Limits[i].Allowed, &d.Limits[i], policy)
	}
	b = appendStrings(append(b, `],"leases":`...), d.Leases)
	b = append(b, `,"reservation":`...)
	b = appendString(b, d.Reservation)
	b = append(b, `,"source":`...)
	b = appendString(b, d.Source.String())
	b = append(b, `,"degraded":`...)
	b = strconv.AppendBool(b, d.Degraded)
	b = append(b, `,"node":`...)
	b = appendString(b, d.Node)
	b = append(b, `,"owner":`...)
	b = appendString(b, d.Owner)
	if d.Response != nil && !d.Allowed {
		b = appendResponse(append(b, `,"response":`...), d.Response)
	}
	return append(b, '}')
}

// appendState appends one limit of a decision.
func appendState(b []byte, allowed bool, s *bucketring.LimitState, policy bool) []byte {
	b = append(b, `{"name":`...)
	b = appendString(b, s.Name)
	if policy {
		b = appendKind(b, s)
	}
	b = append(b, `,"allowed":`...)
	b = strconv.AppendBool(b, allowed)
	if policy {
		b = appendUsed(b, s)
	}
	b = appendCounts(b, s, policy)
	b = appendRetry(b, allowed, ratefield.Wait(s.RetryAfter))
	return append(b, '}')
}

// appendUsage appends one limit of a caller's usage.
func appendUsage(b []byte, s *bucketring.LimitState) []byte {
	b = append(b, `{"name":`...)
	b = appendString(b, s.Name)
	b = appendUsed(appendKind(b, s), s)
	b = appendCounts(b, s, true)
	return append(b, '}')
}

func appendKind(b []byte, s *bucketring.LimitState) []byte {
	b = append(b, `,"kind":`...)
	b = appendString(b, s.Kind.String())
	if s.Unit == "" {
		return b // a settlement is answered without asking the policy
	}
	b = append(b, `,"unit":`...)
	return appendString(b, s.Unit)
}

func appendUsed(b []byte, s *bucketring.LimitState) []byte {
	b = append(b, `,"used":`...)
	return bucketring.AppendAmount(b, s.Used, s.Precision)
}

// appendCounts appends what a limit has and when it is whole again. A level or
// leases without end have null, and so has the reset of what no time resets.
func appendCounts(b []byte, s *bucketring.LimitState, policy bool) []byte {
	if policy && s.Kind != bucketring.KindRate && s.Limit == bucketring.Unlimited {
		b = append(b, `,"limit":null,"remaining":null`...)
	} else {
		b = append(b, `,"limit":`...)
		b = bucketring.AppendAmount(b, s.Limit, s.Precision)
		b = append(b, `,"remaining":`...)
		b = bucketring.AppendAmount(b, s.Remaining, s.Precision)
	}
	b = append(b, `,"reset_at":`...)
	if resets(s, policy) {
		return appendInt(b, s.ResetAt)
	}
	return append(b, "null"...)
}

func appendResetAfter(b []byte, s *bucketring.LimitState, policy bool) []byte {
	b = append(b, `,"reset_after":`...)
	if resets(s, policy) {
		return appendSeconds(b, s.ResetAfter)
	}
	return append(b, "null"...)
}

// resets reports whether time makes the limit whole again.
func resets(s *bucketring.LimitState, policy bool) bool {
	return s.ResetAt != 0 || !policy && s.Kind == bucketring.KindRate
}

// appendRetry appends the seconds to wait: 0 when allowed, null when waiting
// cannot help, which seconds says by 0.
func appendRetry(b []byte, allowed bool, seconds int64) []byte {
	b = append(b, `,"retry_after":`...)
	switch {
	case allowed:
		return append(b, '0')
	case seconds == 0:
		return append(b, "null"...)
	}
	return appendInt(b, seconds)
}

// appendResponse appends what the application may pass on to its own caller.
func appendResponse(b []byte, r *bucketring.Response) []byte {
	b = append(b, `{"status":`...)
	b = appendInt(b, int64(r.Status))
	b = append(b, `,"headers":{`...)
	for i, h := range r.Headers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, h.Name), ':')
		b = appendString(b, h.Value)
	}
	b = append(b, `},"body":`...)
	if r.Body == nil {
		b = append(b, "null"...)
	}
	b = append(b, r.Body...) // is JSON
	if r.CloseCode != 0 {
		b = append(b, `,"close":{"code":`...)
		b = appendInt(b, int64(r.CloseCode))
		b = append(b, `,"reason":`...)
		b = append(appendString(b, r.CloseReason), '}')
	}
	return append(b, '}')
}
