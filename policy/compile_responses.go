// compile_responses.go makes overrides, refusals, bodies and the usage page.

package policy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
)

// overrides makes the overrides of each limit, and sees that custom amounts come
// from somewhere.
func (c *compiler) overrides() {
	lists := make([][]override, len(c.p.limits))
	named := make([]bool, len(c.p.limits))
	for i := range c.doc.Overrides {
		doc := &c.doc.Overrides[i]
		o := c.match(doc)
		for _, e := range doc.Limits {
			at, ok := c.index[e.Key.Value]
			switch {
			case !ok && !c.bad[e.Key.Node] && sound(e.Key.Node):
				c.fail(e.Key.Node, "override names the unknown limit %s%s", word(e.Key.Value), near(e.Key.Value, c.limitNames()))
			case ok && e.Value.set():
				named[at] = true
				o.value = c.value(e.Value, at, c.bases[at])
				lists[at] = append(lists[at], o)
			}
		}
	}
	for i, list := range lists {
		l := &c.p.limits[i]
		if len(list) > 0 {
			l.overrides = newOverrides(list)
		}
		if c.custom[i] != nil && !named[i] {
			c.fail(c.custom[i], "%s has custom amounts, and no override gives it one: add an override with limits: {%s: AMOUNT}", c.named(l), l.name)
		}
	}
}

// limitNames lists the limits, if their number lets one look for a similar name.
func (c *compiler) limitNames() []string { return slices.Sorted(maps.Keys(c.index)) }

// match makes an override without its value.
func (c *compiler) match(doc *overrideDoc) (o override) {
	for _, e := range doc.Match {
		if !e.Value.set() {
			continue
		}
		slot := c.slot(e.Key)
		if !strings.Contains(e.Value.Value, "*") {
			o.exact = append(o.exact, pair{slot, e.Value.Value})
			continue
		}
		g, err := compileValueGlob(e.Value.Value)
		if err != nil {
			c.fail(e.Value.Node, "match of an override: %v", err)
		}
		o.globs = append(o.globs, globPair{slot, g})
	}
	if doc.Until.set() {
		o.until, _ = time.Parse(time.RFC3339, doc.Until.Value)
	}
	return o
}

// problemBody is the name of the body that is built in.
const problemBody = "problem"

// allBodies compiles every body, also those that nothing uses yet.
func (c *compiler) allBodies() {
	for _, e := range c.doc.Responses.Bodies {
		if e.Key.Value == problemBody {
			c.fail(e.Key.Node, "body %q is built in: choose another name", problemBody)
		}
		if e.Value.Node != nil {
			c.bodies[e.Key.Value] = c.template(e.Value, nil)
		}
	}
}

func (c *compiler) template(body raw, limits map[string]int) *template {
	t, wrong := compileTemplate(body.Node, limits)
	for _, w := range wrong {
		c.add(w.line, w.column, w.text)
	}
	return t
}

// body finds a body by name; nil is the built-in one.
func (c *compiler) body(name text) *template {
	if !name.set() || name.Value == problemBody || c.bad[name.Node] {
		return nil
	}
	t, ok := c.bodies[name.Value]
	if !ok {
		known := append(slices.Sorted(maps.Keys(c.bodies)), problemBody)
		c.fail(name.Node, "there is no body %s in responses.bodies%s", word(name.Value), near(name.Value, known))
	}
	return t
}

// first returns the first text that is there.
func first(all ...text) text {
	for _, t := range all {
		if t.set() {
			return t
		}
	}
	return text{}
}

// deny merges a limit's own deny over that of all.
func (c *compiler) deny(own *denyDoc, l *limit) deny {
	all := &c.doc.Responses.Deny
	status := c.number(first(own.Status, all.Status), 429)
	if l.kind == bucketring.KindCap {
		status = c.number(own.Status, 413)
	}
	out := deny{
		status:      status,
		body:        c.body(own.Body),
		closeCode:   c.number(own.CloseCode, 0),
		closeReason: own.CloseReason.or(""),
	}
	if !own.Body.set() {
		out.body = c.commonBody()
	}
	if own.CloseReason.set() && !own.CloseCode.set() {
		c.fail(own.CloseReason.Node, `deny of %s has a close_reason and needs the key "close_code"`, c.named(l))
	}
	c.retry(own, l, &out)
	return out
}

// commonBody is the body of refusals that have none of their own. allBodies has
// compiled it, and headerFields complains if it is unknown.
func (c *compiler) commonBody() *template { return c.bodies[c.doc.Responses.Deny.Body.or(problemBody)] }

// retry fills in what a refusal says about waiting.
func (c *compiler) retry(own *denyDoc, l *limit, out *deny) {
	all := &c.doc.Responses.Deny
	timed := l.kind == bucketring.KindRate || l.kind == bucketring.KindConcurrency
	out.retryHeader = timed && first(own.RetryAfter, all.RetryAfter).or("header") != "none"
	out.full = l.kind == bucketring.KindRate && first(own.RetryBasis, all.RetryBasis).or("next") == "full"
	switch after := own.RetryAfter.or(""); {
	case after == "estimate" && l.kind != bucketring.KindConcurrency:
		c.fail(own.RetryAfter.Node, "deny of %s: retry_after estimate is for concurrency limits, this is a %s limit", c.named(l), l.kind)
	case after == "" && all.RetryAfter.or("") == "estimate" && l.kind == bucketring.KindRate && !c.bad[all.RetryAfter.Node]:
		c.fail(all.RetryAfter.Node, "retry_after estimate is for concurrency limits: give it to those alone, in their own deny")
	}
	if own.RetryBasis.or("") == "full" && l.kind != bucketring.KindRate {
		c.fail(own.RetryBasis.Node, "deny of %s: retry_after_basis full is for rate limits, this is a %s limit", c.named(l), l.kind)
	}
}

// headerFields makes what headers look like.
func (c *compiler) headerFields() {
	h := &c.doc.Responses.Headers
	c.p.fields = fields{
		style:  style(choice(h.Style, "x-ratelimit", "ietf", "both", "none")),
		delta:  h.Reset.or("") == "delta",
		onDeny: h.Send.or("") == "on_deny",
	}
	c.body(c.doc.Responses.Deny.Body)
}

// usage makes the page on which callers see what they used.
func (c *compiler) usage() {
	doc := c.doc.Responses.Usage
	if doc == nil {
		return
	}
	u := &usage{key: c.slotsOf(doc.Key, "key of usage")}
	u.method, u.path, _ = strings.Cut(doc.Path.or(""), " ")
	if doc.Body.Node != nil {
		u.body = c.template(doc.Body, c.index)
		u.limits = slices.Clone(u.body.limitRefs)
		slices.Sort(u.limits)
		u.limits = slices.Compact(u.limits)
	}
	for _, i := range u.limits {
		c.checkUsage(doc, u, &c.p.limits[i])
	}
	c.p.usage = u
}

// checkUsage checks that a limit can be shown to whoever has the page's key.
func (c *compiler) checkUsage(doc *usageDoc, u *usage, l *limit) {
	at := mention(doc.Body.Node, "${"+l.name+".")
	if l.scope == scopeConnection {
		c.fail(at, "usage names %s, which counts within one connection: no other call can see it", c.named(l))
	}
	for _, slot := range l.key {
		if !slices.Contains(u.key, slot) {
			c.fail(at, "usage names %s, whose key has %s: add it to the key of usage", c.named(l), word(c.p.names[slot]))
		}
	}
}

// mention returns the first text of a body that contains a part, or the body.
func mention(body *yaml.Node, part string) *yaml.Node {
	found := body
	var walk func(n *yaml.Node) bool
	walk = func(n *yaml.Node) bool {
		if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, part) {
			found = n
			return true
		}
		return slices.ContainsFunc(n.Content, walk)
	}
	walk(body)
	return found
}
