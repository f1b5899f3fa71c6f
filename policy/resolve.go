// resolve.go makes charges of a call: which counters, where, and how much.

package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/bucketring/bucketring"
)

// Facts are what a policy needs to know beside the call itself.
type Facts struct {
	// Rows finds rows of lookup tables; nil if there are none.
	Rows Rows
	// Now is the wall clock, for overrides that end.
	Now time.Time
	// NewID makes the random ids of leases and reservations.
	NewID func() bucketring.ID
}

// A Call is one request as its policy sees it. It belongs to one goroutine.
type Call struct {
	// Groups are what has to be counted, one for each place. A node carries them
	// out and fills in what came of it.
	Groups []Group

	policy  *Policy
	verb    bucketring.Verb
	caller  caller
	sent    map[string]string
	refused *access
	items   []item // in the policy's order
}

// A Group is the charges of a call that are counted in one place, all at once.
type Group struct {
	// Namespace and Value are what places the counters.
	Namespace, Value string
	// Here says that each node counts for itself.
	Here    bool
	Charges []bucketring.Charge

	// States is what the counters say, one for each charge. The node that carries
	// the group out sets them, with Partition, and Refused if it must refuse the
	// call because nobody could say.
	States    []bucketring.LimitState
	Partition uint32
	Refused   bool
}

// An item is one limit that the call meets.
type item struct {
	limit  *limit
	value  *value
	cost   int64
	group  int // -1 for a cap, which needs no counter
	charge int
	report bool                  // its cost is settled later
	state  bucketring.LimitState // of a cap; else it is in its group
}

// Resolve applies the policy to a request in its namespace. The error is
// ErrInvalid.
func (p *Policy) Resolve(req *bucketring.Request, facts Facts) (*Call, error) {
	if p.domain != nil {
		return nil, bucketring.Invalidf("namespace %s is a domain in Envoy's dialect: only Envoy's rate limit service answers for it", word(p.namespace))
	}
	c := &Call{policy: p, verb: req.Verb, sent: req.Attributes}
	if err := c.check(req); err != nil {
		return nil, err
	}
	c.caller = caller{cost: req.Cost, nanos: req.CostNanos, now: facts.Now}
	c.caller.rate = rateOf(req)
	c.caller.read(p, req.Attributes)
	p.find(facts.Rows, nil, &c.caller.attributes)
	switch req.Verb {
	case bucketring.VerbTake, bucketring.VerbPeek:
		if c.refused = p.refusal(&c.caller); c.refused != nil {
			return c, nil
		}
	case bucketring.VerbRefund:
	default:
		c.caller.loose = true
		c.caller.present &^= 1<<slotMethod | 1<<slotPath // of the page where it is asked
	}
	c.items = make([]item, 0, len(p.limits))
	for i := range p.limits {
		if err := c.meet(&p.limits[i], req, facts); err != nil {
			return nil, err
		}
	}
	if req.Verb == bucketring.VerbAdd || req.Verb == bucketring.VerbSet {
		if len(c.Groups) == 0 {
			return nil, bucketring.Invalidf("no level of this policy concerns these attributes: the levels are those of kind level")
		}
	}
	return c, nil
}

// check refuses what no policy can be applied to.
func (c *Call) check(req *bucketring.Request) error {
	switch {
	case (req.Cost < 0 || req.CostNanos < 0) && req.Verb != bucketring.VerbAdd:
		return bucketring.Invalidf("cost is negative: use refund to give tokens back")
	case req.Token != "" && (len(req.Token) < 16 || len(req.Token) > bucketring.MaxTokenLen):
		return bucketring.Invalidf("token has %d bytes, it must have 16 to %d, at random", len(req.Token), bucketring.MaxTokenLen)
	}
	return checkAttributes(req.Attributes)
}

// refusal returns the access rule that refuses the call, nil if none does.
func (p *Policy) refusal(c *caller) *access {
	for i := range p.access {
		if p.access[i].when.matches(c) {
			return &p.access[i]
		}
	}
	return nil
}

// meet adds a limit's part in the call, if it has one.
func (c *Call) meet(l *limit, req *bucketring.Request, facts Facts) error {
	v, ok := l.applies(&c.caller)
	if !ok || !c.concerns(l) {
		return nil
	}
	it := item{limit: l, value: v, group: -1}
	var err error
	if it.cost, err = c.costs(l); err != nil {
		return err
	}
	if l.kind == bucketring.KindCap {
		it.state = it.capped(c.verb)
		c.items = append(c.items, it)
		return nil
	}
	charge := bucketring.Charge{
		Limit: v.limit, Key: counterKey(&c.caller.attributes, l.key), Cost: it.cost, Shadow: l.mode == modeShadow,
	}
	it.report = l.cost.from == costReport
	leases := l.kind == bucketring.KindConcurrency && it.cost > 0
	if (it.report || leases) && (c.verb == bucketring.VerbTake || c.verb == bucketring.VerbPeek) {
		if charge.ID = facts.NewID(); req.Token != "" {
			charge.ID = bucketring.TokenID(req.Token, charge.Limit.ID, charge.Key)
		}
	}
	it.group = c.group(l, &charge)
	it.charge = len(c.Groups[it.group].Charges)
	c.Groups[it.group].Charges = append(c.Groups[it.group].Charges, charge)
	c.items = append(c.items, it)
	return nil
}

// concerns reports whether the verb is about such a limit.
func (c *Call) concerns(l *limit) bool {
	switch c.verb {
	case bucketring.VerbRefund:
		return l.kind == bucketring.KindRate || l.kind == bucketring.KindLevel
	case bucketring.VerbAdd, bucketring.VerbSet:
		return l.kind == bucketring.KindLevel && c.covers(l.key)
	case bucketring.VerbReset:
		return l.kind != bucketring.KindCap && len(l.key) > 0 && c.covers(l.key)
	case bucketring.VerbUsage:
		return c.covers(l.key)
	}
	return true
}

// covers reports whether the caller has all attributes of a key.
func (c *Call) covers(key []int) bool {
	for _, slot := range key {
		if !c.caller.has(slot) {
			return false
		}
	}
	return true
}

// costs returns what the call costs a limit; a usage or reset costs nothing, and
// a level is changed by the number that came with the call.
func (c *Call) costs(l *limit) (int64, error) {
	switch c.verb {
	case bucketring.VerbReset, bucketring.VerbUsage:
		return 0, nil
	case bucketring.VerbAdd, bucketring.VerbSet:
		return bucketring.Scale(c.caller.cost, c.caller.nanos, l.precision)
	}
	return l.costOf(&c.caller, c.policy.names)
}

// capped is what a cap says of the call.
func (it *item) capped(verb bucketring.Verb) bucketring.LimitState {
	most := it.value.limit.Amount
	s := bucketring.LimitState{
		Name: it.limit.name, Kind: bucketring.KindCap, Unit: it.limit.unit, Precision: it.limit.precision,
		Limit: most, Remaining: most, Allowed: true,
	}
	if it.cost > most && (verb == bucketring.VerbTake || verb == bucketring.VerbPeek) {
		s.Allowed, s.RetryAfter = false, bucketring.Never
	}
	return s
}

// usualCharges is how many charges of one place are expected.
const usualCharges = 4

// group returns the group that counts a limit's charge.
func (c *Call) group(l *limit, charge *bucketring.Charge) int {
	here := l.scope == scopeNode
	value := ""
	switch {
	case here:
	case l.placed:
		value = counterKey(&c.caller.attributes, c.policy.shard)
	default:
		value = l.name + "\x00" + charge.Key
	}
	for i := range c.Groups {
		if c.Groups[i].Here == here && c.Groups[i].Value == value {
			return i
		}
	}
	c.Groups = append(c.Groups, Group{
		Namespace: c.policy.namespace, Value: value, Here: here,
		Charges: make([]bucketring.Charge, 0, min(len(c.policy.limits), usualCharges)),
	})
	return len(c.Groups) - 1
}

// longestKey bounds a counter's key in bytes; the digest of a longer one is used.
const longestKey = 256

// counterKey joins values so that no two lists are alike: each has its length
// before it, and an absent one a mark of its own.
func counterKey(a *attributes, slots []int) string {
	var room [longestKey]byte
	b := room[:0]
	for _, slot := range slots {
		if a.has(slot) {
			b = appendPart(b, a.values[slot])
		} else {
			b = append(b, 0)
		}
	}
	if len(b) > longestKey {
		sum := sha256.Sum256(b)
		// No length is written with ten such bytes.
		b = append(bytes.Repeat([]byte{0xff}, binary.MaxVarintLen64), sum[:]...)
	}
	return string(b)
}

// Denied reports whether the call is refused before any counter is asked: by an
// access rule or a cap.
func (c *Call) Denied() bool {
	if c.refused != nil {
		return true
	}
	for i := range c.items {
		if it := &c.items[i]; it.group < 0 && !it.state.Allowed && it.limit.mode != modeShadow {
			return true
		}
	}
	return false
}

// Each reports whether limits that have room are charged although others deny.
func (c *Call) Each() bool { return c.policy.each }
