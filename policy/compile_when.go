// compile_when.go makes the conditions of limits and access rules, and the
// sources of attributes.

package policy

import (
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
)

// when makes a condition; the zero one if it is absent.
func (c *compiler) when(doc *whenDoc) (w when) {
	for _, method := range doc.Method {
		w.methods = append(w.methods, method.Value)
	}
	for _, path := range doc.Path {
		g, _ := compileGlob(path.Value) // the decoder complained
		w.paths = append(w.paths, g)
	}
	for _, plan := range doc.Plan {
		w.plans = append(w.plans, plan.Value)
	}
	for _, e := range doc.Attr {
		t := test{slot: c.slot(e.Key)}
		if e.Value.set() {
			t.op, t.values, _ = parseTest(e.Value.Value)
		}
		w.tests = append(w.tests, t)
	}
	return w
}

// parseTest reads present, absent, alternatives such as a|b, or =VALUE, which is
// that value whatever it looks like.
func parseTest(text string) (op testOp, values []string, wrong string) {
	literal, ok := strings.CutPrefix(text, "=")
	switch {
	case ok:
		return testIs, []string{literal}, ""
	case text == "present":
		return testPresent, nil, ""
	case text == "absent":
		return testAbsent, nil, ""
	}
	values = strings.Split(text, "|")
	if slices.Contains(values, "") {
		return testIs, values, "an alternative of " + word(text) + " is empty: write = before the whole to take it literally"
	}
	return testIs, values, ""
}

func checkTest(text string) string {
	_, _, wrong := parseTest(text)
	return wrong
}

// identify makes the sources of attributes, those first that lookups need.
func (c *compiler) identify() {
	at := map[string]int{}
	for i, e := range c.doc.Identify {
		at[e.Key.Value] = i
		c.slot(e.Key)
	}
	for i := range c.doc.Identify {
		e := &c.doc.Identify[i]
		if e.Value != nil && len(e.Value) == 0 {
			c.fail(e.Key.Node, "identify of %s is empty: give at least one source, or leave it out", word(e.Key.Value))
		}
		for j := range e.Value {
			c.checkSource(&e.Value[j], e.Key)
		}
	}
	o := ordering{c: c, at: at, state: make([]visit, len(c.doc.Identify))}
	for i := range c.doc.Identify {
		o.visit(i)
	}
}

// sourceKeys are the kinds of sources, one of which a source is.
var sourceKeys = []string{"header", "query", "path_param", "peer_address", "descriptor", "lookup"}

// checkSource checks what several keys of a source have in common.
func (c *compiler) checkSource(s *sourceDoc, attribute text) {
	if c.bad[s.Node] {
		return
	}
	given := 0
	for _, key := range sourceKeys {
		if child(s.Node, key) != nil {
			given++
		}
	}
	if given != 1 {
		c.fail(s.Node, "a source of %s has one of header, query, path_param, peer_address, descriptor and lookup, found %d of them: write a list of sources to try several",
			word(attribute.Value), given)
	}
	for _, t := range []text{s.Scheme, s.Hash} {
		if t.set() && child(s.Node, "header") == nil {
			c.fail(s.Node, "a source of %s has a scheme or hash, which only a header can have", word(attribute.Value))
			break
		}
	}
	if s.Lookup == nil || !s.Lookup.By.set() || c.bad[s.Lookup.By.Node] {
		return
	}
	by := s.Lookup.By
	_, known := c.p.slots[by.Value]
	switch {
	case by.Value == attribute.Value:
		c.fail(by.Node, "lookup of %s is by itself: name bearer or another attribute", word(by.Value))
	case !known:
		c.fail(by.Node, "lookup of %s is by %s, which is neither bearer nor another attribute of this policy%s",
			word(attribute.Value), word(by.Value), near(by.Value, c.p.names))
	}
}

type visit uint8

const (
	unseen visit = iota
	underway
	done
)

// An ordering puts attributes behind those that their lookups are by.
type ordering struct {
	c     *compiler
	at    map[string]int
	state []visit
}

func (o *ordering) visit(i int) {
	if o.state[i] != unseen {
		return
	}
	o.state[i] = underway
	e := &o.c.doc.Identify[i]
	one := identified{slot: o.c.slot(e.Key)}
	for j := range e.Value {
		s := &e.Value[j]
		if s.Lookup != nil && s.Lookup.By.Node != nil {
			by := s.Lookup.By
			next, ok := o.at[by.Value]
			switch {
			case !ok || next == i:
			case o.state[next] == underway:
				o.c.fail(by.Node, "lookups of %s and %s go in a circle: one of them must come from the request",
					word(e.Key.Value), word(by.Value))
			default:
				o.visit(next)
			}
		}
		one.sources = append(one.sources, o.c.source(s))
	}
	o.state[i] = done
	o.c.p.identify = append(o.c.p.identify, one)
}

// source makes one source; the decoder and checkSource complained about bad ones.
func (c *compiler) source(doc *sourceDoc) (s source) {
	switch {
	case doc.Header.set():
		s.kind, s.name = sourceHeader, textproto.CanonicalMIMEHeaderKey(doc.Header.Value)
		s.scheme, s.sha256 = doc.Scheme.or(""), doc.Hash.set()
	case doc.Query.set():
		s.kind, s.name = sourceQuery, doc.Query.Value
	case doc.PathParam.set():
		s.kind = sourcePathParam
		s.path, _ = compilePathParam(doc.PathParam.Value)
	case doc.Descriptor.set():
		s.kind, s.name = sourceDescriptor, doc.Descriptor.Value
	case doc.Lookup != nil:
		s.kind, s.table, s.field = sourceLookup, doc.Lookup.Table.or(""), doc.Lookup.Field.or("")
		if doc.Lookup.By.set() {
			s.by = c.slot(doc.Lookup.By)
		}
	default:
		s.kind, s.v4, s.v6 = sourcePeerAddress, c.number(doc.Peer.V4, 32), c.number(doc.Peer.V6, 64)
		for _, network := range doc.Peer.Trusted {
			if prefix, err := netip.ParsePrefix(network.Value); err == nil {
				s.trusted = append(s.trusted, prefix.Masked())
			}
		}
	}
	return s
}
