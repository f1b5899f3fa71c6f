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
		f.Window = it.limit.window(s.ResetAt)
		if l := it.value.limit; l.Burst > 0 && l.Burst != l.Amount {
			f.Limit, f.Burst = l.Amount, l.Burst
		}
	}
	return f
}

// window returns the length of the window that ends at a Unix second.
func (l *limit) window(end int64) time.Duration {
	if l.align == bucketring.AlignEpoch || end == 0 {
		return l.per.Truncate(time.Second) // of nothing used, the longest
	}
	zone := l.zone
	if zone == nil {
		zone = time.UTC
	}
	ends := time.Unix(end, 0).In(zone)
	begins := ends.Add(-l.per)
	switch l.per {
	case 24 * time.Hour, 7 * 24 * time.Hour:
		begins = ends.AddDate(0, 0, -int(l.per/(24*time.Hour)))
	case bucketring.Month:
		begins = ends.AddDate(0, -1, 0)
	case bucketring.Year:
		begins = ends.AddDate(-1, 0, 0)
	}
	if l.align == bucketring.AlignFirstRequest && l.per%time.Second == 0 {
		return l.per
	}
	return ends.Sub(begins)
}
