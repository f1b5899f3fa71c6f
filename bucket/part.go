// part.go is one partition of the table: open addressing over pointers, read
// without a lock, written under one.

package bucket

import (
	"sync"
	"sync/atomic"

	"github.com/bucketring/bucketring"
)

// A part holds the buckets of one partition. The zero part is empty and open.
type part struct {
	// closed says that the partition is not here. Whoever closes it does so before the
	// slots go, and seals all buckets; whoever finds no bucket looks at it afterwards.
	closed atomic.Bool
	moves  atomic.Uint32 // how often the partition was closed or opened
	gate   sync.RWMutex  // read-held by calls of several charges; held to close

	// slots is replaced as a whole when buckets are dropped or it grows; a new
	// bucket is stored into a free slot. Readers see each bucket complete.
	slots atomic.Pointer[[]slot]
	mu    sync.Mutex // guards all writes: slots, its elements, used, seals
	used  int        // slots taken, at most three quarters
	swept int64      // when sweepFullLocked last looked, monotonic ns; 0 is never

	// Guarded by mu: what has an id.
	leases   map[bucketring.ID]*bucket // the counter that a lease is of
	reserved map[bucketring.ID]*reservation
	forget   int64 // no reservation is to be forgotten earlier, monotonic ns

	// Guarded by mu: what the present holder is called, and what other lineages have
	// counted of what a bucket shows.
	gen, lineage, seq uint64
	forks             map[*bucket][]Mark
}

// find returns the bucket of a counter, under whatever amount, or nil.
func (p *part) find(hash uint64, c *Counter) *bucket {
	slots := p.slots.Load()
	if slots == nil {
		return nil
	}
	mask, tag, hint := uint64(len(*slots)-1), tagOf(hash, c.Key), hintOf(hash)
	for i := hash & mask; ; i = (i + 1) & mask {
		b, free := (*slots)[i].candidate(hint)
		if free {
			return nil // a quarter of the slots is free, so this is reached
		}
		if b != nil && b.tag.Load()&^noted == tag && b.key() == c.Key && b.rule.limit.SameCounter(c.Limit) {
			return b
		}
	}
}

// candidate returns the first bucket that find would look at, or nil.
func (p *part) candidate(hash uint64) *bucket {
	slots := p.slots.Load()
	if slots == nil {
		return nil
	}
	mask, hint := uint64(len(*slots)-1), hintOf(hash)
	for i := hash & mask; ; i = (i + 1) & mask {
		if b, free := (*slots)[i].candidate(hint); free || b != nil {
			return b
		}
	}
}

// insertLocked adds a bucket whose counter is not there yet.
func (p *part) insertLocked(b *bucket) {
	slots := p.slots.Load()
	if slots == nil || p.used >= len(*slots)/4*3 {
		slots = p.rebuiltLocked(p.used+1, nil)
		p.slots.Store(slots)
	}
	put(*slots, b)
	p.used++
}

// replaceLocked puts a bucket of the same counter in the place of old.
func (p *part) replaceLocked(old, b *bucket) {
	slots := *p.slots.Load()
	mask := uint64(len(slots) - 1)
	i := old.hash() & mask
	for slots[i].load() != old {
		i = (i + 1) & mask
	}
	slots[i].store(b)
	if forks, ok := p.forks[old]; ok {
		delete(p.forks, old)
		p.forks[b] = forks
	}
}

// removeLocked drops the buckets in gone.
func (p *part) removeLocked(gone map[*bucket]bool) {
	p.used -= len(gone)
	for b := range p.forks {
		if gone[b] {
			delete(p.forks, b)
		}
	}
	p.slots.Store(p.rebuiltLocked(p.used, gone))
}

// rebuiltLocked copies the slots but for those in gone, with room for want.
func (p *part) rebuiltLocked(want int, gone map[*bucket]bool) *[]slot {
	if want == 0 {
		return nil
	}
	size := 4
	for size/4*3 < want {
		size *= 2
	}
	fresh := make([]slot, size)
	if old := p.slots.Load(); old != nil {
		for i := range *old {
			if b := (*old)[i].load(); b != nil && !gone[b] {
				put(fresh, b)
			}
		}
	}
	return &fresh
}

// put stores b in the first free slot behind its hash.
func put(slots []slot, b *bucket) {
	mask := uint64(len(slots) - 1)
	i := b.hash() & mask
	for slots[i].load() != nil {
		i = (i + 1) & mask
	}
	slots[i].store(b)
}
