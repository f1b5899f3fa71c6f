// leases.go counts what is out at one moment: the set of leases of a key, each
// with its cost and its end. All of it is under the partition's lock, as is the
// index that finds a lease by its id.

package bucket

import (
	"math"
	"time"

	"github.com/bucketring/bucketring"
)

const (
	// maxLeases bounds the leases of one key.
	maxLeases = 10_000
	// leaseSize is what a lease and its place in the index use, in bytes.
	leaseSize = 160
	// retryFull is the Retry of a denial for want of memory.
	retryFull = time.Second
)

// A lease is a part of a limit that is out. Times are on the monotonic clock.
type lease struct {
	cost           int64
	taken, expires int64
	last           int64 // no renewal goes beyond it
	ttl            int64
}

// leases are those of one key. An amount is not part of the state: each call
// brings its own.
type leases struct {
	held  map[bucketring.ID]lease
	used  int64 // the sum of their costs
	first int64 // no lease expires earlier
	lives *lives
}

func newLeases() *leases {
	return &leases{held: make(map[bucketring.ID]lease), first: math.MaxInt64}
}

// lease carries out a call at a concurrency limit.
func (t *Table) lease(op *Op, c Counter, now Now) Result {
	hash, p := t.hash(c.Key, c.Limit), &t.parts[c.Partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return Result{Away: true}
	}
	if holder := p.leases[op.ID]; holder != nil {
		t.expireLocked(p, holder, now)
	}
	b, used := p.find(hash, &c), int64(0)
	if b != nil {
		t.expireLocked(p, b, now)
		used = b.wide.leases.used
	}
	res := Result{Allowed: true}
	switch op.Verb {
	case bucketring.VerbTake:
		res = t.takeLeaseLocked(p, b, hash, call{*op, c, now})
		if b == nil { // it may be there now
			b = p.find(hash, &c)
		}
	case bucketring.VerbPeek:
		if op.N > 0 && p.leases[op.ID] == nil {
			if res = b.roomFor(op.N, c.Limit); res.Allowed {
				used += op.N
			}
		}
	case bucketring.VerbRefund: // an undone take says nothing of how long work lasts
		if b != nil && p.leases[op.ID] == b {
			t.endLocked(p, b, op.ID)
		}
	case bucketring.VerbReset:
		if b != nil {
			for id := range b.wide.leases.held {
				t.endLocked(p, b, id)
			}
		}
	}
	if b != nil && op.Verb != bucketring.VerbPeek {
		used = b.wide.leases.used
		t.note(c.Partition, b)
	}
	res.Used, res.Remaining = used, max(c.Limit.Amount-used, 0)
	return res
}

// roomFor says whether n > 0 fit beside the leases of b, which may be nil.
func (b *bucket) roomFor(n int64, l *bucketring.Limit) Result {
	switch {
	case n > l.Amount:
		return Result{Retry: bucketring.Never}
	case b == nil || n <= l.Amount-b.wide.leases.used && len(b.wide.leases.held) < maxLeases:
		return Result{Allowed: true}
	default:
		return Result{Retry: b.wide.leases.lives.median()}
	}
}

// takeLeaseLocked takes a lease, unless it is out already.
func (t *Table) takeLeaseLocked(p *part, b *bucket, hash uint64, c call) Result {
	n, holder := c.op.N, p.leases[c.op.ID]
	switch {
	case n <= 0 || b != nil && holder == b:
		return Result{Allowed: true, Repeated: n > 0}
	case holder != nil || c.op.ID == bucketring.ID{}:
		return Result{Retry: bucketring.Never} // it could not be ended
	}
	if res := b.roomFor(n, c.Limit); !res.Allowed {
		return res
	}
	if b == nil && t.isFull(c.Counter) {
		t.sweepFullLocked(p, c.now)
	}
	if b == nil && t.isFull(c.Counter) || t.lacks(leaseSize) {
		t.overflowed.Add(1)
		return Result{Retry: retryFull}
	}
	if b == nil {
		b = newBucket(t.rules.get(*c.Limit), hash, c.Key, c.now, 0)
		b.wide.leases.lives = t.endings.get(c.Limit)
		t.insertLocked(p, b)
	}
	taken, ttl := max(c.now.Mono, 0), int64(c.Limit.TTL)
	l := lease{cost: n, taken: taken, last: math.MaxInt64, ttl: ttl}
	if c.Limit.MaxAge > 0 {
		l.last = plus(taken, int64(c.Limit.MaxAge))
	}
	l.expires = min(plus(taken, ttl), l.last)
	t.holdLocked(p, b, c.op.ID, l)
	return Result{Allowed: true}
}

// holdLocked adds a lease.
func (t *Table) holdLocked(p *part, b *bucket, id bucketring.ID, l lease) {
	set := b.wide.leases
	set.held[id] = l
	set.used += l.cost
	set.first = min(set.first, l.expires)
	if p.leases == nil {
		p.leases = make(map[bucketring.ID]*bucket)
	}
	p.leases[id] = b
	t.leases.Add(1)
	t.bytes.Add(leaseSize)
}

// leased returns the leases of b as they travel.
func (b *bucket) leased() (m Mark) {
	for id, l := range b.wide.leases.held {
		m.Leases = append(m.Leases, Lease{ID: id, Cost: l.cost, Taken: l.taken, Expires: l.expires, Last: l.last, Life: l.ttl})
	}
	return m
}

// plus adds a duration to a time and stays within int64.
func plus(at, d int64) int64 { return at + min(d, math.MaxInt64-at) }

// Renew makes a lease last another TTL from now, but not beyond its MaxAge, and
// returns the time it has left. ok is false if the lease is unknown or has ended.
func (t *Table) Renew(partition uint32, id bucketring.ID, now Now) (left time.Duration, ok bool) {
	p, b, l := t.findLease(partition, id, now)
	if b == nil {
		return 0, false
	}
	defer p.mu.Unlock()
	l.expires = max(l.expires, min(plus(max(now.Mono, 0), l.ttl), l.last))
	b.wide.leases.held[id] = l
	t.note(partition, b)
	return time.Duration(l.expires - max(now.Mono, 0)), true
}

// Release ends a lease. ok is false if it is unknown or had ended before.
func (t *Table) Release(partition uint32, id bucketring.ID, now Now) (ok bool) {
	p, b, l := t.findLease(partition, id, now)
	if b == nil {
		return false
	}
	defer p.mu.Unlock()
	b.wide.leases.lives.add(max(time.Duration(now.Mono-l.taken), 0))
	t.endLocked(p, b, id)
	t.note(partition, b)
	return true
}

// findLease finds a lease that has not ended. If there is one, the lock of its
// partition is held.
func (t *Table) findLease(partition uint32, id bucketring.ID, now Now) (*part, *bucket, lease) {
	if uint64(partition) >= uint64(len(t.parts)) {
		return nil, nil, lease{} // ids come from outside
	}
	p := &t.parts[partition]
	p.mu.Lock()
	if b := p.leases[id]; b != nil {
		t.expireLocked(p, b, now)
		if l, ok := b.wide.leases.held[id]; ok {
			return p, b, l
		}
	}
	p.mu.Unlock()
	return nil, nil, lease{}
}

// expireLocked ends the leases of b whose time is over. Most of the time it knows
// at once that there are none.
func (t *Table) expireLocked(p *part, b *bucket, now Now) {
	set := b.wide.leases
	if now.Mono < set.first {
		return
	}
	set.first = math.MaxInt64
	for id, l := range set.held {
		if l.expires <= now.Mono {
			set.lives.add(time.Duration(l.expires - l.taken))
			t.endLocked(p, b, id)
			continue
		}
		set.first = min(set.first, l.expires)
	}
}

// endLocked forgets a lease.
func (t *Table) endLocked(p *part, b *bucket, id bucketring.ID) {
	set := b.wide.leases
	set.used -= set.held[id].cost
	delete(set.held, id)
	delete(p.leases, id)
	t.leases.Add(-1)
	t.bytes.Add(-leaseSize)
}
