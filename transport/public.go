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

// A decided is a decision with all that it points to, if it is about one limit: so it takes
// one piece of memory.
type decided struct {
	decision limitpb.Decision
	state    limitpb.LimitState
	states   [1]*limitpb.LimitState
	retry    int64
}

func toDecision(d *bucketring.Decision) *limitpb.Decision {
	a := new(decided)
	m := &a.decision
	m.Allowed, m.Limit, m.Remaining, m.Precision, m.ResetAt = d.Allowed, d.Limit, d.Remaining, uint32(d.Precision), d.ResetAt
	m.ResetAfter, m.RetryAfter, m.Policy = d.ResetAfter.Seconds(), retrySeconds(&a.retry, d.RetryAfter), d.Name
	m.Leases, m.Reservation = d.Leases, d.Reservation
	m.Source, m.Degraded, m.Node, m.Owner, m.Response = d.Source.String(), d.Degraded, d.Node, d.Owner, toResponse(d.Response)
	if d.Limits == nil {
		toLimitState(&a.state, m.RetryAfter, &d.LimitState)
		a.states[0] = &a.state
		m.Limits = a.states[:]
		return m
	}
	m.Limits = make([]*limitpb.LimitState, len(d.Limits))
	for i := range d.Limits {
		m.Limits[i] = new(limitpb.LimitState)
		toLimitState(m.Limits[i], retrySeconds(new(int64), d.Limits[i].RetryAfter), &d.Limits[i])
	}
	return m
}

func toLimitState(m *limitpb.LimitState, retry *int64, s *bucketring.LimitState) {
	m.Name, m.Allowed, m.Limit, m.Remaining, m.Used = s.Name, s.Allowed, s.Limit, s.Remaining, s.Used
	m.Precision, m.Kind, m.Unit = uint32(s.Precision), s.Kind.String(), s.Unit
	m.ResetAt, m.RetryAfter = s.ResetAt, retry
	m.ResetAfterNs, m.RetryAfterNs, m.NextAfterNs = int64(s.ResetAfter), int64(s.RetryAfter), int64(s.NextAfter)
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

// retrySeconds writes seconds, rounded up, and returns where; nil means never.
func retrySeconds(to *int64, d time.Duration) *int64 {
	if d == bucketring.Never {
		return nil
	}
	*to = int64((d + time.Second - 1) / time.Second)
	return to
}

func fromDecision(m *limitpb.Decision) bucketring.Decision {
	d := bucketring.Decision{
		Allowed: m.GetAllowed(), Degraded: m.GetDegraded(), Node: m.GetNode(), Owner: m.GetOwner(),
		Leases: m.GetLeases(), Reservation: m.GetReservation(), Response: fromResponse(m.GetResponse()),
	}
	d.Source = sourceNamed(m.GetSource())
	states := make([]bucketring.LimitState, len(m.GetLimits()))
	for i, s := range m.GetLimits() {
		states[i] = fromLimitState(s)
	}
	describeBy(&d, m.GetPolicy(), states)
	return d
}

func fromLimitState(s *limitpb.LimitState) bucketring.LimitState {
	return bucketring.LimitState{
		Name: s.GetName(), Allowed: s.GetAllowed(), Limit: s.GetLimit(), Remaining: s.GetRemaining(), Used: s.GetUsed(),
		Precision: small(s.GetPrecision()), Kind: kindNamed(s.GetKind()), Unit: s.GetUnit(),
		ResetAt: s.GetResetAt(), ResetAfter: time.Duration(s.GetResetAfterNs()),
		RetryAfter: time.Duration(s.GetRetryAfterNs()), NextAfter: time.Duration(s.GetNextAfterNs()),
	}
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
