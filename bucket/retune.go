// retune.go holds counters to other amounts as soon as somebody decides so, and not
// only from their next call on: a new rate counts from then.

package bucket

import "github.com/bucketring/bucketring"

// A Change says what becomes of the counters of a limit: the limit to hold them to
// from now on, the same counter with other amounts, or nil if they stay as they
// are. With drop they are forgotten.
type Change func(l *bucketring.Limit) (to *bucketring.Limit, drop bool)

// Retune goes through all counters and changes them. It holds up the calls of one
// partition at a time. The limit that change is given has no name and no modes.
func (t *Table) Retune(now Now, change Change) {
	r := retuning{table: t, now: now, change: change, rules: map[*rule]retuned{}}
	for i := range t.parts {
		p := &t.parts[i]
		p.mu.Lock()
		r.partLocked(p, uint32(i))
		p.mu.Unlock()
	}
}

// A retuning is one walk over a table.
type retuning struct {
	table  *Table
	now    Now
	change Change
	rules  map[*rule]retuned // what change said, by rule: counters share few
}

type retuned struct {
	to   *rule // nil to stay
	drop bool
}

func (r *retuning) of(old *rule) retuned {
	known, ok := r.rules[old]
	if !ok {
		to, drop := r.change(&old.limit)
		if known.drop = drop; to != nil && !drop && !old.is(to) {
			known.to = r.table.rules.get(*to)
		}
		r.rules[old] = known
	}
	return known
}

func (r *retuning) partLocked(p *part, partition uint32) {
	t := r.table
	for id, one := range p.reserved {
		if _, drop := r.change(one.limit); drop {
			t.forgetLocked(p, id)
			t.noteID(partition, id)
		}
	}
	slots := p.slots.Load()
	if slots == nil {
		return
	}
	gone := map[*bucket]bool{}
	for i := range *slots {
		b := (*slots)[i].load()
		if b == nil {
			continue
		}
		switch said := r.of(b.rule); {
		case said.drop:
			t.endAllLocked(p, b)
			b.seal()
			gone[b] = true
			t.note(partition, b)
			t.bytes.Add(-b.size())
		case said.to != nil && b.rule.limit.Kind != bucketring.KindConcurrency: // leases know no amount
			b.seal()
			fresh := b.adjusted(said.to, r.now)
			p.replaceLocked(b, fresh)
			t.note(partition, fresh)
			t.bytes.Add(fresh.size() - b.size())
			t.adjusted.Add(1)
		}
	}
	if len(gone) > 0 {
		p.removeLocked(gone)
		t.keys.Add(-int64(len(gone)))
		t.dropped.Add(int64(len(gone)))
	}
}

// endAllLocked ends the leases of a counter that is dropped, if it has any.
func (t *Table) endAllLocked(p *part, b *bucket) {
	if b.wide == nil || b.wide.leases == nil {
		return
	}
	for id := range b.wide.leases.held {
		t.endLocked(p, b, id)
	}
}
