// fields.go writes the header fields of an answer.

package policy

import (
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/ratefield"
)

// rateFields appends the rate headers in the policy's style. shown is the limit
// that X-RateLimit describes, nil for none.
func (c *Call) rateFields(h []bucketring.Header, shown *item, denied bool) []bucketring.Header {
	f := &c.policy.fields
	if shown != nil && (f.style == styleXRateLimit || f.style == styleBoth) {
		s := c.fieldState(shown)
		h = ratefield.AppendXRateLimit(h, &s, f.delta)
	}
	if f.style == styleIETF || f.style == styleBoth {
		var room [8]ratefield.State
		states := room[:0]
		for i := range c.items {
			it := &c.items[i]
			if it.numeric() && (it.limit.shown || denied && c.denies(it)) {
				states = append(states, c.fieldState(it))
			}
		}
		h = ratefield.AppendIETF(h, states)
	}
	return h
}

// fieldState is what the fields tell about one limit.
func (c *Call) fieldState(it *item) ratefield.State {
	s := c.state(it)
	f := ratefield.State{
		Name: it.limit.name, Unit: it.limit.unit, Precision: it.limit.precision,
		Limit: s.Limit, Remaining: s.Remaining,
		Concurrency: it.limit.kind == bucketring.KindConcurrency,
		Next:        s.NextAfter, ResetAt: s.ResetAt, ResetAfter: s.ResetAfter,
	}
	if it.limit.kind == bucketring.KindRate {
		f.Window = it.window(s)
		if l := it.value.limit; l.Burst > 0 && l.Burst != l.Amount {
			f.Limit, f.Burst = l.Amount, l.Burst
		}
	}
	return f
}

// window returns the length of the present window.
func (it *item) window(s *bucketring.LimitState) time.Duration {
	l := it.value.limit
	whole := l.Per%time.Second == 0
	if s.Window > 0 && s.ResetAt > 0 && (l.Align == bucketring.AlignCalendar || l.Align == bucketring.AlignFirstRequest && !whole) {
		return time.Duration(s.ResetAt-(s.Window-1)) * time.Second // their ids are when they began
	}
	return l.Per.Truncate(time.Second)
}
