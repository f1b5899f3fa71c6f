// connection.go has the steps about connections, whose limits are counted in the
// process that holds them.

package policytest

import (
	"context"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

// connect opens a connection.
type connect struct {
	caller
	as string
}

func (r *reader) connect(n *yaml.Node, known *names) *connect {
	f := r.fields(n, "connection", append([]string{"as"}, callerKeys...)...)
	r.need(n, "connection", f, "as")
	c := &connect{caller: r.caller(f)}
	if f["as"] != nil {
		c.as = r.newName(f["as"], &known.connections)
	}
	return c
}

// A connection is one that is open.
type connection struct {
	policy.Connection
	id    string
	since time.Time
}

func (c *connect) do(r *run, _ *step) *outcome {
	namespace, attributes, err := c.identified(r)
	opened := &connection{id: strconv.Itoa(r.opened), since: r.now}
	if err == nil {
		var p *policy.Policy
		if p, err = r.node.Policies().Policy(namespace); err == nil {
			opened.Connection, err = p.Connection(r.node.Policies(), attributes, r.now)
		}
	}
	r.opened++
	r.open[c.as] = opened
	out := outcomeOf(bucketring.Decision{Allowed: true}, err)
	out.about = word(c.as)
	return out
}

// An allow asks whether a connection may carry some messages.
type allow struct {
	of              string
	messages, bytes int64
}

func (r *reader) allow(n *yaml.Node, s *step, known *names) *allow {
	f := r.fields(n, "allow", "of", "messages", "bytes", "times")
	r.need(n, "allow", f, "of")
	s.times = r.times(f["times"])
	const most = 1 << 50
	a := &allow{of: r.oldName(f["of"], "of", known.connections), messages: 1}
	if f["messages"] != nil {
		a.messages = r.number(f["messages"], "messages", 0, most)
	}
	a.bytes = int64(r.amount(f["bytes"], "bytes").units)
	if a.bytes < 0 {
		r.fail(f["bytes"], "bytes must not be negative")
	}
	return a
}

func (a *allow) do(r *run, _ *step) *outcome {
	c := r.open[a.of]
	out := &outcome{about: word(a.of), allowed: true, status: 200}
	if c == nil {
		return nil // opening it failed
	}
	if c.MaxAge > 0 && r.now.Sub(c.since) >= c.MaxAge {
		out.allowed, out.closeCode, out.closeText = false, c.AgeCode, c.AgeReason
		return out
	}
	// All are asked before one is charged, so that a refusal charges none.
	for _, verb := range []bucketring.Verb{bucketring.VerbPeek, bucketring.VerbTake} {
		for i := range c.Limits {
			l := &c.Limits[i]
			d, err := r.local.Take(context.Background(), a.charge(verb, c, l))
			if err == nil && d.Allowed {
				continue
			}
			out.err, out.allowed, out.closeCode, out.closeText = err, false, l.CloseCode, l.CloseReason
			return out
		}
	}
	return out
}

// charge is what the messages cost one limit.
func (a *allow) charge(verb bucketring.Verb, c *connection, l *policy.ConnectionLimit) bucketring.Request {
	cost := a.messages
	if l.Unit == "bytes" {
		cost = a.bytes
	}
	cost, err := bucketring.Scale(cost, 0, l.Limit.Precision)
	if err != nil {
		cost = bucketring.Unlimited // more than any limit has
	}
	return bucketring.Request{
		Verb: verb, Key: c.id + " " + l.Limit.Name, Limits: []bucketring.Limit{l.Limit}, Cost: cost,
	}
}
