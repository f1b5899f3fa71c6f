// convert.go translates between messages and the words of the root package.

package transport

import (
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// --- between nodes ---

func toDef(no uint32, l *bucketring.Limit) *peerpb.Def {
	return &peerpb.Def{
		No: no, Limit: l.Name, Algorithm: uint32(l.Algorithm), Align: uint32(l.Align),
		Amount: l.Amount, Burst: l.Burst, PerNs: int64(l.Per),
		Unavailable: uint32(l.Unavailable), Accuracy: uint32(l.Accuracy),
	}
}

// fromDef makes a limit that is checked where it is used: what does not fit the
// small types turns into a value that Validate refuses.
func fromDef(d *peerpb.Def) bucketring.Limit {
	return bucketring.Limit{
		Name: d.GetLimit(), Algorithm: bucketring.Algorithm(small(d.GetAlgorithm())),
		Align: bucketring.Align(small(d.GetAlign())), Amount: d.GetAmount(), Burst: d.GetBurst(),
		Per: time.Duration(d.GetPerNs()), Unavailable: bucketring.Unavailable(small(d.GetUnavailable())),
		Accuracy: bucketring.Accuracy(small(d.GetAccuracy())),
	}
}

func small(n uint32) uint8 { return uint8(min(n, 255)) }

func toVerdict(id uint64, d *bucketring.Decision) *peerpb.Verdict {
	v := &peerpb.Verdict{Id: id, Code: peerpb.Verdict_ALLOW, Source: uint32(d.Source)}
	if !d.Allowed {
		v.Code = peerpb.Verdict_DENY
	}
	all := d.All()
	v.Limits = make([]*peerpb.LimitState, len(all))
	for i := range all {
		s := &all[i]
		v.Limits[i] = &peerpb.LimitState{
			Remaining: s.Remaining, ResetNs: int64(s.ResetAfter), RetryNs: int64(s.RetryAfter), Denied: !s.Allowed,
		}
		if *s == d.LimitState {
			v.Most = uint32(i)
		}
	}
	return v
}

// fromVerdict makes the decision on req. ok is false if the verdict does not
// belong to it.
func fromVerdict(v *peerpb.Verdict, req *bucketring.Request) (d bucketring.Decision, ok bool) {
	if len(v.GetLimits()) != len(req.Limits) || int(v.GetMost()) >= len(req.Limits) {
		return d, false
	}
	d.Allowed = v.GetCode() == peerpb.Verdict_ALLOW
	d.Source = bucketring.Source(small(v.GetSource()))
	states := make([]bucketring.LimitState, len(req.Limits))
	for i, s := range v.GetLimits() {
		l := &req.Limits[i]
		states[i] = bucketring.LimitState{
			Name: l.Name, Allowed: !s.GetDenied(), Limit: l.Capacity(), Remaining: s.GetRemaining(),
			ResetAfter: time.Duration(s.GetResetNs()), RetryAfter: time.Duration(s.GetRetryNs()),
		}
	}
	d.LimitState = states[v.GetMost()]
	if len(states) > 1 {
		d.Limits = states
	}
	return d, true
}

// --- the public API ---

// fromTake reads a public request, nil if there was none. The error is
// ErrInvalid.
func fromTake(verb bucketring.Verb, m *limitpb.TakeRequest) (bucketring.Request, error) {
	req := bucketring.Request{
		Verb: verb, Key: m.GetKey(), Cost: 1,
		Namespace: m.GetNamespace(), Attributes: m.GetAttributes(),
	}
	if m != nil && m.Cost != nil {
		req.Cost = m.GetCost()
	}
	if m.GetLimit() == "" {
		return req, nil // the node says what is missing
	}
	var err error
	req.Limits, err = bucketring.Parse(m.GetLimit())
	return req, err
}

// toTake writes a request for the public API; limits travel as text.
func toTake(req *bucketring.Request) *limitpb.TakeRequest {
	m := &limitpb.TakeRequest{
		Key: req.Key, Cost: &req.Cost, Namespace: req.Namespace, Attributes: req.Attributes,
	}
	for i := range req.Limits {
		if i > 0 {
			m.Limit += ", "
		}
		m.Limit += req.Limits[i].String()
	}
	return m
}

func toDecision(d *bucketring.Decision) *limitpb.Decision {
	m := &limitpb.Decision{
		Allowed: d.Allowed, Limit: d.Limit, Remaining: d.Remaining, ResetAt: d.ResetAt,
		ResetAfter: d.ResetAfter.Seconds(), RetryAfter: retrySeconds(d.RetryAfter), Policy: d.Name,
		Source: d.Source.String(), Degraded: d.Degraded, Node: d.Node, Owner: d.Owner,
	}
	for _, s := range d.All() {
		m.Limits = append(m.Limits, &limitpb.LimitState{
			Name: s.Name, Allowed: s.Allowed, Limit: s.Limit, Remaining: s.Remaining, ResetAt: s.ResetAt,
			RetryAfter: retrySeconds(s.RetryAfter), ResetAfterNs: int64(s.ResetAfter), RetryAfterNs: int64(s.RetryAfter),
		})
	}
	return m
}

// retrySeconds rounds up to seconds; nil means never.
func retrySeconds(d time.Duration) *int64 {
	if d == bucketring.Never {
		return nil
	}
	seconds := int64((d + time.Second - 1) / time.Second)
	return &seconds
}

func fromDecision(m *limitpb.Decision) bucketring.Decision {
	d := bucketring.Decision{
		Allowed: m.GetAllowed(), Degraded: m.GetDegraded(), Node: m.GetNode(), Owner: m.GetOwner(),
	}
	for _, source := range bucketring.Sources() {
		if source.String() == m.GetSource() {
			d.Source = source
		}
	}
	states := make([]bucketring.LimitState, len(m.GetLimits()))
	for i, s := range m.GetLimits() {
		states[i] = bucketring.LimitState{
			Name: s.GetName(), Allowed: s.GetAllowed(), Limit: s.GetLimit(), Remaining: s.GetRemaining(),
			ResetAt: s.GetResetAt(), ResetAfter: time.Duration(s.GetResetAfterNs()), RetryAfter: time.Duration(s.GetRetryAfterNs()),
		}
		if s.GetName() == m.GetPolicy() {
			d.LimitState = states[i]
		}
	}
	if len(states) > 1 {
		d.Limits = states
	}
	return d
}
