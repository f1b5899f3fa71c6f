// answer.go makes a decision of what the counters said: which limit is described,
// what is shown, and how a refusal looks.

package policy

import (
	"net/http"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/ratefield"
)

// Answer describes the call once all groups have their States. requestID is shown
// by policies that ask for it, where the call has no attribute request_id. Source,
// Node and Owner are the node's to set.
func (c *Call) Answer(requestID func() string) bucketring.Decision {
	if c.refused != nil {
		return c.refusal(requestID)
	}
	d := bucketring.Decision{Allowed: true, Limits: make([]bucketring.LimitState, 0, len(c.items))}
	for i := range c.items {
		it := &c.items[i]
		s := c.finish(it)
		if it.limit.mode == modeShadow {
			continue
		}
		d.Allowed = d.Allowed && s.Allowed
		d.Limits = append(d.Limits, *s)
	}
	if shown := c.described(d.Allowed); shown != nil {
		d.LimitState = *c.state(shown)
	}
	switch c.verb {
	case bucketring.VerbTake:
		if d.Allowed {
			d.Leases, d.Reservation = c.ids()
		}
		fallthrough
	case bucketring.VerbPeek, bucketring.VerbAdd, bucketring.VerbSet:
		d.Response = c.response(&d, requestID)
	case bucketring.VerbUsage:
		d.Response = c.usagePage(requestID)
	}
	return d
}

// state is what the counter of an item says.
func (c *Call) state(it *item) *bucketring.LimitState {
	if it.group < 0 {
		return &it.state
	}
	return &c.Groups[it.group].States[it.charge]
}

// finish completes a counter's state with what only the policy knows.
func (c *Call) finish(it *item) *bucketring.LimitState {
	s := c.state(it)
	s.Unit = it.limit.unit
	if !s.Allowed && it.limit.deny.full && s.RetryAfter != bucketring.Never {
		s.RetryAfter = max(s.RetryAfter, s.ResetAfter)
	}
	if !s.Allowed && it.limit.kind == bucketring.KindConcurrency && s.RetryAfter != bucketring.Never {
		// A slot has no reset, so the estimate stands for it.
		s.ResetAfter = time.Duration(ratefield.Wait(s.RetryAfter)) * time.Second
		s.ResetAt = ceilSeconds(c.caller.now.Add(s.ResetAfter))
	}
	return s
}

func ceilSeconds(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// denies reports whether the item refuses the call.
func (c *Call) denies(it *item) bool {
	return it.limit.mode == modeEnforce && !c.state(it).Allowed
}

// described returns the limit that the answer is about. Allowed: of those shown
// the one with the fewest further calls like this. Denied: of the violated ones
// the one that is free again last. nil if there is none.
func (c *Call) described(allowed bool) *item {
	levels := c.verb == bucketring.VerbAdd || c.verb == bucketring.VerbSet
	switch {
	case allowed && levels && len(c.items) > 0:
		return &c.items[0] // it is what the call is about, shown in headers or not
	case allowed:
		return c.mostRestrictive()
	}
	var best *item
	for i := range c.items {
		it := &c.items[i]
		if c.denies(it) && (best == nil || c.state(it).RetryAfter > c.state(best).RetryAfter) {
			best = it
		}
	}
	return best
}

// numeric reports whether the limit is a number that counts down.
func (it *item) numeric() bool {
	return it.limit.mode == modeEnforce && it.limit.kind != bucketring.KindCap && it.value.kind != valueUnlimited
}

func (c *Call) mostRestrictive() *item {
	var best *item
	for i := range c.items {
		it := &c.items[i]
		if it.numeric() && it.limit.shown && (best == nil || c.tighter(it, best)) {
			best = it
		}
	}
	return best
}

// tighter compares by further calls, then by the later reset, and leaves the rest
// to the policy's order.
func (c *Call) tighter(a, b *item) bool {
	x, y := c.state(a), c.state(b)
	if more, than := x.Remaining/a.unit(), y.Remaining/b.unit(); more != than {
		return more < than
	}
	return resetOf(x) > resetOf(y)
}

// unit is what one further call takes; one that costs nothing counts as one.
func (it *item) unit() int64 {
	if it.cost > 0 {
		return it.cost
	}
	return bucketring.One(it.limit.precision)
}

// resetOf orders limits without a reset before all that have one.
func resetOf(s *bucketring.LimitState) time.Duration {
	if s.Kind != bucketring.KindRate {
		return -1
	}
	return s.ResetAfter
}

// ids returns the leases that the take handed out, and its reservation.
func (c *Call) ids() (leases []string, reservation string) {
	for i := range c.items {
		it := &c.items[i]
		if it.group < 0 || !c.state(it).Allowed {
			continue
		}
		g := &c.Groups[it.group]
		id, at := g.Charges[it.charge].ID, g.Partition
		if g.Here {
			at |= bucketring.Anywhere
		}
		switch {
		case id == (bucketring.ID{}):
		case it.report:
			if reservation != "" {
				reservation += "." // settled together
			}
			reservation += id.Text(at)
		default:
			leases = append(leases, id.Text(at))
		}
	}
	return leases, reservation
}

// response is how the decision looks over HTTP.
func (c *Call) response(d *bucketring.Decision, requestID func() string) *bucketring.Response {
	r := &bucketring.Response{Status: 200}
	if d.Allowed {
		if !c.policy.fields.onDeny {
			r.Headers = c.rateFields(r.Headers, c.mostRestrictive(), false)
		}
		return r
	}
	about := c.described(false)
	shown := about
	if about.limit.kind == bucketring.KindCap {
		shown = c.mostRestrictive()
	}
	r.Headers = c.rateFields(r.Headers, shown, true)
	retry := c.retry(about)
	r.Headers = ratefield.AppendRetryAfter(r.Headers, retry)
	for i := range c.items {
		if c.denies(&c.items[i]) {
			r.Violated = append(r.Violated, c.items[i].limit.name)
		}
	}
	look := &about.limit.deny
	r.Status, r.CloseCode, r.CloseReason = look.status, look.closeCode, look.closeReason
	if look.body == nil || c.unavailable(about) {
		c.problem(r, about, retry)
		return r
	}
	r.Headers = append(r.Headers, bucketring.Header{Name: "Content-Type", Value: "application/json"})
	v := variablesOf{c: c, about: about, retry: retry, requestID: requestID}
	r.Body = look.body.render(nil, v.append)
	return r
}

// unavailable reports whether the item denies only because nobody could say.
func (c *Call) unavailable(it *item) bool {
	return it.group >= 0 && c.Groups[it.group].Refused
}

// retry returns the seconds of Retry-After, 0 for none: waiting cannot help, or
// the policy does not tell. It is never less than what a RateLimit field says of a
// limit that is used up.
func (c *Call) retry(about *item) int64 {
	switch {
	case c.unavailable(about):
		return 1
	case !about.limit.deny.retryHeader || c.state(about).RetryAfter == bucketring.Never:
		return 0
	}
	wait := c.state(about).RetryAfter
	if c.policy.fields.style != styleXRateLimit {
		for i := range c.items {
			it := &c.items[i]
			if s := c.state(it); it.numeric() && it.limit.shown && s.Remaining < bucketring.One(s.Precision) {
				wait = max(wait, s.NextAfter)
			}
		}
	}
	return ratefield.Wait(wait)
}

// refusal is the answer to a call that an access rule refuses.
func (c *Call) refusal(requestID func() string) bucketring.Decision {
	a := c.refused
	d := bucketring.Decision{Limits: []bucketring.LimitState{}}
	d.Name, d.RetryAfter = a.name, bucketring.Never
	r := &bucketring.Response{Status: a.deny.status, CloseCode: a.deny.closeCode, CloseReason: a.deny.closeReason, Violated: []string{a.name}}
	if a.deny.body == nil {
		c.setProblem(r, "about:blank", http.StatusText(a.deny.status), "The rule "+a.name+" refuses this call.")
	} else {
		r.Headers = []bucketring.Header{{Name: "Content-Type", Value: "application/json"}}
		v := variablesOf{c: c, requestID: requestID}
		r.Body = a.deny.body.render(nil, v.append)
	}
	d.Response = r
	return d
}
