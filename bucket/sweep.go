// sweep.go drops counters that equal unused ones, and shares one counter per
// limit among new keys while there is no room for theirs.

package bucket

import (
	"maps"
	"sync"
	"time"
)

// Sweep looks at the next partitions, at most budget of them, and drops their
// unused counters. It returns how many it dropped. Only one goroutine may sweep;
// it stops nobody from charging counters that exist.
func (t *Table) Sweep(now Now, budget int) int {
	dropped := 0
	for range min(budget, len(t.parts)) {
		p := &t.parts[t.hand]
		if t.hand = (t.hand + 1) % len(t.parts); t.hand == 0 {
			t.overflow.sweep(now)
		}
		p.mu.Lock()
		dropped += t.sweepLocked(p, now)
		p.mu.Unlock()
	}
	return dropped
}

// sweepFullLocked is sweepLocked for a table without room, at most once a second
// for a partition: a flood of new keys must not make each of them look at all.
func (t *Table) sweepFullLocked(p *part, now Now) int {
	if p.swept > 0 && now.Mono-p.swept < int64(time.Second) {
		return 0
	}
	p.swept = max(now.Mono, 1)
	return t.sweepLocked(p, now)
}

// sweepLocked drops the unused counters of p, and reservations whose time is
// over. Each counter is sealed first, so that a call that holds it already looks
// again instead of charging what is gone.
func (t *Table) sweepLocked(p *part, now Now) int {
	t.forgetOldLocked(p, now)
	slots := p.slots.Load()
	if slots == nil {
		return 0
	}
	var gone map[*bucket]bool
	for i := range *slots {
		b := (*slots)[i].load()
		if b == nil {
			continue
		}
		if b.wide != nil && b.wide.leases != nil {
			t.expireLocked(p, b, now)
		}
		if p.forkLocked(b, b.rule.remembered(p.forks[b], now)); p.forks[b] != nil {
			continue // or what it has heard would count when it is heard again
		}
		if !b.sealUnused(now) {
			continue
		}
		if gone == nil {
			gone = make(map[*bucket]bool)
		}
		gone[b] = true
		t.bytes.Add(-b.size())
	}
	if gone == nil {
		return 0
	}
	p.removeLocked(gone)
	t.keys.Add(-int64(len(gone)))
	t.dropped.Add(int64(len(gone)))
	return len(gone)
}

// overflow holds the counters that new keys share while the table is full.
type overflow struct {
	mu     sync.Mutex
	shared map[limitID]*bucket // guarded by mu
}

// maxShared bounds the shared counters. While the table is full, new keys under
// yet another limit are denied.
const maxShared = 1024

// do carries out a call at the shared counter of the rule's limit, under the
// rule's amount. A call that changes nothing is answered from a copy.
func (o *overflow) do(r *rule, c call, changes bool) (res Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := identity(&r.limit)
	b := o.shared[id]
	switch {
	case b == nil && len(o.shared) >= maxShared:
		b, changes = newBucket(r, 0, "", c.now, r.capacity), false
	case b == nil:
		b = newBucket(r, 0, "", c.now, c.Spent)
	case !changes || !b.rule.is(&r.limit):
		b = b.adjusted(r, c.now)
	}
	b.do(&c.op, c.now, &res) // not sealed: only sweep does, and drops it
	if changes {
		if o.shared == nil {
			o.shared = make(map[limitID]*bucket)
		}
		o.shared[id] = b
	}
	return res
}

// sweep drops shared counters that are unused, to make room for other limits.
func (o *overflow) sweep(now Now) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.shared, func(_ limitID, b *bucket) bool { return b.sealUnused(now) })
}
