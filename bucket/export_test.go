package bucket

import (
	"unsafe"

	"github.com/bucketring/bucketring"
)

const (
	LastTime   = lastTime
	BucketSize = unsafe.Sizeof(bucket{})
	MaxShared  = maxShared
	MaxRules   = maxRules
)

// A Form says what a state of a limit can hold: the exact model has to know
// where a clock stands still and when a count needs more than a word.
type Form struct {
	Wide               bool
	LastMono           int64
	FirstWall          int64
	MaxCount, MaxStart int64 // of a word that counts a window
}

// FormOf returns the form in which a limit's counters begin.
func FormOf(l bucketring.Limit) Form {
	r := newRule(l)
	f := Form{Wide: r.form == formWide, LastMono: r.lastMono, FirstWall: r.firstWall}
	if !f.Wide && r.countBits > 0 {
		f.MaxCount, f.MaxStart = 1<<r.countBits-1, 1<<(63-r.countBits)-1
	}
	return f
}

// HashOf returns the place of a counter, to look at how places spread.
func (t *Table) HashOf(c Counter) uint64 { return t.hash(c.Key, c.Limit) }

// SealInPlace seals a counter and leaves it in the table, as a call can meet it
// while another one replaces it. Busy reports whether somebody holds the lock of
// the counter's partition; Replace ends what SealInPlace began.
func (t *Table) SealInPlace(c Counter, now Now) (busy func() bool, replace func()) {
	p := &t.parts[c.Partition]
	old := p.find(t.hash(c.Key, c.Limit), &c)
	old.seal()
	busy = func() bool {
		if !p.mu.TryLock() {
			return true
		}
		p.mu.Unlock()
		return false
	}
	replace = func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.replaceLocked(old, old.adjusted(old.rule, now))
	}
	return busy, replace
}

// Hold looks a counter up as a call does, and returns what charges it later. ok
// says whether the charge counts.
func (t *Table) Hold(c Counter) (take func(now Now, n int64) (ok bool)) {
	b := t.parts[c.Partition].find(t.hash(c.Key, c.Limit), &c)
	return func(now Now, n int64) bool {
		return b.do(&Op{N: n}, now, new(Result))
	}
}

// A Part is one partition whose hashes the test chooses.
type Part struct{ p part }

// Insert adds a counter with used of its tokens gone.
func (p *Part) Insert(hash uint64, c Counter, now Now, used int64) {
	p.p.mu.Lock()
	defer p.p.mu.Unlock()
	p.p.insertLocked(newBucket(newRule(*c.Limit), hash, c.Key, now, used))
}

// Remaining looks a counter up; ok is false if it is not there.
func (p *Part) Remaining(hash uint64, c Counter, now Now) (remaining int64, ok bool) {
	b := p.p.find(hash, &c)
	if b == nil {
		return 0, false
	}
	var res Result
	b.do(&Op{Verb: bucketring.VerbPeek}, now, &res)
	return res.Remaining, true
}

// Slots returns the size of the part.
func (p *Part) Slots() int {
	slots := p.p.slots.Load()
	if slots == nil {
		return 0
	}
	return len(*slots)
}

// Remove drops counters.
func (p *Part) Remove(hash uint64, cs ...Counter) {
	p.p.mu.Lock()
	defer p.p.mu.Unlock()
	gone := make(map[*bucket]bool)
	for _, c := range cs {
		gone[p.p.find(hash, &c)] = true
	}
	p.p.removeLocked(gone)
}

// A Calendar finds windows, in Unix seconds.
type Calendar struct{ c *calendar }

// NewCalendar returns one that has found none yet.
func NewCalendar(l bucketring.Limit) Calendar { return Calendar{newCalendar(&l)} }

// Span returns the window of a moment.
func (c Calendar) Span(at int64) (start, end int64) {
	s := c.c.span(at)
	return s.start, s.end
}

// Later returns the end of a first-request month or year.
func (c Calendar) Later(start int64) int64 { return c.c.later(start) }
