// reserve.go remembers takes whose cost is known later. A settlement replaces what
// was reserved by the cost, in the window of the take.

package bucket

import (
	"math"
	"strings"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

// reservationSize is what a reservation and its place in the index use, in bytes,
// beside the key.
const reservationSize = 160

// A reservation is one take. All but its last fields never change.
type reservation struct {
	limit  *bucketring.Limit // shared
	hash   uint64
	key    string
	window int64 // Result.Window of the take
	until  int64 // known until then, on the monotonic clock

	charged int64 // tokens that stand for it now
	settled bool
	full    int64 // a token bucket was full again by then, on the monotonic clock
}

func (r *reservation) counter(partition uint32) Counter {
	return Counter{Partition: partition, Key: r.key, Limit: r.limit}
}

func (r *reservation) is(c *Counter) bool {
	return r.key == c.Key && r.limit.SameCounter(c.Limit)
}

// refilled reports whether what a token bucket gave has come back by itself: giving
// it back again would be a gift of what others have taken since.
func (r *reservation) refilled(now Now) bool {
	return r.limit.Kind == bucketring.KindRate && r.limit.Refills() && now.Mono >= r.full
}

// resetReserved makes the reservations of a counter that was reset stand for nothing.
func (t *Table) resetReserved(c *Counter) {
	p := &t.parts[c.Partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, r := range p.reserved {
		if r.is(c) {
			r.charged = 0
			t.noteID(c.Partition, id)
		}
	}
}

func (r *reservation) size() int64 { return reservationSize + int64(len(r.key)+15)&^15 }

// reserve is a take with an ID, or a look at what it would get.
func (t *Table) reserve(op *Op, c Counter, now Now) Result {
	hash, p := t.hash(c.Key, c.Limit), &t.parts[c.Partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return Result{Away: true}
	}
	known := p.reservationLocked(t, op.ID, now)
	if known != nil && known.is(&c) { // repeated: it changes nothing
		res := t.doLocked(p, hash, call{Op{Verb: bucketring.VerbPeek}, c, now})
		res.Repeated = true
		return res
	}
	res := t.doLocked(p, hash, call{*op, c, now})
	if !res.Allowed || known != nil || op.Verb == bucketring.VerbPeek { // an id is for one counter
		return res
	}
	r := &reservation{
		limit: t.limits.share(c.Limit), hash: hash, key: c.Key,
		window: res.Window, charged: op.N, full: plus(max(now.Mono, 0), int64(res.Reset)), until: plus(max(now.Mono, 0), int64(lasts(c.Limit, res))),
	}
	b := p.find(hash, &c)
	switch {
	case b != nil:
		r.key = b.key()
	case op.N > 0: // charged at a counter that it shares
		return res
	default:
		r.key = strings.Clone(c.Key)
	}
	t.keepLocked(p, op.ID, r, now)
	t.noteID(c.Partition, op.ID)
	return res
}

// lasts returns how long a reservation is known: one Per after its window's end,
// and a day where there is none.
func lasts(l *bucketring.Limit, res Result) time.Duration {
	if l.Kind == bucketring.KindLevel {
		return 24 * time.Hour
	}
	if l.Algorithm == bucketring.FixedWindow && res.Reset > 0 {
		return res.Reset + l.Per
	}
	return 2 * l.Per
}

// keepLocked stores a reservation, if there is room for it.
func (t *Table) keepLocked(p *part, id bucketring.ID, r *reservation, now Now) {
	full := func() bool {
		return t.maxKeys > 0 && t.reservations.Load() >= t.maxKeys || t.lacks(r.size())
	}
	if full() {
		t.sweepFullLocked(p, now)
	}
	if full() {
		t.overflowed.Add(1)
		return
	}
	if p.reserved == nil {
		p.reserved, p.forget = make(map[bucketring.ID]*reservation), math.MaxInt64
	}
	p.reserved[id] = r
	p.forget = min(p.forget, r.until)
	t.reservations.Add(1)
	t.bytes.Add(r.size())
}

// reservationLocked returns what is known under an id, nil for nothing.
func (p *part) reservationLocked(t *Table, id bucketring.ID, now Now) *reservation {
	r := p.reserved[id]
	if r != nil && r.until <= now.Mono {
		t.forgetLocked(p, id)
		return nil
	}
	return r
}

func (t *Table) forgetLocked(p *part, id bucketring.ID) {
	t.bytes.Add(-p.reserved[id].size())
	t.reservations.Add(-1)
	delete(p.reserved, id)
}

// forgetOldLocked drops the reservations whose time is over.
func (t *Table) forgetOldLocked(p *part, now Now) {
	if len(p.reserved) == 0 || now.Mono < p.forget {
		return
	}
	p.forget = math.MaxInt64
	for id, r := range p.reserved {
		if r.until <= now.Mono {
			t.forgetLocked(p, id)
			continue
		}
		p.forget = min(p.forget, r.until)
	}
}

// unreserve is a refund with an ID: it gives back what stands for the reservation
// and forgets it. An unknown id gives nothing back.
func (t *Table) unreserve(op *Op, c Counter, now Now) Result {
	hash, p := t.hash(c.Key, c.Limit), &t.parts[c.Partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return Result{Away: true}
	}
	undo := Op{Verb: bucketring.VerbPeek}
	if r := p.reservationLocked(t, op.ID, now); r != nil && r.is(&c) {
		if !r.refilled(now) {
			undo = Op{Verb: bucketring.VerbRefund, N: r.charged, Window: r.window}
		}
		t.forgetLocked(p, op.ID)
		t.noteID(c.Partition, op.ID)
	}
	return t.doLocked(p, hash, call{undo, c, now})
}

// A Settled is the answer to a settlement.
type Settled struct {
	Limit    bucketring.Limit // of the reservation, with the amounts that hold now
	Result   Result           // always allowed
	Repeated bool             // it was settled before: this time nothing changed
	// Err is ErrInvalid for a cost that is below 0 or too large for the limit.
	// Nothing changed then.
	Err error
}

// Settle replaces what a reservation charged by a cost of units + nanos·10^-9, in
// the window of its take. It can leave more used than the limit allows, and it
// changes nothing in a window that is over. The first settlement wins. ok is
// false if the id is unknown, or not known any more.
func (t *Table) Settle(partition uint32, id bucketring.ID, units int64, nanos int32, now Now) (s Settled, ok bool) {
	if uint64(partition) >= uint64(len(t.parts)) {
		return Settled{}, false // ids come from outside
	}
	p := &t.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.reservationLocked(t, id, now)
	if r == nil {
		return Settled{}, false
	}
	op := Op{Verb: bucketring.VerbPeek}
	s.Repeated = r.settled
	if !r.settled {
		cost, err := bucketring.Scale(units, nanos, r.limit.Precision)
		if err == nil && cost < 0 {
			err = bucketring.Invalidf("cost is %d, it must be 0 or more: settle what the work has cost", units)
		}
		if s.Err = err; err == nil {
			if back := cost < r.charged; !back || !r.refilled(now) {
				op = Op{Verb: bucketring.VerbSettle, N: cost - r.charged, Window: r.window}
			}
			r.settled, r.charged = true, cost
			t.noteID(partition, id)
		}
	}
	s.Limit, s.Result = t.settleLocked(p, r, &op, call{op, r.counter(partition), now})
	if op.Verb == bucketring.VerbSettle {
		r.full = plus(max(now.Mono, 0), int64(s.Result.Reset))
	}
	return s, true
}

// force charges a counter whether there is room or not.
func (t *Table) force(op *Op, c Counter, now Now) Result {
	p := &t.parts[c.Partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return Result{Away: true}
	}
	r := &reservation{limit: c.Limit, hash: t.hash(c.Key, c.Limit), key: strings.Clone(c.Key)}
	settle := Op{Verb: bucketring.VerbSettle, N: op.N, Window: op.Window}
	_, res := t.settleLocked(p, r, &settle, call{settle, c, now})
	return res
}

// settleLocked carries out a settlement, or a look, at the counter of r as it is
// now, under whatever amount.
func (t *Table) settleLocked(p *part, r *reservation, op *Op, c call) (bucketring.Limit, Result) {
	l, res := *r.limit, Result{}
	b := p.find(r.hash, &c.Counter)
	if b == nil {
		rule := t.rules.get(l)
		fresh := newBucket(rule, r.hash, r.key, c.now, 0)
		if !fresh.settle(op, c.now, &res) {
			fresh = newBucket(rule.widened(), r.hash, r.key, c.now, 0)
			fresh.settle(op, c.now, &res)
		}
		switch {
		case fresh.sealUnused(c.now): // nothing was charged
		case t.isFull(c.Counter) && (t.sweepFullLocked(p, c.now) == 0 || t.isFull(c.Counter)):
			t.overflowed.Add(1)
		default:
			t.insertLocked(p, fresh)
			t.note(c.Partition, fresh)
		}
		return l, res
	}
	l.Amount, l.Burst = b.rule.limit.Amount, b.rule.limit.Burst
	if !b.settle(op, c.now, &res) {
		b.seal()
		large := b.adjusted(b.rule.widened(), c.now)
		large.settle(op, c.now, &res)
		p.replaceLocked(b, large)
		t.bytes.Add(large.size() - b.size())
		b = large
	}
	t.note(c.Partition, b)
	return l, res
}

// settle is do for a settlement, of a bucket that is not sealed. fits is false if
// the word cannot hold what it makes; nothing was changed then. The loop ends as
// that of do.
func (b *bucket) settle(op *Op, now Now, res *Result) (fits bool) {
	if b.wide != nil {
		return b.wide.do(b.rule, op, now, res)
	}
	for {
		word := b.word.Load()
		if op.Verb == bucketring.VerbSettle && !b.rule.fits(word, now, op.N) {
			return false
		}
		next := b.rule.step(op, word, now, res)
		if next == word || b.word.CompareAndSwap(word, next) {
			return true
		}
	}
}

// limits keeps one copy of each limit that reservations name.
type limits struct {
	mu    sync.Mutex
	known map[bucketring.Limit]*bucketring.Limit // guarded by mu
}

func (ls *limits) share(l *bucketring.Limit) *bucketring.Limit {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if known := ls.known[*l]; known != nil {
		return known
	}
	if ls.known == nil || len(ls.known) >= maxRules {
		ls.known = make(map[bucketring.Limit]*bucketring.Limit) // reservations keep theirs
	}
	fresh := *l
	fresh.Name, fresh.Zone = strings.Clone(l.Name), strings.Clone(l.Zone)
	ls.known[fresh] = &fresh
	return &fresh
}
