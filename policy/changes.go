// changes.go says what a new set of policies makes of the counters of the old one.

package policy

import (
	"fmt"

	"github.com/bucketring/bucketring"
)

// Changes compares two sets. What it returns, nil if no counter is concerned, gets
// the limit of a counter and returns the one that holds now, nil if it stays, or
// whether the counter is dropped: its limit is gone, or counts otherwise now. Names
// and modes of limits do not matter to it.
func Changes(from, to *Set) func(*bucketring.Limit) (*bucketring.Limit, bool) {
	c := changes{now: map[bucketring.Limit]*bucketring.Limit{}, gone: map[bucketring.Limit]bool{}}
	for _, old := range from.Policies() {
		fresh, _ := to.Policy(old.namespace)
		if fresh == nil || fresh.hash != old.hash {
			c.compare(old, fresh)
		}
	}
	if len(c.now) == 0 && len(c.gone) == 0 {
		return nil
	}
	return c.of
}

// changes are what becomes of limits as counters know them.
type changes struct {
	now  map[bucketring.Limit]*bucketring.Limit // by the limit before; nil where it is not one
	gone map[bucketring.Limit]bool              // by what identifies counters
}

func (c *changes) of(l *bucketring.Limit) (*bucketring.Limit, bool) {
	return c.now[bare(l)], c.gone[identityOf(l)]
}

// bare is a limit as counters know it.
func bare(l *bucketring.Limit) bucketring.Limit {
	b := *l
	b.Name, b.Accuracy, b.Slack, b.Unavailable, b.Durable = "", 0, 0, 0, false
	return b
}

// identityOf is what two limits of one counter share.
func identityOf(l *bucketring.Limit) bucketring.Limit {
	b := bare(l)
	b.Per, b.Amount, b.Burst, b.TTL, b.MaxAge = l.Window(), 0, 0, 0, 0
	return b
}

// compare notes what becomes of a policy's counters under another one, or none.
func (c *changes) compare(old, fresh *Policy) {
	kept := map[bucketring.Limit]bool{}
	byName := map[string]*limit{}
	if fresh != nil {
		for i := range fresh.limits {
			l := &fresh.limits[i]
			byName[l.name] = l
			for _, v := range l.values() {
				kept[identityOf(v.limit)] = true
			}
		}
	}
	for i := range old.limits {
		l := &old.limits[i]
		for _, v := range l.values() {
			if id := identityOf(v.limit); !kept[id] {
				c.gone[id] = true
			}
		}
		if next := byName[l.name]; next != nil {
			c.pairs(l, next)
		}
	}
}

// pairs notes which amounts take the place of which: of the same plan, and of the
// same override. Callers whose amount comes from elsewhere now are adjusted by
// their next call.
func (c *changes) pairs(old, next *limit) {
	c.pair(&old.otherwise, &next.otherwise)
	for plan, v := range old.byPlan {
		to := next.byPlan[plan]
		if to == nil {
			to = &next.otherwise
		}
		c.pair(usable(v, &old.otherwise), usable(to, &next.otherwise))
	}
	now := map[string]*value{}
	next.overrides.each(func(o *override) { now[o.who()] = &o.value })
	old.overrides.each(func(o *override) {
		if to := now[o.who()]; to != nil {
			c.pair(&o.value, to)
		}
	})
}

// pair notes that one value takes the place of another. One that would have two
// successors has none.
func (c *changes) pair(old, next *value) {
	if old.limit == nil || next.limit == nil || identityOf(old.limit) != identityOf(next.limit) {
		return
	}
	before := bare(old.limit)
	if other, ok := c.now[before]; ok && (other == nil || bare(other) != bare(next.limit)) {
		c.now[before] = nil
		return
	}
	c.now[before] = next.limit
}

// values are all that a limit can be for somebody, but for those without a counter.
func (l *limit) values() (all []*value) {
	add := func(v *value) {
		if v.limit != nil && l.kind != bucketring.KindCap {
			all = append(all, v)
		}
	}
	add(&l.otherwise)
	for _, v := range l.byPlan {
		add(v)
	}
	l.overrides.each(func(o *override) { add(&o.value) })
	return all
}

func (all *overrides) each(f func(*override)) {
	for _, s := range all.shapes {
		for _, list := range s.byKey {
			for _, o := range list {
				f(o)
			}
		}
	}
}

// who is whom an override is for.
func (o *override) who() string { return fmt.Sprintf("%#v %#v", o.exact, o.globs) }
