// allow.go answers whether a take goes ahead and nothing else, for callers in the same
// process: to work out what is left, and until when, takes as long as the take itself.

package bucket

import (
	"sync/atomic"

	"github.com/bucketring/bucketring"
)

// TryAllow is TryTake for who only asks whether the take goes ahead.
func (t *Table) TryAllow(at Place, key string, l *bucketring.Limit, now Now, n int64) (allowed, done bool) {
	b := t.parts[at.part].find(at.hash, &Counter{Partition: at.part, Key: key, Limit: l})
	if b == nil || !b.rule.is(l) {
		return false, false
	}
	return t.allow(at.part, b, now, n)
}

// allow takes n tokens from a bucket under its own amount, or none. done is false if it is
// sealed.
func (t *Table) allow(part uint32, b *bucket, now Now, n int64) (allowed, done bool) {
	if t.changes.first {
		t.note(part, b) // as in try
	}
	if allowed, done = b.allow(n, now); allowed && done {
		t.note(part, b)
	}
	return allowed, done
}

// allow is do for a take that only asks whether there is room.
func (b *bucket) allow(n int64, now Now) (allowed, ok bool) {
	if b.wide != nil || b.rule.form != formGCRA {
		var res Result
		ok = b.do(&Op{N: n}, now, &res)
		return res.Allowed, ok
	}
	for {
		word := b.word.Load()
		if word&sealed != 0 {
			return false, false
		}
		next, allowed := b.rule.allowGCRA(n, word, now)
		if next == word || b.word.CompareAndSwap(word, next) {
			return allowed, true
		}
	}
}

// allowGCRA is stepGCRA for a take that only asks whether there is room.
func (r *rule) allowGCRA(n int64, word uint64, now Now) (next uint64, allowed bool) {
	clock := r.clock(now)
	tat := max(int64(word), clock)
	switch {
	case n == 0: // only looks
		return word, true
	case n > r.capacity || n*r.token > r.full-(tat-clock):
		return word, false
	}
	return uint64(tat + n*r.token), true
}

// A Held is a counter that somebody takes from again and again, who wants it looked up once.
// Who drops, replaces or moves a counter seals it, so a Held never charges what does not
// count any more: it looks again. It keeps the memory of one counter at most, which the
// table does not know of once it has dropped that. It is safe for concurrent use.
type Held struct {
	table *Table
	at    Place
	key   string
	limit *bucketring.Limit
	found atomic.Pointer[bucket] // nil before the first look
}

// Held returns the counter of a valid limit at its place; it need not be there yet.
func (t *Table) Held(at Place, key string, l *bucketring.Limit) *Held {
	return &Held{table: t, at: at, key: key, limit: l}
}

// Partition returns the partition of the counter.
func (h *Held) Partition() uint32 { return h.at.part }

// TryAllow is Table.TryAllow for this counter.
func (h *Held) TryAllow(now Now, n int64) (allowed, done bool) {
	if b := h.found.Load(); b != nil {
		if allowed, done = h.table.allow(h.at.part, b, now, n); done {
			return allowed, true
		}
	}
	b := h.look()
	if b == nil {
		return false, false
	}
	return h.table.allow(h.at.part, b, now, n)
}

// look finds the counter anew, nil if there is none under the limit's amount.
func (h *Held) look() *bucket {
	b := h.table.parts[h.at.part].find(h.at.hash, &Counter{Partition: h.at.part, Key: h.key, Limit: h.limit})
	if b != nil && !b.rule.is(h.limit) {
		b = nil
	}
	if h.found.Load() != b { // where it is not here, many would write the same
		h.found.Store(b)
	}
	return b
}
