// refusal.go puts denials into words, for doors that have no policy to do it.

package client

import (
	"fmt"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
)

// A Refusal is what to tell the caller of a call that was denied. It says nothing of
// keys and attributes.
type Refusal struct {
	// Detail is one sentence: which limit, and what to do.
	Detail string
	// Violated are the names of the limits that deny, in the call's order, or that of
	// the access rule.
	Violated []string
	// RetryAfter is the time until the same call would be admitted if nothing else
	// came; bucketring.Never if waiting cannot help.
	RetryAfter time.Duration
	// Unavailable says that the call is refused only because nobody could say.
	Unavailable bool
}

// RefusalOf describes a denial. limits are those that came with the call, nil for a
// policy's. What the policy itself says is in d.Response.
func RefusalOf(limits []bucketring.Limit, d *bucketring.Decision) Refusal {
	r := Refusal{RetryAfter: d.RetryAfter, Unavailable: d.Source == bucketring.SourceFallbackClosed}
	for _, s := range d.All() {
		if !s.Allowed {
			r.Violated = append(r.Violated, s.Name)
		}
	}
	if d.Response != nil {
		r.Violated = d.Response.Violated
	}
	rule, ofRule := ruleOf(d)
	switch {
	case r.Unavailable:
		r.RetryAfter = time.Second
		r.Detail = fmt.Sprintf("Limit %s cannot be checked at the moment; try again in 1 second.", d.Name)
	case ofRule:
		r.RetryAfter = bucketring.Never
		r.Detail = fmt.Sprintf("Access rule%s refuses this call.", rule)
	default:
		r.Detail = allows(limits, &d.LimitState) + "; " + whatToDo(d.RetryAfter)
	}
	return r
}

// ruleOf returns the name of the access rule that denies a call, behind a blank. No limit
// was looked at then; over the wire comes neither the name nor that it is for ever.
func ruleOf(d *bucketring.Decision) (name string, ok bool) {
	if d.Allowed || d.Limits == nil || len(d.Limits) > 0 || d.Response == nil {
		return "", false
	}
	if d.Name != "" {
		name = " " + d.Name
	}
	return name, true
}

// allows says what a limit allows, as far as is known: its window is not in a state.
func allows(limits []bucketring.Limit, s *bucketring.LimitState) string {
	amount, window := s.Limit, ""
	for i := range limits {
		if l := &limits[i]; l.Name == s.Name && l.Kind == bucketring.KindRate {
			amount, window = l.Amount, " per "+perText(l.Per)
		}
	}
	if s.Kind == bucketring.KindConcurrency {
		window = " at a time"
	}
	text := strings.TrimSpace(string(bucketring.AppendAmount(nil, amount, s.Precision)) + " " + s.Unit)
	return fmt.Sprintf("Limit %s allows %s%s", s.Name, text, window)
}

func whatToDo(retry time.Duration) string {
	seconds := (max(retry, 1)-1)/time.Second + 1 // rounded up
	switch {
	case retry == bucketring.Never:
		return "waiting does not help."
	case seconds == 1:
		return "try again in 1 second."
	}
	return fmt.Sprintf("try again in %d seconds.", seconds)
}

// windows are the times that have a name, longest first.
var windows = []struct {
	per  time.Duration
	name string
}{
	{bucketring.Year, "year"}, {bucketring.Month, "month"}, {7 * 24 * time.Hour, "week"},
	{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"},
}

func perText(per time.Duration) string {
	for _, w := range windows {
		if per == w.per {
			return w.name
		}
		if per > 0 && per%w.per == 0 {
			return fmt.Sprintf("%d %ss", per/w.per, w.name)
		}
	}
	return per.String()
}
