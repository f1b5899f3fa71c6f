// compile.go makes a policy of a document: names become slots and indices, and
// what several values must have in common is checked. It also runs on documents
// with problems, to find the rest of them; then what it makes is thrown away.

package policy

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
)

// A compiler makes one policy.
type compiler struct {
	*decoder
	doc *document
	p   *Policy

	index  map[string]int // of limits, by name
	bodies map[string]*template
	bases  []bucketring.Limit // by limit: what its amounts share
	custom []*yaml.Node       // by limit: where it says custom, nil if nowhere
	full   bool               // there were too many attributes, which was said
}

// compile makes a policy of a document.
func (d *decoder) compile(doc *document) *Policy {
	p := &Policy{
		namespace: doc.Namespace.or(""), file: d.file, doc: doc,
		names: slices.Clone(fixedNames[:]), slots: map[string]int{},
		each: doc.Charge.or("") == "each",
	}
	for slot, name := range fixedNames {
		p.slots[name] = slot
	}
	c := &compiler{decoder: d, doc: doc, p: p, index: map[string]int{}, bodies: map[string]*template{}}
	c.allBodies()
	c.access()
	c.limits()
	c.overrides()
	c.shard()
	c.headerFields()
	c.usage()
	c.labels()
	c.identify() // last: lookups may be by any attribute named above
	numberConditions(p)
	return p
}

// slot returns the slot of an attribute, a new one if need be.
func (c *compiler) slot(name text) int {
	slot, ok := c.p.slots[name.Value]
	switch {
	case ok:
		return slot
	case c.bad[name.Node]:
		return 0
	case len(c.p.names) == maxSlots:
		if !c.full {
			c.fail(name.Node, "attribute %s is one too many: a policy can name %d, counting %s", word(name.Value), maxSlots, strings.Join(fixedNames[:], ", "))
		}
		c.full = true
		return 0
	}
	slot = len(c.p.names)
	c.p.slots[name.Value] = slot
	c.p.names = append(c.p.names, name.Value)
	return slot
}

// slotsOf returns the slots of a list of attributes, each of which may be there
// once.
func (c *compiler) slotsOf(list []text, of string) []int {
	slots := make([]int, 0, len(list))
	for _, name := range list {
		slot := c.slot(name)
		if slices.Contains(slots, slot) && !c.bad[name.Node] && !c.full {
			c.fail(name.Node, "%s has the attribute %s twice", of, word(name.Value))
		}
		slots = append(slots, slot)
	}
	return slots
}

// choice returns the index of a word, 0 if it is absent or unknown.
func choice(t text, words ...string) int {
	return max(0, slices.Index(words, t.or("")))
}

// number returns a whole number, or a default where it is absent or bad.
func (c *compiler) number(t text, otherwise int) int {
	if !t.set() || c.bad[t.Node] {
		return otherwise
	}
	n, err := strconv.Atoi(t.Value)
	if err != nil {
		return otherwise
	}
	return n
}

// truth returns a bool, or a default where it is absent.
func truth(t text, otherwise bool) bool {
	return t.or(strconv.FormatBool(otherwise)) == "true"
}

// access makes the rules that refuse before anything is counted.
func (c *compiler) access() {
	lines := map[string]int{}
	for i := range c.doc.Access {
		rule := &c.doc.Access[i]
		c.unique(rule.Name, "access rule", lines)
		deny := deny{status: c.number(rule.Deny.Status, 403), body: c.body(rule.Deny.Body)}
		c.p.access = append(c.p.access, access{rule.Name.or(""), c.when(&rule.When), deny})
	}
}

// unique complains about a name that was given before.
func (c *compiler) unique(name text, of string, lines map[string]int) {
	if !name.set() || c.bad[name.Node] {
		return
	}
	if line, ok := lines[name.Value]; ok {
		c.fail(name.Node, "%s %q is in line %d already: give each its own name", of, name.Value, line)
		return
	}
	lines[name.Value] = name.Line
}

// limits makes all limits, and gives each an id of its own.
func (c *compiler) limits() {
	lines := map[string]int{}
	for i := range c.doc.Limits {
		l := &c.doc.Limits[i]
		c.unique(l.Name, "limit", lines)
		if _, ok := c.index[l.Name.or("")]; !ok {
			c.index[l.Name.or("")] = i
		}
	}
	c.p.limits = make([]limit, len(c.doc.Limits))
	c.bases = make([]bucketring.Limit, len(c.doc.Limits))
	c.custom = make([]*yaml.Node, len(c.doc.Limits))
	ids := map[uint64]bool{0: true} // 0 is for limits that came with the call
	for i := range c.doc.Limits {
		c.limit(i, ids)
	}
}

// shard finds the attributes by which limits live together. Caps have no place,
// and limits of a node or a connection are where they are. What is switched off
// counts all the same: switching it on must not move the counters of the others.
func (c *compiler) shard() {
	placed := func(l *limit) bool {
		return l.kind != bucketring.KindCap && l.scope == scopeCluster && len(l.key) > 0
	}
	if c.doc.ShardBy != nil {
		c.p.shard = c.slotsOf(c.doc.ShardBy, "shard_by")
		for i, slot := range c.p.shard {
			name := c.doc.ShardBy[i]
			if !c.bad[name.Node] && !slices.ContainsFunc(c.p.limits, func(l limit) bool { return placed(&l) && slices.Contains(l.key, slot) }) {
				c.fail(name.Node, "shard_by names %s, which is in the key of no limit that the cluster counts%s",
					word(name.Value), near(name.Value, c.keyNames()))
			}
		}
	} else {
		c.p.shard = sharedSlot(c.p.limits, placed)
	}
	if len(c.p.shard) == 0 {
		c.p.shard = nil
		return
	}
	for i := range c.p.limits {
		l := &c.p.limits[i]
		l.placed = placed(l) && !slices.ContainsFunc(c.p.shard, func(slot int) bool { return !slices.Contains(l.key, slot) })
	}
}

// sharedSlot returns the first attribute that the keys of all limits share that
// have a place, nil if there is none.
func sharedSlot(limits []limit, placed func(*limit) bool) []int {
	var shared []int
	first := true
	for i := range limits {
		l := &limits[i]
		switch {
		case !placed(l):
		case first:
			shared, first = slices.Clone(l.key), false
		default:
			shared = slices.DeleteFunc(shared, func(slot int) bool { return !slices.Contains(l.key, slot) })
		}
	}
	return shared[:min(1, len(shared))]
}

// keyNames lists the attributes that keys have.
func (c *compiler) keyNames() []string {
	var all []string
	for i := range c.p.limits {
		for _, slot := range c.p.limits[i].key {
			all = append(all, c.p.names[slot])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// reservedLabels are what the series has anyway.
var reservedLabels = []string{"namespace", "limit", "result", "le", "quantile", "instance", "job"}

// labels takes the attributes that become labels. They get slots: who counts must
// find them.
func (c *compiler) labels() {
	c.slotsOf(c.doc.Metrics.Labels, "labels of metrics")
	for _, name := range c.doc.Metrics.Labels {
		if slices.Contains(reservedLabels, name.Value) {
			c.fail(name.Node, "label %s is one that every series has: send the attribute by another name", word(name.Value))
		}
		c.p.labels = append(c.p.labels, name.Value)
	}
}
