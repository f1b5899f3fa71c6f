// join.go joins the state of a partition into what a table has of it.

package bucket

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
)

// joined joins several states of a partition outside of the table, so that of each
// lineage the latest word counts. Those that are nil have nothing. The amounts of a
// counter are those of the first that has it.
func (t *Table) joined(states []*State, now Now) *State {
	states = slices.DeleteFunc(states, func(s *State) bool { return s == nil })
	switch len(states) {
	case 0:
		return nil
	case 1:
		return states[0]
	}
	type counter struct {
		limit limitID
		key   string
	}
	all, at := &State{}, map[counter]int{}
	for _, s := range states {
		for _, r := range s.Records {
			if !valid(r.Limit) {
				continue
			}
			c := counter{identity(r.Limit), r.Key}
			c.limit.per = r.Limit.Window()
			i, known := at[c]
			if !known {
				i, at[c] = len(all.Records), len(all.Records)
				all.Records = append(all.Records, Record{Limit: r.Limit, Key: r.Key})
			}
			rule := t.rules.get(*all.Records[i].Limit)
			all.Records[i].Marks = JoinMarks(all.Records[i].Marks, r.marks(rule, t, now))
		}
		all.Reserved = append(all.Reserved, s.Reserved...)
	}
	return all
}

func (t *Table) joinLocked(p *part, partition uint32, s *State, now Now) {
	for i := range s.Records {
		r := &s.Records[i]
		switch {
		case !valid(r.Limit) || len(r.Key) > bucketring.MaxKeyLen:
		case r.Limit.Kind == bucketring.KindConcurrency:
			t.joinLeasesLocked(p, partition, r, now)
		default:
			t.joinRecordLocked(p, partition, r, now)
		}
	}
	for i := range s.Reserved {
		t.joinReservedLocked(p, partition, &s.Reserved[i], now)
	}
}

// valid reports whether a limit can be counted. The one of a record has lost what does
// not matter for that.
func valid(l *bucketring.Limit) bool {
	if l == nil {
		return false
	}
	whole := *l
	if whole.Kind == bucketring.KindConcurrency && whole.TTL == 0 {
		whole.TTL = time.Second
	}
	return whole.Validate() == nil
}

// joinRecordLocked joins one counter. The bucket that is there is sealed and replaced,
// so that a charge under way finds the new one. Of its own lineage this node knows the
// latest.
func (t *Table) joinRecordLocked(p *part, partition uint32, r *Record, now Now) {
	c := Counter{Partition: partition, Key: r.Key, Limit: r.Limit}
	hash := t.hash(c.Key, c.Limit)
	old, rule := p.find(hash, &c), t.rules.get(*r.Limit)
	if old != nil {
		rule = old.rule
	}
	own, others := markOf(r.marks(rule, t, now), p.lineage)
	if old == nil && own != nil && p.knows(own) {
		own = nil // it is gone since
	}
	if old != nil {
		old.seal()
		mine := rule.unfold(old.total(now), p.forks[old], now)
		own, others = &mine, JoinMarks(p.forks[old], others)
	}
	all := others
	if own != nil {
		all = append(slices.Clip(others), *own)
	}
	b := newBucket(rule, hash, r.Key, now, 0)
	b.put(rule.fold(all, now), now)
	others = rule.remembered(others, now)
	switch {
	case old != nil:
		p.replaceLocked(old, b)
		t.bytes.Add(b.size() - old.size())
	case b.isUnused(now) && len(others) == 0:
		return
	default:
		t.insertLocked(p, b)
	}
	p.forkLocked(b, others)
	if !p.closed.Load() {
		t.note(partition, b)
	}
}

// knows reports whether a mark of this lineage is an earlier word than what is here.
func (p *part) knows(m *Mark) bool {
	return !p.closed.Load() && (m.Gen < p.gen || m.Gen == p.gen && m.Seq <= p.seq)
}

// marks returns the marks of a record, sorted, under the amounts that hold here: those
// of a bucket that counts other tokens mean something else.
func (r *Record) marks(rule *rule, t *Table, now Now) []Mark {
	marks := JoinMarks(nil, r.Marks)
	for i := range marks { // so that no sum of them wraps
		marks[i].N = min(max(marks[i].N, -math.MaxInt64/4), math.MaxInt64/4)
	}
	if r.Limit.Kind != bucketring.KindRate || !r.Limit.Refills() || rule.is(r.Limit) {
		return marks
	}
	for i := range marks {
		b := newBucket(t.rules.get(*r.Limit), 0, "", now, 0)
		b.put(b.rule.fold(marks[i:i+1], now), now)
		lacks := b.adjusted(rule, now).missing(now)
		marks[i].At, marks[i].N, marks[i].Part = lacks.At, lacks.N, lacks.Part
	}
	return marks
}

// remembered leaves out the marks of other lineages that say nothing more: they would
// change nothing if they came again.
func (r *rule) remembered(marks []Mark, now Now) []Mark {
	kind := r.limit.Kind
	if kind == bucketring.KindConcurrency || kind == bucketring.KindRegister || kind == bucketring.KindRate && r.limit.Refills() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(marks), func(m Mark) bool {
		switch {
		case kind == bucketring.KindLevel:
			return false
		case r.limit.Algorithm == bucketring.SlidingWindow:
			return m.At+r.slots <= r.slot(r.wall(now))
		case r.limit.Align == bucketring.AlignFirstRequest:
			return !r.countsIn(&m, now)
		default:
			return m.At < r.window(now)
		}
	})
}

// joinLeasesLocked adds the leases that are out and not known here. A lease that is
// known in two places lasts as long as the longer.
func (t *Table) joinLeasesLocked(p *part, partition uint32, r *Record, now Now) {
	c := Counter{Partition: partition, Key: r.Key, Limit: r.Limit}
	hash := t.hash(c.Key, c.Limit)
	b := p.find(hash, &c)
	marks := JoinMarks(nil, r.Marks)
	if own, others := markOf(marks, p.lineage); own != nil && p.knows(own) {
		marks = others
	}
	for _, l := range foldLeases(marks).Leases {
		if l.Expires <= now.Mono || l.Cost < 0 || l.Cost > math.MaxInt64/(2*maxLeases) || l.ID == (bucketring.ID{}) {
			continue
		}
		if b == nil {
			b = newBucket(t.rules.get(*r.Limit), hash, r.Key, now, 0)
			b.wide.leases.lives = t.endings.get(r.Limit)
			t.insertLocked(p, b)
		}
		known, held := b.wide.leases.held[l.ID]
		switch {
		case held:
			known.expires = max(known.expires, l.Expires)
			b.wide.leases.held[l.ID] = known
		case p.leases[l.ID] == nil:
			t.holdLocked(p, b, l.ID, lease{cost: l.Cost, taken: l.Taken, expires: l.Expires, last: l.Last, ttl: l.Life})
		}
	}
	if b != nil && !p.closed.Load() {
		t.note(partition, b)
	}
}

// IsUnused reports whether a record says no more than an absent counter would.
func (t *Table) IsUnused(r *Record, now Now) bool {
	if !valid(r.Limit) {
		return true
	}
	rule := t.rules.get(*r.Limit)
	total := rule.fold(JoinMarks(nil, r.Marks), now)
	if r.Limit.Kind == bucketring.KindConcurrency {
		return !slices.ContainsFunc(total.Leases, func(l Lease) bool { return l.Expires > now.Mono })
	}
	b := newBucket(rule, 0, "", now, 0)
	b.put(total, now)
	return b.isUnused(now)
}

// joinReservedLocked joins a reservation: one that is settled beats one that is not,
// and of two settlements the larger.
func (t *Table) joinReservedLocked(p *part, partition uint32, r *Reserved, now Now) {
	if r.Until <= now.Mono || !valid(r.Limit) || r.Limit.Kind == bucketring.KindConcurrency || r.Charged < 0 || len(r.Key) > bucketring.MaxKeyLen {
		return
	}
	known := p.reserved[r.ID]
	switch {
	case known == nil:
		limit := t.limits.share(r.Limit)
		fresh := &reservation{
			limit: limit, hash: t.hash(r.Key, limit), key: strings.Clone(r.Key), window: r.Window,
			until: r.Until, full: r.Full, charged: r.Charged, settled: r.Settled,
		}
		t.keepLocked(p, r.ID, fresh, now)
	case r.Settled && (!known.settled || r.Charged > known.charged):
		known.settled, known.charged = true, r.Charged
	default:
		return
	}
	t.noteID(partition, r.ID)
}

// reservedAs returns a reservation as it travels. One that is gone is nil and has no
// time left.
func reservedAs(id bucketring.ID, r *reservation) Reserved {
	if r == nil {
		return Reserved{ID: id}
	}
	return Reserved{
		ID: id, Limit: r.limit, Key: r.key, Window: r.window, Until: r.until, Full: r.full, Charged: r.charged, Settled: r.settled,
	}
}
