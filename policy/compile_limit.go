// compile_limit.go makes limits, and the amounts that plans and overrides give
// them.

package policy

import (
	"encoding/binary"
	"hash/fnv"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
)

// limit makes the i-th limit.
func (c *compiler) limit(i int, ids map[uint64]bool) {
	doc, l := &c.doc.Limits[i], &c.p.limits[i]
	if c.bad[doc.Node] && doc.Node.Kind != yaml.MappingNode {
		return
	}
	l.name, l.unit = doc.Name.or(""), doc.Unit.or("requests")
	l.kind = bucketring.Kind(choice(doc.Kind, "rate", "concurrency", "level", "cap"))
	l.scope = scope(choice(doc.Scope, "cluster", "node", "connection"))
	l.mode = mode(choice(doc.Mode, "enforce", "shadow", "off"))
	l.shown = truth(doc.Headers, true) && l.kind != bucketring.KindCap && l.scope != scopeConnection
	l.when = c.when(&doc.When)
	l.key = c.slotsOf(doc.Key, "key of "+c.named(l))
	l.precision = uint8(min(c.number(doc.Precision, 0), bucketring.MaxPrecision))
	if !c.bad[doc.Kind.Node] {
		c.checkKinds(doc, l)
		c.checkWindow(doc, l)
		c.checkLease(doc, l)
	}
	l.cost = c.cost(&doc.Cost, l)
	if l.kind == bucketring.KindConcurrency && l.cost.from == costReport {
		c.fail(keyOf(doc.Node, "cost"), "%s is a concurrency limit, whose cost cannot be reported later: it must be known when the lease is taken", c.named(l))
	}
	l.deny = c.deny(&doc.Deny, l)
	c.bases[i] = c.base(doc, l, ids)
	l.base = c.bases[i]
	c.amounts(i, c.bases[i])
}

func (c *compiler) named(l *limit) string {
	if l.name == "" {
		return "this limit"
	}
	return "limit " + word(l.name)
}

// checkKinds refuses what the limit's kind cannot have.
func (c *compiler) checkKinds(doc *limitDoc, l *limit) {
	for _, f := range c.fields[reflect.TypeFor[limitDoc]()] {
		n := child(doc.Node, f.key)
		if len(f.kinds) == 0 || n == nil || contains(f.kinds, l.kind.String()) {
			continue
		}
		c.fail(keyOf(doc.Node, f.key), "%s is a %s limit, which has no %s: only %s has", c.named(l), l.kind, f.key, oneOf(f.kinds))
	}
	if l.kind == bucketring.KindConcurrency && c.lacks(doc, "lease") {
		c.fail(doc.Node, `%s is a concurrency limit and needs the key "lease", such as {ttl: 60s}`, c.named(l))
	}
	if l.kind == bucketring.KindRate && c.lacks(doc, "per") {
		c.fail(doc.Node, `%s is a rate limit and needs the key "per", such as 1m`, c.named(l))
	}
	if l.scope == scopeConnection && l.kind == bucketring.KindConcurrency {
		c.fail(doc.Scope.Node, "%s is a concurrency limit, scope connection is for rates only", c.named(l))
	}
}

// lacks reports whether a limit has no such key, and cannot have hoped to merge it.
func (c *compiler) lacks(doc *limitDoc, key string) bool {
	return child(doc.Node, key) == nil && child(doc.Node, "<<") == nil
}

// keyOf returns the node of a key that a mapping has.
func keyOf(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i]
		}
	}
	return n
}

// calendarPers are the windows that a calendar has.
var calendarPers = []string{"1m", "1h", "1d", "1w", "1month", "1y"}

// checkWindow holds per, algorithm, align and burst of a rate against each other.
func (c *compiler) checkWindow(doc *limitDoc, l *limit) {
	if l.kind != bucketring.KindRate || c.bad[doc.Algorithm.Node] || c.bad[doc.Align.Node] {
		return
	}
	algorithm, align, per := doc.Algorithm.or("token_bucket"), doc.Align.or("epoch"), doc.Per.or("")
	fixed := algorithm == "fixed_window"
	if doc.Burst.set() && algorithm != "token_bucket" {
		c.fail(keyOf(doc.Node, "burst"), "%s is a %s, only a token_bucket has a burst", c.named(l), algorithm)
	}
	if doc.Align.set() && !fixed {
		c.fail(keyOf(doc.Node, "align"), "%s is a %s, only a fixed_window has an align", c.named(l), algorithm)
		return
	}
	if !doc.Per.set() || c.bad[doc.Per.Node] {
		return
	}
	months := per == "1month" || per == "1y"
	switch {
	case months && !fixed:
		c.fail(doc.Per.Node, "per %s of %s needs algorithm: fixed_window, a %s has windows of one length only", per, c.named(l), algorithm)
	case months && align == "epoch":
		c.fail(doc.Per.Node, "per %s of %s needs align: calendar or first_request, windows from the epoch have one length", per, c.named(l))
	case align == "calendar" && !contains(calendarPers, per):
		c.fail(doc.Per.Node, "per %s of %s: calendar windows are %s", per, c.named(l), oneOf(calendarPers))
	}
}

func (c *compiler) checkLease(doc *limitDoc, l *limit) {
	ttl, most := durationOf(doc.Lease.TTL), durationOf(doc.Lease.Max)
	if ttl > 0 && most > 0 && most < ttl && l.kind == bucketring.KindConcurrency {
		c.fail(doc.Lease.Max.Node, "max of lease of %s is %s, less than its ttl of %s", c.named(l), doc.Lease.Max.Value, doc.Lease.TTL.Value)
	}
}

// base is what all amounts of a limit share.
func (c *compiler) base(doc *limitDoc, l *limit, ids map[uint64]bool) bucketring.Limit {
	b := bucketring.Limit{Name: l.name, Kind: l.kind, Precision: l.precision, ID: c.id(l, ids)}
	b.Unavailable = bucketring.Unavailable(choice(doc.OnUnavailable, "local", "allow", "deny"))
	if l.kind == bucketring.KindLevel && !doc.OnUnavailable.set() {
		b.Unavailable = bucketring.UnavailableDeny
	}
	b.Durable = doc.Durability.or("") == "replica" || l.kind == bucketring.KindLevel && !doc.Durability.set()
	switch l.kind {
	case bucketring.KindRate:
		b.Algorithm = bucketring.Algorithm(choice(doc.Algorithm, "token_bucket", "fixed_window", "sliding_window"))
		b.Align = bucketring.Align(choice(doc.Align, "epoch", "first_request", "calendar"))
		b.Accuracy = bucketring.Accuracy(choice(doc.Accuracy, "leased", "strict", "approx"))
		if doc.Slack.set() {
			b.Slack = slackOf(doc.Slack.Value)
			if b.Slack == 0 {
				b.Accuracy = bucketring.Strict
			}
		}
		b.Per = durationOf(doc.Per)
		months := b.Per == bucketring.Month || b.Per == bucketring.Year
		if zone := c.doc.Clock.Zone.or("UTC"); zone != "UTC" && (b.Align == bucketring.AlignCalendar || months) {
			b.Zone = zone
		}
		if doc.Burst.set() && b.Algorithm == bucketring.TokenBucket {
			b.Burst, l.burst = c.burst(doc.Burst, l), true
		}
	case bucketring.KindConcurrency:
		b.TTL, b.MaxAge = durationOf(doc.Lease.TTL), durationOf(doc.Lease.Max)
		if !truth(doc.Lease.Renewable, true) {
			b.MaxAge = b.TTL // renewing succeeds and moves nothing
		}
	}
	l.per, l.align = b.Per, b.Align
	l.zone, _ = b.Location()
	if l.zone == nil {
		l.zone = time.UTC
	}
	return b
}

// slackOf reads a percentage, rounded down to 1/100 %. One that is not well formed was
// told of already.
func slackOf(text string) uint16 {
	percent, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || percent < 0 || percent > 100 {
		return 0
	}
	return uint16(percent*100 + 1e-9)
}

func (c *compiler) burst(t text, l *limit) int64 {
	burst, ok := c.amount(t, l)
	if ok && burst == 0 {
		c.fail(t.Node, "burst of %s must be more than 0", c.named(l))
	}
	return burst
}

// id tells limits apart whose counters must not mix. It does not depend on amounts,
// nor on where in the file the limit stands.
func (c *compiler) id(l *limit, ids map[uint64]bool) uint64 {
	h := fnv.New64a()
	part := func(s string) {
		var length [4]byte
		binary.LittleEndian.PutUint32(length[:], uint32(len(s)))
		h.Write(length[:])
		h.Write([]byte(s))
	}
	part(c.p.namespace)
	part(l.name)
	part(l.unit)
	for _, slot := range l.key {
		part(c.p.names[slot])
	}
	id := h.Sum64()
	for ids[id] {
		id++
	}
	ids[id] = true
	return id
}

// amount reads an amount in the limit's precision.
func (c *compiler) amount(t text, l *limit) (int64, bool) {
	if c.bad[t.Node] {
		return 0, false
	}
	n, wrong := parseAmount(t.Value, l.precision)
	if wrong != "" {
		c.fail(t.Node, "%s: %s", c.named(l), wrong)
		return 0, false
	}
	return n, true
}

// amounts fills in what plans give the limit.
func (c *compiler) amounts(i int, base bucketring.Limit) {
	doc, l := &c.doc.Limits[i].Limit, &c.p.limits[i]
	if doc.Scalar.set() {
		l.otherwise = c.value(doc.Scalar, i, base)
		return
	}
	l.byPlan = make(map[string]*value, len(doc.Values))
	for _, e := range doc.Values {
		if e.Value.set() {
			v := c.value(e.Value, i, base)
			l.byPlan[e.Key.Value] = &v
		}
	}
	l.otherwise = value{valueDeny, held(base, 0)}
	if doc.Default.set() {
		l.otherwise = c.value(doc.Default, i, base)
	}
}

// value makes a value of an amount or a word.
func (c *compiler) value(t text, i int, base bucketring.Limit) value {
	l := &c.p.limits[i]
	if c.bad[t.Node] {
		return value{valueDeny, held(base, 0)}
	}
	switch t.Value {
	case "unlimited":
		if l.kind == bucketring.KindLevel || l.kind == bucketring.KindConcurrency {
			return value{valueUnlimited, held(base, bucketring.Unlimited)}
		}
		return value{kind: valueUnlimited}
	case "custom":
		if c.custom[i] == nil {
			c.custom[i] = t.Node
		}
		return value{valueCustom, held(base, 0)}
	case "deny":
		return value{valueDeny, held(base, 0)}
	}
	n, ok := c.amount(t, l)
	v := value{valueNumber, held(base, n)}
	if ok && base.Kind != bucketring.KindCap && !c.troubled(i) {
		if err := v.limit.Validate(); err != nil {
			c.fail(t.Node, "%v", err)
		}
	}
	return v
}

// troubled reports whether a limit has a problem already that would only come up
// a second time.
func (c *compiler) troubled(i int) bool {
	doc := &c.doc.Limits[i]
	for _, key := range []string{"kind", "per", "algorithm", "align", "burst", "lease", "precision"} {
		if n := child(doc.Node, key); n != nil && (c.bad[n] || c.bad[keyOf(doc.Node, key)]) {
			return true
		}
	}
	lease := &doc.Lease
	return c.bad[doc.Node] || c.bad[lease.TTL.Node] || c.bad[lease.Max.Node] || c.bad[c.doc.Clock.Zone.Node]
}

// held returns a limit with an amount. What always denies needs no burst.
func held(base bucketring.Limit, amount int64) *bucketring.Limit {
	base.Amount = amount
	if amount == 0 {
		base.Burst = 0
	}
	return &base
}

// cost makes the cost of a limit.
func (c *compiler) cost(doc *costDoc, l *limit) cost {
	from := costFrom(choice(doc.From, "number", "attr", "content_length", "report"))
	out := cost{from: from, slot: -1, otherwise: powerOfTen(int(l.precision)).Int64()}
	if from == costReport {
		out.otherwise = 0
	}
	if doc.Node == nil || c.bad[doc.From.Node] || doc.Node.Kind != yaml.MappingNode {
		return out
	}
	name := doc.From.or("number")
	switch {
	case doc.Reserve.set() && from != costReport:
		c.fail(keyOf(doc.Node, "reserve"), "cost of %s is from %s, reserve is for from: report", c.named(l), name)
	case doc.Attr.set() && from == costReport && !doc.Reserve.set():
		c.fail(keyOf(doc.Node, "attr"), "cost of %s is from report, which charges attr only with reserve: attr", c.named(l))
	case !doc.Attr.set() && (from == costAttr || doc.Reserve.set()):
		c.fail(doc.Node, `cost of %s needs the key "attr": the attribute with the number`, c.named(l))
	case doc.Attr.set() && from != costAttr && from != costReport:
		c.fail(keyOf(doc.Node, "attr"), "cost of %s is from %s, attr is for from: attr and reserve: attr", c.named(l), name)
	case doc.Default.or("1") != "1" && from == costNumber:
		c.fail(keyOf(doc.Node, "default"), "cost of %s is from number, which is 1 where a call gives none: another default is for the others", c.named(l))
	}
	if from == costContentLength {
		out.slot = slotContentLength
	} else if doc.Attr.set() {
		out.slot = c.slot(doc.Attr)
	}
	if doc.Default.set() {
		out.otherwise, _ = c.amount(doc.Default, l)
	}
	return out
}
