// public.go translates between messages of the public API and the words of the
// root package.

package transport

import (
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// fromTake reads a public request, nil if there was none. The error is
// ErrInvalid.
func (p *parser) fromTake(verb bucketring.Verb, m *limitpb.TakeRequest) (bucketring.Request, error) {
	req := bucketring.Request{
		Verb: verb, Key: m.GetKey(), Cost: m.GetCost(), CostNanos: m.GetCostNanos(),
		Namespace: m.GetNamespace(), Attributes: m.GetAttributes(), Token: m.GetToken(),
	}
	if (m == nil || m.Cost == nil) && req.CostNanos == 0 {
		req.Cost = 1
	}
	if m.GetLimit() == "" {
		return req, nil // the node says what is missing
	}
	var err error
	req.Limits, err = p.parse(m.GetLimit())
	return req, err
}

// toTake writes a request for the public API; limits travel as text.
func (w *writer) toTake(req *bucketring.Request) *limitpb.TakeRequest {
	return &limitpb.TakeRequest{
		Key: req.Key, Limit: w.write(req.Limits), Cost: &req.Cost, CostNanos: req.CostNanos,
		Namespace: req.Namespace, Attributes: req.Attributes, Token: req.Token,
	}
}

// fromLevel reads a change of a level. The error is ErrInvalid.
func fromLevel(m *limitpb.LevelRequest) (bucketring.Request, error) {
	req := bucketring.Request{
		Verb: bucketring.VerbAdd, Cost: m.GetAdd(), CostNanos: m.GetNanos(), Version: m.GetVersion(),
		Namespace: m.GetNamespace(), Attributes: m.GetAttributes(),
	}
	switch m.GetChange().(type) {
	case *limitpb.LevelRequest_Add:
	case *limitpb.LevelRequest_Set:
		req.Verb, req.Cost = bucketring.VerbSet, m.GetSet()
	default:
		return req, bucketring.Invalidf("change is missing: give add or set")
	}
	return req, nil
}

func toLevel(req *bucketring.Request) *limitpb.LevelRequest {
	m := &limitpb.LevelRequest{
		Namespace: req.Namespace, Attributes: req.Attributes,
		Change: &limitpb.LevelRequest_Add{Add: req.Cost}, Nanos: req.CostNanos, Version: req.Version,
	}
	if req.Verb == bucketring.VerbSet {
		m.Change = &limitpb.LevelRequest_Set{Set: req.Cost}
	}
	return m
}

func toDecision(d *bucketring.Decision) *limitpb.Decision {
	m := &limitpb.Decision{
		Allowed: d.Allowed, Limit: d.Limit, Remaining: d.Remaining, Precision: uint32(d.Precision), ResetAt: d.ResetAt,
		ResetAfter: d.ResetAfter.Seconds(), RetryAfter: retrySeconds(d.RetryAfter), Policy: d.Name,
		Leases: d.Leases, Reservation: d.Reservation,
		Source: d.Source.String(), Degraded: d.Degraded, Node: d.Node, Owner: d.Owner, Response: toResponse(d.Response),
	}
	for _, s := range d.All() {
		m.Limits = append(m.Limits, &limitpb.LimitState{
			Name: s.Name, Allowed: s.Allowed, Limit: s.Limit, Remaining: s.Remaining, Used: s.Used,
			Precision: uint32(s.Precision), Kind: s.Kind.String(), Unit: s.Unit,
			ResetAt: s.ResetAt, RetryAfter: retrySeconds(s.RetryAfter),
			ResetAfterNs: int64(s.ResetAfter), RetryAfterNs: int64(s.RetryAfter), NextAfterNs: int64(s.NextAfter),
		})
	}
	return m
}

func toResponse(r *bucketring.Response) *limitpb.Response {
	if r == nil {
		return nil
	}
	m := &limitpb.Response{
		Status: int32(r.Status), Body: r.Body, CloseCode: int32(r.CloseCode), CloseReason: r.CloseReason, Violated: r.Violated,
	}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, &limitpb.Header{Name: h.Name, Value: h.Value})
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
		Leases: m.GetLeases(), Reservation: m.GetReservation(), Response: fromResponse(m.GetResponse()),
	}
	for _, source := range bucketring.Sources() {
		if source.String() == m.GetSource() {
			d.Source = source
		}
	}
	states := make([]bucketring.LimitState, len(m.GetLimits()))
	for i, s := range m.GetLimits() {
		states[i] = bucketring.LimitState{
			Name: s.GetName(), Allowed: s.GetAllowed(), Limit: s.GetLimit(), Remaining: s.GetRemaining(), Used: s.GetUsed(),
			Precision: small(s.GetPrecision()), Kind: kindNamed(s.GetKind()), Unit: s.GetUnit(),
			ResetAt: s.GetResetAt(), ResetAfter: time.Duration(s.GetResetAfterNs()),
			RetryAfter: time.Duration(s.GetRetryAfterNs()), NextAfter: time.Duration(s.GetNextAfterNs()),
		}
		if s.GetName() == m.GetPolicy() {
			d.LimitState = states[i]
		}
	}
	if len(states) != 1 { // none is a list too: that of a caller without limits
		d.Limits = states
	}
	return d
}

// kindNamed is the kind with a name; that of a limit whose name older nodes do not
// send is KindRate.
func kindNamed(name string) bucketring.Kind {
	for kind := bucketring.KindRate; kind <= bucketring.KindCap; kind++ {
		if kind.String() == name {
			return kind
		}
	}
	return bucketring.KindRate
}

func fromResponse(m *limitpb.Response) *bucketring.Response {
	if m == nil {
		return nil
	}
	r := &bucketring.Response{
		Status: int(m.GetStatus()), Body: m.GetBody(), CloseCode: int(m.GetCloseCode()), CloseReason: m.GetCloseReason(),
		Violated: m.GetViolated(),
	}
	for _, h := range m.GetHeaders() {
		r.Headers = append(r.Headers, bucketring.Header{Name: h.GetName(), Value: h.GetValue()})
	}
	return r
}
