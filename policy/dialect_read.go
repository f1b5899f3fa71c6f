// dialect_read.go makes a policy of a file in Envoy's dialect.

package policy

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readDialect reads a file in Envoy's dialect. Nothing of the environment is filled in:
// such files have their own tools.
func (f *file) readDialect(root *yaml.Node) {
	f.at = root
	if at := child(root, "domain"); at != nil {
		f.namespace, f.at = at.Value, at
	}
	hash := meaning(root)
	r := newPruner(f.problems)
	r.prune(root, reflect.TypeFor[domainDoc]())
	var doc domainDoc
	c := &dialectCompiler{f.problems.decode(root, &doc, map[*yaml.Node]bool{})}
	d := &Domain{name: f.namespace}
	d.nodes = c.level(doc.Descriptors, nil, &d.top)
	f.policy = &Policy{namespace: f.namespace, file: f.name, hash: hash, domain: d, notes: r.notes}
	if f.err = f.problems.err(); f.err != nil {
		f.policy = nil
	}
}

// A dialectCompiler makes a domain of a document, also of one with problems, to find the
// rest of them.
type dialectCompiler struct{ *decoder }

// level makes the nodes below one node, which is nil for the top level.
func (c *dialectCompiler) level(docs []descriptorDoc, up *dialectNode, l *level) (all []*dialectNode) {
	for i := range docs {
		doc := &docs[i]
		n := &dialectNode{
			key: doc.Key.or(""), value: doc.Value.or(""), reveal: isTrue(doc.ValueToMetric), up: up,
			file: c.file, line: doc.Node.Line, column: doc.Node.Column,
		}
		if up != nil {
			n.depth = up.depth + 1
		}
		if g, err := compileValueGlob(n.value); err == nil {
			n.pattern = &g
		}
		if n.share = isTrue(doc.ShareThreshold); n.share && n.pattern == nil {
			c.fail(doc.ShareThreshold.Node, "share_threshold needs a value with *, such as a*: other values have counters of their own anyway")
		}
		metadata := c.metadata(doc.Metadata.Node)
		if doc.RateLimit != nil {
			n.rule = c.rule(doc, n)
			n.rule.Metadata = metadata
		}
		if twin := l.add(n); twin != nil && n.key != "" && !c.bad[doc.Key.Node] {
			c.at(doc.Node, "%s is in line %d already: give each descriptor of a level its own key and value", n.named(), twin.line)
		}
		n.nodes = c.level(doc.Descriptors, n, &n.below)
		all = append(all, n)
	}
	return all
}

// add adds a node to a level. It returns the one that is there already, nil for none.
func (l *level) add(n *dialectNode) (twin *dialectNode) {
	if l.exact == nil {
		l.exact, l.wild, l.any = map[Entry]*dialectNode{}, map[string][]*dialectNode{}, map[string]*dialectNode{}
	}
	if n.value == "" {
		if twin = l.any[n.key]; twin == nil {
			l.any[n.key] = n
		}
		return twin
	}
	e := Entry{n.key, n.value}
	if twin = l.exact[e]; twin != nil {
		return twin
	}
	l.exact[e] = n
	if n.pattern != nil {
		l.wild[n.key] = append(l.wild[n.key], n)
	}
	return nil
}

// named says which node it is, for errors.
func (n *dialectNode) named() string {
	if n.value == "" {
		return "key " + word(n.key) + " without a value"
	}
	return "key " + word(n.key) + " with the value " + word(n.value)
}

// rule makes the rule of a descriptor that has a limit.
func (c *dialectCompiler) rule(doc *descriptorDoc, n *dialectNode) *Rule {
	limit := doc.RateLimit
	r := &Rule{
		Name: limit.Name.or(""), Unlimited: isTrue(limit.Unlimited), Shadow: isTrue(doc.ShadowMode), Quota: isTrue(doc.QuotaMode),
		detailed: isTrue(doc.DetailedMetric), node: n,
	}
	if c.bad[limit.Node] {
		return r
	}
	r.Requests, _ = parseU32(limit.Requests.or("0"))
	r.Unit = c.unit(limit, r.Unlimited)
	for i := range limit.Replaces {
		name := limit.Replaces[i].Name
		if name.set() && name.Value == r.Name {
			c.fail(name.Node, "replaces names the rule itself: name another one")
		}
		r.Replaces = append(r.Replaces, name.or(""))
	}
	return r
}

// dialectUnits are the words of units, by number.
var dialectUnits = []string{"unknown", "second", "minute", "hour", "day", "month", "year", "week"}

// unit reads the unit of a limit.
func (c *dialectCompiler) unit(limit *rateLimitDoc, unlimited bool) Unit {
	switch {
	case unlimited && limit.Unit.set():
		c.fail(limit.Unit.Node, "a rate_limit that is unlimited has no unit: leave one of the two out")
		return UnitUnknown
	case unlimited || c.bad[limit.Unit.Node]:
		return UnitUnknown
	case !limit.Unit.set():
		c.fail(limit.Node, `rate_limit needs the key "unit": %s`, oneOf(dialectUnits[1:]))
		return UnitUnknown
	}
	text := strings.ToLower(limit.Unit.Value)
	n := slices.Index(dialectUnits, text)
	if n < 1 {
		c.fail(limit.Unit.Node, "unit must be %s, found %s%s", oneOf(dialectUnits[1:]), describe(limit.Unit.Node), near(text, dialectUnits[1:]))
		return UnitUnknown
	}
	return Unit(n)
}

// metadata makes JSON's types of the metadata of a descriptor.
func (c *dialectCompiler) metadata(n *yaml.Node) map[string]any {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		c.fail(n, "metadata must be a mapping, found %s", describe(n))
		return nil
	}
	made, _ := c.json(n).(map[string]any)
	return made
}

// json makes JSON's types of a node.
func (c *dialectCompiler) json(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		made := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if sound(key) && key.ShortTag() != "!!str" {
				c.fail(key, "metadata has no JSON form: a key must be a text, found %s", describe(key))
			}
			made[key.Value] = c.json(n.Content[i+1])
		}
		return made
	case yaml.SequenceNode:
		made := make([]any, len(n.Content))
		for i, item := range n.Content {
			made[i] = c.json(item)
		}
		return made
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		return c.number(n)
	}
	return n.Value
}

func (c *dialectCompiler) number(n *yaml.Node) float64 {
	var made float64
	if err := n.Decode(&made); err != nil || math.IsNaN(made) || math.IsInf(made, 0) {
		c.fail(n, "metadata has no JSON form: %s is no finite number", shorten(strconv.Quote(n.Value), maxQuoted))
		return 0
	}
	return made
}
