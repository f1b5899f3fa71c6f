// body.go writes the bodies of answers: the policy's own, the built-in problem,
// and the page on which a caller sees what it has used.

package policy

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/ratefield"
)

// variablesOf gives a template the values of one answer.
type variablesOf struct {
	c         *Call
	about     *item // nil on a refusal by an access rule
	retry     int64
	requestID func() string
}

// append appends a variable as JSON.
func (v *variablesOf) append(b []byte, p *piece) []byte {
	it := v.about
	if p.limit >= 0 {
		if it = v.c.itemOf(p.limit); it == nil {
			return v.c.appendAbsent(b, p)
		}
	}
	switch p.name {
	case "request_id":
		return append(b, quote(v.id())...)
	case "policy":
		return append(b, quote(v.name())...)
	}
	if it == nil {
		return append(b, "null"...)
	}
	s := v.c.state(it)
	switch p.name {
	case "unit":
		return append(b, quote(it.limit.unit)...)
	case "cost":
		return bucketring.AppendAmount(b, it.cost, it.limit.precision)
	case "used":
		return bucketring.AppendAmount(b, s.Used, it.limit.precision)
	case "limit":
		return appendUnlessUnlimited(b, it, s.Limit, p.inside)
	case "remaining":
		return appendUnlessUnlimited(b, it, s.Remaining, p.inside)
	case "retry_after":
		return appendUnlessZero(b, v.retry)
	case "reset_unix":
		return appendUnlessZero(b, s.ResetAt)
	case "reset_delta":
		if s.ResetAt == 0 {
			return append(b, "null"...)
		}
		return strconv.AppendInt(b, ratefield.Seconds(s.ResetAfter), 10)
	default: // reset_rfc3339
		if s.ResetAt == 0 {
			return append(b, "null"...)
		}
		return append(b, quote(time.Unix(s.ResetAt, 0).UTC().Format(time.RFC3339))...)
	}
}

// appendAbsent appends a variable of a limit that has no part in the call.
func (c *Call) appendAbsent(b []byte, p *piece) []byte {
	l := &c.policy.limits[p.limit]
	if p.inside && (p.name == "limit" || p.name == "remaining") && l.valueFor(&c.caller).kind == valueUnlimited {
		return append(b, `"unlimited"`...)
	}
	return append(b, "null"...)
}

// appendUnlessUnlimited appends an amount, in a text as a word if there is no end.
func appendUnlessUnlimited(b []byte, it *item, amount int64, inText bool) []byte {
	switch {
	case it.value.kind == valueUnlimited && inText:
		return append(b, `"unlimited"`...)
	case it.value.kind == valueUnlimited:
		return append(b, "null"...)
	}
	return bucketring.AppendAmount(b, amount, it.limit.precision)
}

func appendUnlessZero(b []byte, n int64) []byte {
	if n == 0 {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, n, 10)
}

func (v *variablesOf) name() string {
	if v.about == nil {
		return v.c.refused.name
	}
	return v.about.limit.name
}

func (v *variablesOf) id() string {
	if id, ok := v.c.sent["request_id"]; ok {
		return id
	}
	return v.requestID()
}

// itemOf returns the call's part of a limit, nil if it has none.
func (c *Call) itemOf(index int) *item {
	for i := range c.items {
		if c.items[i].limit == &c.policy.limits[index] {
			return &c.items[i]
		}
	}
	return nil
}

// usagePage renders the policy's page for a caller that has the attributes of its
// key; else nil.
func (c *Call) usagePage(requestID func() string) *bucketring.Response {
	u := c.policy.usage
	if u == nil || !c.covers(u.key) {
		return nil
	}
	v := variablesOf{c: c, requestID: requestID}
	return &bucketring.Response{
		Status:  http.StatusOK,
		Headers: []bucketring.Header{{Name: "Content-Type", Value: "application/json"}},
		Body:    u.body.render(nil, v.append),
	}
}

// UsagePath returns the method and path at which the policy shows usage, empty if
// it does not.
func (p *Policy) UsagePath() (method, path string) {
	if p.usage == nil {
		return "", ""
	}
	return p.usage.method, p.usage.path
}

// The registered types of problem (RFC 9457).
const (
	quotaExceeded   = "https://iana.org/assignments/http-problem-types#quota-exceeded"
	reducedCapacity = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
)

// problem writes the built-in body of a denial.
func (c *Call) problem(r *bucketring.Response, about *item, retry int64) {
	switch {
	case c.unavailable(about):
		r.Status = http.StatusServiceUnavailable
		c.setProblem(r, reducedCapacity, "Temporary reduced capacity",
			"Limit "+about.limit.name+" cannot be checked at the moment; try again in 1 second.")
	case about.limit.kind == bucketring.KindCap:
		c.setProblem(r, "about:blank", http.StatusText(r.Status), c.sentence(about, 0))
	default:
		c.setProblem(r, quotaExceeded, "Rate limit exceeded", c.sentence(about, retry))
	}
}

// sentence says what the limit allows and what to do.
func (c *Call) sentence(it *item, retry int64) string {
	amount := func(n int64) string { return string(bucketring.AppendAmount(nil, n, it.limit.precision)) }
	s := c.state(it)
	allows := fmt.Sprintf("Limit %s allows %s %s", it.limit.name, amount(s.Limit), it.limit.unit)
	switch it.limit.kind {
	case bucketring.KindCap:
		return fmt.Sprintf("%s in one call; this one has %s.", allows, amount(it.cost))
	case bucketring.KindConcurrency:
		allows += " at a time"
	case bucketring.KindLevel:
		return fmt.Sprintf("%s in all, of which %s are used; waiting does not help.", allows, amount(s.Used))
	default:
		allows += " per " + perText(it.value.limit.Per)
	}
	switch {
	case s.RetryAfter == bucketring.Never:
		return allows + "; this call can never fit."
	case retry == 0:
		return allows + "; try again later."
	case retry == 1:
		return allows + "; try again in 1 second."
	}
	return fmt.Sprintf("%s; try again in %d seconds.", allows, retry)
}

// perText names a window in words.
func perText(per time.Duration) string {
	for _, w := range [...]struct {
		per  time.Duration
		name string
	}{
		{bucketring.Year, "year"}, {bucketring.Month, "month"}, {7 * 24 * time.Hour, "week"}, {24 * time.Hour, "day"},
		{time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"},
	} {
		switch {
		case per == w.per:
			return w.name
		case per%w.per == 0 && per/w.per > 1:
			return fmt.Sprintf("%d %ss", per/w.per, w.name)
		}
	}
	return per.String()
}

// setProblem writes a problem document as the answer's body.
func (c *Call) setProblem(r *bucketring.Response, kind, title, detail string) {
	var b strings.Builder
	fmt.Fprintf(&b, `{"type":%s,"title":%s,"status":%d,"detail":%s`, quote(kind), quote(title), r.Status, quote(detail))
	for i, name := range r.Violated {
		b.WriteString([]string{`,"violated-policies":[`, `,`}[min(i, 1)])
		b.WriteString(quote(name))
	}
	if len(r.Violated) > 0 {
		b.WriteByte(']')
	}
	if id, ok := c.sent["request_id"]; ok {
		b.WriteString(`,"instance":` + quote(id))
	}
	b.WriteByte('}')
	r.Headers = append(r.Headers, bucketring.Header{Name: "Content-Type", Value: "application/problem+json"})
	r.Body = []byte(b.String())
}
