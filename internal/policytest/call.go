// call.go has the steps that ask about a caller: take, peek, refund, level, usage
// and count.

package policytest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

// A call is a request to the limiter, as a door would make it.
type call struct {
	caller
	verb    bucketring.Verb
	cost    amount
	token   string
	version int64
}

// A caller is who asks, and for what.
type caller struct {
	namespace    string // empty for that of the present policy
	method, path string
	headers      http.Header
	peer         netip.Addr
	length       int64 // of the request's body; -1 if unknown
	attributes   map[string]string
}

var callerKeys = []string{"namespace", "method", "path", "headers", "peer", "content_length", "attributes"}

// call reads a take, peek, refund, level or usage.
func (r *reader) call(n *yaml.Node, name string) *call {
	c := &call{cost: amount{units: 1}}
	own := []string{"cost", "token"}
	switch name {
	case "level":
		own = []string{"add", "set", "version"}
	case "usage":
		own = nil
	}
	f := r.fields(n, name, append(own, callerKeys...)...)
	c.caller = r.caller(f)
	c.token = r.text(f["token"], "token")
	if f["cost"] != nil {
		c.cost = r.amount(f["cost"], "cost")
	}
	switch name {
	case "peek":
		c.verb = bucketring.VerbPeek
	case "refund":
		c.verb = bucketring.VerbRefund
	case "usage":
		c.verb, c.cost = bucketring.VerbUsage, amount{}
	case "level":
		r.level(n, f, c)
	}
	return c
}

func (r *reader) level(n *yaml.Node, f map[string]*yaml.Node, c *call) {
	add, set := f["add"], f["set"]
	if n.Kind == yaml.MappingNode && (add == nil) == (set == nil) {
		r.fail(n, "level needs either add or set")
	}
	c.verb, c.cost = bucketring.VerbAdd, r.amount(add, "add")
	if set != nil {
		c.verb, c.cost = bucketring.VerbSet, r.amount(set, "set")
		c.version = r.number(f["version"], "version", 0, math.MaxInt64)
	} else if f["version"] != nil {
		r.fail(f["version"], "version is for set: an add needs none")
	}
}

func (r *reader) caller(f map[string]*yaml.Node) caller {
	c := caller{
		namespace: r.text(f["namespace"], "namespace"),
		method:    r.text(f["method"], "method"),
		path:      r.text(f["path"], "path"),
		headers:   http.Header{},
		peer:      r.address(f["peer"], "peer"), length: -1,
		attributes: r.strings(f["attributes"], "attributes"),
	}
	for name, value := range r.strings(f["headers"], "headers") {
		c.headers.Set(name, value)
	}
	if length, err := strconv.ParseInt(c.headers.Get("Content-Length"), 10, 64); err == nil {
		c.length = length
	}
	if f["content_length"] != nil {
		c.length = r.number(f["content_length"], "content_length", 0, math.MaxInt64)
	}
	return c
}

// count is a take that is repeated, and how many are to be admitted.
type count struct {
	take           *call
	times, allowed int
}

func (r *reader) count(n *yaml.Node) *count {
	f := r.fields(n, "count", "take", "times", "allowed")
	r.need(n, "count", f, "take", "times", "allowed")
	c := &count{times: r.times(f["times"]), take: &call{}}
	c.allowed = int(r.number(f["allowed"], "allowed", 0, maxTimes))
	if f["take"] != nil {
		c.take = r.call(f["take"], "take")
	}
	if c.allowed > c.times && f["times"] != nil {
		r.fail(f["allowed"], "allowed is %d, more than times, which is %d", c.allowed, c.times)
	}
	return c
}

func (c *count) do(r *run, s *step) *outcome {
	allowed := 0
	for i := range c.times {
		out := c.take.do(r, s)
		if out.err != nil {
			r.fail(s, "count: take %d of %d%s: %v", i+1, c.times, out.about(), out.err)
			return nil
		}
		if out.allowed {
			allowed++
		}
	}
	if allowed != c.allowed {
		r.fail(s, "count%s at %s: allowed %d of %d, want %d", c.take.about(), r.moment(), allowed, c.times, c.allowed)
	}
	return nil
}

func (c *call) do(r *run, s *step) *outcome {
	namespace, attributes, err := c.identified(r)
	var d bucketring.Decision
	if err == nil {
		d, err = r.node.Take(context.Background(), bucketring.Request{
			Verb: c.verb, Namespace: namespace, Attributes: attributes,
			Cost: c.cost.units, CostNanos: c.cost.nanos, Token: c.token, Version: c.version,
		})
	}
	out := outcomeOf(d, err)
	out.about = c.about
	switch {
	case err != nil:
	case c.verb == bucketring.VerbTake:
		r.remember(s.as, &d)
	case c.verb == bucketring.VerbUsage && out.body == nil:
		out.body = usageBody(namespace, &d)
	}
	return out
}

// identified returns the caller's namespace and attributes.
func (c *caller) identified(r *run) (string, map[string]string, error) {
	namespace, set := c.namespace, r.node.Policies()
	if namespace == "" {
		namespace = r.policy.Namespace()
	}
	p, err := set.Policy(namespace)
	if err != nil {
		return "", nil, err
	}
	path, query, _ := strings.Cut(c.path, "?")
	in := policy.HTTPRequest{
		Method: c.method, Path: path, Query: query, Header: c.headers, Peer: c.peer, Length: c.length,
	}
	return namespace, p.Identify(set, &in, maps.Clone(c.attributes)), nil
}

// about tells a call from others in a failure.
func (c *caller) about() string {
	var b strings.Builder
	for _, word := range []string{c.method, c.path} {
		if word != "" {
			b.WriteString(" " + word)
		}
	}
	for _, name := range sorted(maps.Keys(c.attributes)) {
		fmt.Fprintf(&b, " %s=%s", name, c.attributes[name])
	}
	return b.String()
}

func sorted(names iter.Seq[string]) []string { return slices.Sorted(names) }

// usageBody lists what the limits say, for policies that describe no page.
func usageBody(namespace string, d *bucketring.Decision) []byte {
	type entry struct {
		Name      string          `json:"name"`
		Kind      string          `json:"kind"`
		Unit      string          `json:"unit"`
		Used      json.RawMessage `json:"used"`
		Limit     json.RawMessage `json:"limit"`
		Remaining json.RawMessage `json:"remaining"`
		ResetAt   *int64          `json:"reset_at"` // null for none
	}
	page := struct {
		Namespace string  `json:"namespace"`
		Limits    []entry `json:"limits"`
	}{namespace, []entry{}}
	for _, s := range d.All() {
		amount := func(n int64) json.RawMessage {
			if s.Limit == bucketring.Unlimited && n != s.Used {
				return json.RawMessage("null")
			}
			return bucketring.AppendAmount(nil, n, s.Precision)
		}
		var reset *int64
		if s.ResetAt > 0 {
			reset = &s.ResetAt
		}
		page.Limits = append(page.Limits, entry{
			s.Name, s.Kind.String(), s.Unit, amount(s.Used), amount(s.Limit), amount(s.Remaining), reset,
		})
	}
	body, _ := json.Marshal(page) // has nothing that cannot be written
	return body
}
