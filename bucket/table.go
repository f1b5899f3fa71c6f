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
}

// A Counter names one counter: whose, of which limit, in which partition.
type Counter struct {
	Partition uint32 // below Config.Partitions
	Key       string
	Limit     *bucketring.Limit // valid; read only
	// Spent is how many tokens the counter lacks if it is new. 0 is usual.
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
	overflow overflow

	keys, bytes                   atomic.Int64
	dropped, adjusted, overflowed atomic.Int64
}

// Stats are figures of a Table since it was made.
type Stats struct {
	Keys       int64 // counters now
	Bytes      int64 // estimate of the memory they use
	Dropped    int64 // unused counters removed by sweeping
	Adjusted   int64 // counters carried over to another amount
	Overflowed int64 // calls answered from a shared counter because the table was full
}

// New returns an empty table.
func New(cfg Config) *Table {
	seed := maphash.MakeSeed()
	return &Table{
		seed:    seed,
		salt:    maphash.String(seed, "limits"),
		parts:   make([]part, max(cfg.Partitions, 1)),
		maxKeys: cfg.MaxKeys, maxBytes: cfg.MaxBytes,
	}
}

// Stats returns the present figures.
func (t *Table) Stats() Stats {
	return Stats{
		Keys: t.keys.Load(), Bytes: t.bytes.Load(), Dropped: t.dropped.Load(),
		Adjusted: t.adjusted.Load(), Overflowed: t.overflowed.Load(),
	}
}

// Take takes n ≥ 0 tokens from the counter, or none.
func (t *Table) Take(c Counter, now Now, n int64) Result {
	return t.Do(bucketring.VerbTake, c, now, n)
}

// Do carries out a verb with n ≥ 0 tokens. For a counter that exists under the
// same amount it takes no lock, unless its state is wide, and allocates nothing.
func (t *Table) Do(verb bucketring.Verb, c Counter, now Now, n int64) Result {
	hash := t.hash(c)
	p := &t.parts[c.Partition]
	for {
		b := p.find(hash, c)
		if b == nil || !b.rule.is(c.Limit) {
			return t.other(p, b, hash, call{verb, c, now, n})
		}
		if res, ok := b.do(verb, now, n); ok {
			return res
		}
		// The bucket was sealed between the look-up and the charge. Whoever
		// sealed it holds the lock until the slot has changed.
		p.mu.Lock()
		//lint:ignore SA2001 waiting is the purpose
		p.mu.Unlock()
	}
}

// hash places a counter within its partition.
func (t *Table) hash(c Counter) uint64 {
	// A Per is whole seconds, so the sum tells limits apart.
	limit := uint64(c.Limit.Per) + uint64(c.Limit.Algorithm)<<8 + uint64(c.Limit.Align)
	return maphash.String(t.seed, c.Key) ^ scatter(limit^t.salt)
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
	verb bucketring.Verb
	Counter
	now Now
	n   int64
}

// changes reports whether the call leaves a trace at b, which counts under
// another amount or, if it is nil, does not exist yet.
func (c *call) changes(b *bucket) bool {
	switch c.verb {
	case bucketring.VerbTake:
		if 0 < c.n && c.n <= c.Limit.Capacity() {
			return true
		}
	case bucketring.VerbRefund, bucketring.VerbReset:
		if b != nil {
			return true
		}
	}
	return b == nil && c.Spent > 0
}

// other carries out a call where no bucket exists (b is nil) or b counts under
// another amount. A bucket that is new is charged before others can see it, so
// that none of them adjusts or drops it in between.
func (t *Table) other(p *part, b *bucket, hash uint64, c call) Result {
	r := t.rules.get(*c.Limit)
	if b == nil && !c.changes(nil) { // floods of these need no lock
		return t.look(nil, r, c)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.find(hash, c.Counter) // again: it may have come or gone meanwhile
	switch {
	case old != nil && old.rule.is(c.Limit):
		res, _ := old.do(c.verb, c.now, c.n) // not sealed: the lock is held
		return res
	case !c.changes(old):
		return t.look(old, r, c)
	case old != nil:
		old.seal()
		b = old.adjusted(r, c.now)
	case t.isFull(c.Counter) && (t.sweepFullLocked(p, c.now) == 0 || t.isFull(c.Counter)):
		t.overflowed.Add(1)
		return t.overflow.do(r, c, true)
	default:
		b = newBucket(r, hash, strings.Clone(c.Key), c.now, c.Spent) // a key may be part of a large message
	}
	res, _ := b.do(c.verb, c.now, c.n)
	if old != nil {
		p.replaceLocked(old, b)
		t.bytes.Add(b.size() - old.size())
		t.adjusted.Add(1)
		return res
	}
	p.insertLocked(b)
	t.keys.Add(1)
	t.bytes.Add(b.size())
	return res
}

// look answers a call that changes nothing, from a bucket that nobody else sees.
// What changes nothing creates nothing.
func (t *Table) look(b *bucket, r *rule, c call) Result {
	switch {
	case b != nil:
		b = b.adjusted(r, c.now)
	case t.isFull(c.Counter):
		return t.overflow.do(r, c, false)
	default:
		b = newBucket(r, 0, c.Key, c.now, 0)
	}
	res, _ := b.do(c.verb, c.now, c.n)
	return res
}

// isFull reports whether a counter like c would be one too many.
func (t *Table) isFull(c Counter) bool {
	return t.maxKeys > 0 && t.keys.Load() >= t.maxKeys ||
		t.maxBytes > 0 && t.bytes.Load()+bucketSize+int64(len(c.Key)) > t.maxBytes
}

const (
	bucketSize = 64 // a bucket and its slot, in bytes
	wideSize   = 176
)

// size estimates the memory of a bucket in bytes.
func (b *bucket) size() int64 {
	size := int64(bucketSize + (len(b.key)+15)&^15)
	if b.wide != nil {
		size += wideSize + int64(len(b.wide.slots.counts))*8
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
	l.Name, l.Accuracy, l.Unavailable = "", 0, 0 // do not matter for counting
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
	r = newRule(l)
	rs.known[l] = r
	return r
}
