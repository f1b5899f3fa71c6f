package bucket

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bucketring/bucketring"
)

// Config bounds a Table. The zero Config is one partition without bounds.
type Config struct {
	// Partitions is the number of independent parts; 0 means 1. Each partition
	// can be sealed and moved without touching the others.
	Partitions int
	// MaxKeys and MaxBytes bound what is kept; 0 means no bound. At a bound, new
	// keys share one counter per limit instead of pushing out others. MaxBytes
	// counts an estimate of the heap, in bytes.
	MaxKeys, MaxBytes int64
	// Closed has all partitions begin elsewhere: see Open. With Traced, CloseChanged
	// knows what was charged since.
	Closed, Traced bool
	// Lineage is what counts before anybody opens a partition.
	Lineage uint64
}

// A Counter names one counter: whose, of which limit, in which partition.
type Counter struct {
	Partition uint32 // below Config.Partitions
	Key       string
	Limit     *bucketring.Limit // valid, and not a cap; read only
	// Spent is how many tokens a rate's counter lacks if it is new. 0 is usual.
	Spent int64
}

// A Table is a set of counters. It is safe for concurrent use.
type Table struct {
	seed     maphash.Seed // of this process: no set of keys is crafted for it
	salt     uint64       // likewise for the limits of one key
	parts    []part
	maxKeys  int64
	maxBytes int64
	hand     int // the next partition to sweep; only Sweep uses it

	rules    rules
	limits   limits
	endings  endings
	overflow overflow
	changes  changes

	keys, bytes                   atomic.Int64
	leases, reservations          atomic.Int64
	dropped, adjusted, overflowed atomic.Int64
}

// Stats are figures of a Table since it was made.
type Stats struct {
	Keys     int64 // counters now
	Bytes    int64 // estimate of the memory they use
	Dropped  int64 // unused counters removed by sweeping
	Adjusted int64 // counters carried over to another amount
	// Overflowed are calls that the table was too full for: answered from a shared
	// counter, denied a lease or a level, or taken without a reservation.
	Overflowed   int64
	Leases       int64 // that are out, or ended without anybody having looked
	Reservations int64 // that can be settled, or repeat that they are
}

// Plus returns the figures of two tables together.
func (s Stats) Plus(o Stats) Stats {
	return Stats{
		Keys: s.Keys + o.Keys, Bytes: s.Bytes + o.Bytes, Dropped: s.Dropped + o.Dropped, Adjusted: s.Adjusted + o.Adjusted,
		Overflowed: s.Overflowed + o.Overflowed, Leases: s.Leases + o.Leases, Reservations: s.Reservations + o.Reservations,
	}
}

// New returns an empty table.
func New(cfg Config) *Table {
	seed := maphash.MakeSeed()
	t := &Table{
		seed:    seed,
		salt:    maphash.String(seed, "limits"),
		parts:   make([]part, max(cfg.Partitions, 1)),
		maxKeys: cfg.MaxKeys, maxBytes: cfg.MaxBytes,
	}
	for i := range t.parts {
		t.parts[i].closed.Store(cfg.Closed)
		t.parts[i].lineage = cfg.Lineage
	}
	t.changes.first = cfg.Traced
	t.changes.on.Store(cfg.Traced)
	return t
}

// Stats returns the present figures.
func (t *Table) Stats() Stats {
	return Stats{
		Keys: t.keys.Load(), Bytes: t.bytes.Load(), Dropped: t.dropped.Load(),
		Adjusted: t.adjusted.Load(), Overflowed: t.overflowed.Load(),
		Leases: t.leases.Load(), Reservations: t.reservations.Load(),
	}
}

// Take takes n ≥ 0 tokens from the counter, or none.
func (t *Table) Take(c Counter, now Now, n int64) (res Result) {
	t.do(&Op{N: n}, c, now, &res)
	return res
}

// Do carries out a verb with n ≥ 0 tokens. For a counter that exists under the
// same amount it takes no lock, unless its state is wide, and allocates nothing.
func (t *Table) Do(verb bucketring.Verb, c Counter, now Now, n int64) (res Result) {
	t.do(&Op{Verb: verb, N: n}, c, now, &res)
	return res
}

// TryTake takes n ≥ 0 tokens of a rate from a counter at its place, if it is here and exists
// under the limit's amount. It reports whether that was so and res has the answer; else it has
// done nothing. Such a limit is valid, except for what does not matter for counting: it was
// looked at when the counter was made.
func (t *Table) TryTake(at Place, key string, l *bucketring.Limit, now Now, n int64, res *Result) (done bool) {
	_, done = t.try(at.hash, &Op{N: n}, &Counter{Partition: at.part, Key: key, Limit: l}, now, res)
	return done
}

// Apply is Do with all that a call can say.
func (t *Table) Apply(op Op, c Counter, now Now) (res Result) {
	if op.ID != (bucketring.ID{}) && c.Limit.Kind != bucketring.KindConcurrency {
		switch op.Verb {
		case bucketring.VerbTake, bucketring.VerbPeek:
			return t.reserve(&op, c, now)
		case bucketring.VerbRefund:
			return t.unreserve(&op, c, now)
		}
	}
	if op.Force && c.Limit.Kind == bucketring.KindRate {
		return t.force(&op, c, now)
	}
	t.do(&op, c, now, &res)
	if op.Verb == bucketring.VerbReset && !res.Away {
		t.resetReserved(&c)
	}
	return res
}

func (t *Table) do(op *Op, c Counter, now Now, res *Result) {
	switch {
	case c.Limit.Kind == bucketring.KindConcurrency:
		*res = t.lease(op, c, now)
		return
	case op.Verb > bucketring.VerbReset && c.Limit.Kind == bucketring.KindRate:
		op.Verb, op.N = bucketring.VerbPeek, 0 // only levels have more verbs
	}
	hash := t.hash(c.Key, c.Limit)
	p := &t.parts[c.Partition]
	for {
		b, done := t.try(hash, op, &c, now, res)
		switch {
		case done:
			return
		case b == nil || !b.rule.is(c.Limit):
			*res = t.other(p, b, hash, call{*op, c, now})
			return
		}
		// The bucket was sealed between the look-up and the charge. Whoever
		// sealed it holds the lock until the slot has changed.
		p.mu.Lock()
		//lint:ignore SA2001 waiting is the purpose
		p.mu.Unlock()
	}
}

// try carries out a call on the bucket that it finds, if that counts under the limit's
// amount and is not sealed.
func (t *Table) try(hash uint64, op *Op, c *Counter, now Now, res *Result) (b *bucket, done bool) {
	b = t.parts[c.Partition].find(hash, c)
	if b == nil || !b.rule.is(c.Limit) {
		return b, false
	}
	if t.changes.first && op.Verb != bucketring.VerbPeek {
		t.note(c.Partition, b) // a charge is noted before CloseChanged can look
	}
	if !b.do(op, now, res) {
		return b, false
	}
	if op.leavesTrace(res) && t.changes.on.Load() {
		t.note(c.Partition, b)
	}
	return b, true
}

// hash places a counter within its partition.
func (t *Table) hash(key string, l *bucketring.Limit) uint64 {
	limit := uint64(l.Window()) | uint64(l.Precision)<<55 | uint64(l.Align)<<58 | uint64(l.Algorithm)<<60 | uint64(l.Kind)<<62
	limit ^= t.salt ^ l.ID*0x9e3779b97f4a7c15 // odd, so that all IDs stay apart
	if l.Zone != "" {
		limit ^= maphash.String(t.seed, l.Zone)
	}
	return (maphash.String(t.seed, key) ^ scatter(limit)) & hashMask
}

// scatter is the last step of SplitMix64 (Steele, Lea, Flood, 2014). Callers
// choose windows as freely as keys; this sends even their multiples far apart.
func scatter(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// A call is what a caller wants of a counter.
type call struct {
	op Op
	Counter
	now Now
}

// changes reports whether the call leaves a trace at b, which counts under
// another amount or, if it is nil, does not exist yet.
func (c *call) changes(b *bucket) bool {
	if b != nil && c.Limit.ID != 0 {
		return true // a policy's new rate holds from the first call, also one that looks
	}
	switch c.op.Verb {
	case bucketring.VerbTake, bucketring.VerbAdd:
		if 0 < c.op.N && c.op.N <= c.Limit.Capacity() || c.op.N < 0 && b != nil {
			return true
		}
	case bucketring.VerbSet, bucketring.VerbStep:
		return true
	case bucketring.VerbRefund, bucketring.VerbReset:
		if b != nil {
			return true
		}
	}
	return b == nil && c.Spent > 0 && c.Limit.Kind == bucketring.KindRate
}

// other carries out a call where no bucket exists (b is nil) or b counts under
// another amount.
func (t *Table) other(p *part, b *bucket, hash uint64, c call) Result {
	moves := p.moves.Load()
	if p.closed.Load() {
		return Result{Away: true}
	}
	if b == nil && !c.changes(nil) { // floods of these need no lock
		// The first look-up may have been while the partition was away.
		if p.find(hash, &c.Counter) == nil && p.moves.Load() == moves {
			return t.look(nil, t.rules.get(*c.Limit), c)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return t.doLocked(p, hash, c)
}

// doLocked carries out a call whatever there is. A bucket that is new is charged
// before others can see it, so that none of them adjusts or drops it in between.
func (t *Table) doLocked(p *part, hash uint64, c call) (res Result) {
	if p.closed.Load() {
		return Result{Away: true}
	}
	old := p.find(hash, &c.Counter)
	if old != nil && old.rule.is(c.Limit) {
		old.do(&c.op, c.now, &res) // not sealed: the lock is held
		if c.op.Verb != bucketring.VerbPeek {
			t.note(c.Partition, old)
		}
		return res
	}
	if old != nil && c.op.Verb == bucketring.VerbRefund && c.Limit.ID != 0 {
		old.do(&c.op, c.now, &res) // what was charged under an old amount does not bring that back
		t.note(c.Partition, old)
		return res
	}
	r := t.rules.get(*c.Limit)
	switch {
	case old == nil && c.op.Step != nil:
		return t.firstStepLocked(p, r, hash, &c)
	case !c.changes(old):
		return t.look(old, r, c)
	case old != nil:
		old.seal()
		b := old.adjusted(r, c.now)
		b.do(&c.op, c.now, &res)
		p.replaceLocked(old, b)
		t.note(c.Partition, b)
		t.bytes.Add(b.size() - old.size())
		t.adjusted.Add(1)
		return res
	case t.isFull(c.Counter) && (t.sweepFullLocked(p, c.now) == 0 || t.isFull(c.Counter)):
		t.overflowed.Add(1)
		return t.withoutRoom(r, c, true)
	}
	b := newBucket(r, hash, c.Key, c.now, c.Spent)
	b.do(&c.op, c.now, &res)
	t.insertLocked(p, b)
	t.note(c.Partition, b)
	return res
}

func (t *Table) insertLocked(p *part, b *bucket) {
	p.insertLocked(b)
	t.keys.Add(1)
	t.bytes.Add(b.size())
}

// withoutRoom answers for a counter that does not fit the full table: from one
// that all such keys of the limit share. What is held until it is released cannot
// be shared.
func (t *Table) withoutRoom(r *rule, c call, changes bool) Result {
	if r.limit.Kind == bucketring.KindRate {
		return t.overflow.do(r, c, changes)
	}
	res := Result{Allowed: true, Remaining: r.capacity}
	if c.op.N > 0 || c.op.Verb == bucketring.VerbSet {
		res.Allowed, res.Retry = false, retryFull
	}
	return res
}

// look answers a call that changes nothing, from a bucket that nobody else sees.
// What changes nothing creates nothing.
func (t *Table) look(b *bucket, r *rule, c call) (res Result) {
	switch {
	case b != nil:
		b = b.adjusted(r, c.now)
	case t.isFull(c.Counter):
		return t.withoutRoom(r, c, false)
	default:
		b = newBucket(r, 0, c.Key, c.now, 0)
	}
	b.do(&c.op, c.now, &res)
	return res
}

// isFull reports whether a counter like c would be one too many.
func (t *Table) isFull(c Counter) bool {
	return t.maxKeys > 0 && t.keys.Load() >= t.maxKeys || t.lacks(bucketSize+int64(len(c.Key)))
}

// lacks reports whether there is no room for that many bytes.
func (t *Table) lacks(size int64) bool {
	return t.maxBytes > 0 && t.bytes.Load()+size > t.maxBytes
}

const (
	bucketSize = 48 // a bucket and its slot, in bytes
	wideSize   = 192
)

// size estimates the memory of a bucket in bytes.
func (b *bucket) size() int64 {
	size := int64(bucketSize + (len(b.key())+15)&^15)
	if b.wide != nil {
		size += wideSize + int64(len(b.wide.slots.counts))*8
		if b.rule.limit.Kind == bucketring.KindRegister {
			size += registerSize
		}
	}
	return size
}

// rules shares compiled limits between buckets.
type rules struct {
	mu    sync.RWMutex
	known map[bucketring.Limit]*rule // guarded by mu
}

// maxRules bounds the shared rules: callers choose amounts freely.
const maxRules = 4096

// get returns the rule of a valid limit.
func (rs *rules) get(l bucketring.Limit) *rule {
	l.Name, l.Accuracy, l.Slack, l.Unavailable, l.Durable, l.TTL, l.MaxAge = "", 0, 0, 0, false, 0, 0 // do not matter for counting
	rs.mu.RLock()
	r := rs.known[l]
	rs.mu.RUnlock()
	if r != nil {
		return r
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.known == nil || len(rs.known) >= maxRules {
		rs.known = make(map[bucketring.Limit]*rule) // buckets keep theirs
	}
	l.Zone = strings.Clone(l.Zone) // as a key, it may be part of a large message
	r = newRule(l)
	rs.known[l] = r
	return r
}
