// convert.go translates between messages of links and the words of the root
// package; item.go does it for calls.

package transport

import (
	"math"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

func toDef(no uint32, l *bucketring.Limit) *peerpb.Def {
	return &peerpb.Def{
		No: no, Limit: l.Name, Id: l.ID, Kind: uint32(l.Kind),
		Algorithm: uint32(l.Algorithm), Align: uint32(l.Align), Zone: l.Zone, Precision: uint32(l.Precision),
		Amount: l.Amount, Burst: l.Burst, PerNs: int64(l.Per), TtlNs: int64(l.TTL), MaxNs: int64(l.MaxAge),
		Unavailable: uint32(l.Unavailable), Accuracy: uint32(l.Accuracy), Slack: uint32(l.Slack),
		Durable: l.Durable,
	}
}

// fromDef makes a limit that is checked where it is used: what does not fit the
// small types turns into a value that Validate refuses.
func fromDef(d *peerpb.Def) bucketring.Limit {
	return bucketring.Limit{
		Name: d.GetLimit(), ID: d.GetId(), Kind: bucketring.Kind(small(d.GetKind())),
		Algorithm: bucketring.Algorithm(small(d.GetAlgorithm())), Align: bucketring.Align(small(d.GetAlign())),
		Zone: d.GetZone(), Precision: small(d.GetPrecision()),
		Amount: d.GetAmount(), Burst: d.GetBurst(), Per: time.Duration(d.GetPerNs()),
		TTL: time.Duration(d.GetTtlNs()), MaxAge: time.Duration(d.GetMaxNs()),
		Unavailable: bucketring.Unavailable(small(d.GetUnavailable())),
		Accuracy:    bucketring.Accuracy(small(d.GetAccuracy())),
		Slack:       uint16(min(d.GetSlack(), math.MaxUint16)),
		Durable:     d.GetDurable(),
	}
}

func small(n uint32) uint8 { return uint8(min(n, 255)) }

// toVerdict answers item with the decision on req, which was made of it.
func toVerdict(item *peerpb.Item, req *bucketring.Request, d *bucketring.Decision) *peerpb.Verdict {
	one := new(verdictOfOne)
	v := &one.verdict
	v.Id, v.Code, v.Source, v.Degraded = item.GetId(), peerpb.Verdict_ALLOW, uint32(d.Source), d.Degraded
	if !d.Allowed {
		v.Code = peerpb.Verdict_DENY
	}
	if byID(req.Verb) {
		tellReached(v, item, req, d)
		return v
	}
	v.Values = d.Values
	if d.Limits == nil {
		fillState(&one.state, &d.LimitState)
		one.states[0] = &one.state
		v.Limits = one.states[:]
		return v
	}
	all := d.Limits
	v.Limits = make([]*peerpb.LimitState, len(all))
	for i := range all {
		v.Limits[i] = toState(&all[i])
		if all[i] == d.LimitState {
			v.Most = uint32(i)
		}
	}
	return v
}

// A verdictOfOne is a verdict about one limit with all that it points to: so it takes one
// piece of memory.
type verdictOfOne struct {
	verdict peerpb.Verdict
	state   peerpb.LimitState
	states  [1]*peerpb.LimitState
}

func toState(s *bucketring.LimitState) *peerpb.LimitState {
	m := new(peerpb.LimitState)
	fillState(m, s)
	return m
}

func fillState(m *peerpb.LimitState, s *bucketring.LimitState) {
	m.Remaining, m.ResetNs, m.RetryNs, m.Denied = s.Remaining, int64(s.ResetAfter), int64(s.RetryAfter), !s.Allowed
	m.Used, m.Window, m.Repeated, m.NextNs = s.Used, s.Window, s.Repeated, int64(s.NextAfter)
}

// tellReached names the ids that the decision has reached and, of settlements,
// the limits, of which the asker knows nothing. There is at most one for each id:
// the asker has left room for that in the frame.
func tellReached(v *peerpb.Verdict, item *peerpb.Item, req *bucketring.Request, d *bucketring.Decision) {
	reached := map[string]bool{d.Reservation: true}
	for _, id := range d.Leases {
		reached[id] = true
	}
	for i, text := range req.IDs {
		if reached[text] {
			v.Ids = append(v.Ids, item.GetIds()[i])
		}
	}
	if req.Verb != bucketring.VerbSettle || d.Limits == nil && d.LimitState == (bucketring.LimitState{}) {
		return
	}
	all := d.All()
	for i := range min(len(all), len(req.IDs)) {
		s := toState(&all[i])
		s.Name = strings.ToValidUTF8(all[i].Name[:min(len(all[i].Name), maxTold)], "")
		s.Limit, s.Kind, s.Precision = all[i].Limit, uint32(all[i].Kind), uint32(all[i].Precision)
		v.Limits = append(v.Limits, s)
	}
}

// fromVerdict makes the decision on req. ok is false if the verdict does not
// belong to it.
func fromVerdict(v *peerpb.Verdict, req *bucketring.Request) (d bucketring.Decision, ok bool) {
	d.Allowed = v.GetCode() == peerpb.Verdict_ALLOW
	d.Source, d.Degraded = bucketring.Source(small(v.GetSource())), v.GetDegraded()
	if byID(req.Verb) {
		ok = hearReached(&d, v, req)
		return d, ok
	}
	d.Values = v.GetValues()
	if len(v.GetLimits()) != charges(req) || int(v.GetMost()) >= charges(req) {
		return d, false
	}
	if len(v.GetLimits()) == 1 {
		d.LimitState = stateOf(v.GetLimits()[0], req, 0)
		return d, true
	}
	d.Limits = make([]bucketring.LimitState, len(v.GetLimits()))
	for i, s := range v.GetLimits() {
		d.Limits[i] = stateOf(s, req, i)
	}
	if len(d.Limits) > 0 {
		d.LimitState = d.Limits[v.GetMost()]
	}
	return d, true
}

// stateOf reads the state of the i-th limit of req.
func stateOf(s *peerpb.LimitState, req *bucketring.Request, i int) bucketring.LimitState {
	l, state := charge(req, i).Limit, fromState(s)
	state.Name, state.Limit, state.Kind, state.Precision = l.Name, l.Capacity(), l.Kind, l.Precision
	return state
}

func fromState(s *peerpb.LimitState) bucketring.LimitState {
	return bucketring.LimitState{
		Allowed: !s.GetDenied(), Remaining: s.GetRemaining(), Used: s.GetUsed(), Window: s.GetWindow(), Repeated: s.GetRepeated(),
		ResetAfter: time.Duration(s.GetResetNs()), RetryAfter: time.Duration(s.GetRetryNs()),
		NextAfter: time.Duration(s.GetNextNs()),
	}
}

// hearReached notes which ids of req the verdict names, in their order, and the
// limits that come with them. It returns false if there are ids of others.
func hearReached(d *bucketring.Decision, v *peerpb.Verdict, req *bucketring.Request) bool {
	left := v.GetIds()
	for _, text := range req.IDs {
		if id, _, err := bucketring.ParseID(text); err == nil && len(left) > 0 && string(id[:]) == string(left[0]) {
			d.Leases = append(d.Leases, text)
			left = left[1:]
		}
	}
	if req.Verb == bucketring.VerbSettle && len(d.Leases) > 0 {
		d.Reservation = d.Leases[0]
	}
	d.Limits = make([]bucketring.LimitState, len(v.GetLimits()))
	for i, s := range v.GetLimits() {
		d.Limits[i] = fromState(s)
		d.Limits[i].Name, d.Limits[i].Limit = s.GetName(), s.GetLimit()
		d.Limits[i].Kind, d.Limits[i].Precision = bucketring.Kind(small(s.GetKind())), small(s.GetPrecision())
	}
	if len(d.Limits) > 0 {
		d.LimitState = d.Limits[0]
	}
	return len(left) == 0
}
