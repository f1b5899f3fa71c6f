package bucket

import (
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
)

// Now is one reading of the clocks. A node makes it once per call or batch.
type Now struct {
	Mono int64 // nanoseconds since the node began, never earlier than 0
	Wall int64 // nanoseconds since 1970-01-01 UTC
}

// A Result is what one limit says about one call.
type Result struct {
	Allowed   bool
	Remaining int64         // tokens left after the call, rounded down
	Reset     time.Duration // until the counter is unused again
	Retry     time.Duration // until n would fit; 0 if it does, else maybe bucketring.Never
}

// sealed is the bit of a word that stops all further charges.
const sealed = 1 << 63

// A bucket is one counter. Key and rule never change: another amount makes
// another bucket, which takes over the state of this one.
type bucket struct {
	// word is the state as the rule's form lays it out, and the seal. Takers
	// change it by compare-and-swap; whoever holds the partition's lock may set
	// the seal, after which it is constant. Unused when wide is set.
	word atomic.Uint64
	wide *wide // the state where one word does not hold it, else nil
	rule *rule
	hash uint64
	key  string
}

// newBucket returns the counter of a key, with spent of its tokens gone.
func newBucket(r *rule, hash uint64, key string, now Now, spent int64) *bucket {
	b := &bucket{rule: r, hash: hash, key: key}
	if r.form == formWide {
		b.wide = newWide(r)
	}
	if spent > 0 {
		b.do(bucketring.VerbTake, now, min(spent, r.capacity))
	}
	return b
}

// do carries out a verb. ok is false if the bucket is sealed; nothing was
// changed then and the caller looks the counter up again.
//
// The loop ends: a failed swap means that another call succeeded, or that the
// seal was set, which happens once.
func (b *bucket) do(verb bucketring.Verb, now Now, n int64) (res Result, ok bool) {
	if b.wide != nil {
		return b.wide.do(b.rule, verb, now, n)
	}
	for {
		word := b.word.Load()
		if word&sealed != 0 {
			return Result{}, false
		}
		next, res := b.rule.step(verb, word, now, n)
		if next == word || b.word.CompareAndSwap(word, next) {
			return res, true
		}
	}
}

// seal stops all further charges. The caller holds the partition's lock.
func (b *bucket) seal() {
	if b.wide != nil {
		b.wide.seal()
		return
	}
	b.word.Or(sealed)
}

// sealUnused seals the bucket if it equals an unused one, and reports whether
// it did. A charge that comes between the look and the seal wins.
func (b *bucket) sealUnused(now Now) bool {
	if b.wide != nil {
		return b.wide.sealUnused(b.rule, now)
	}
	word := b.word.Load()
	return b.rule.unused(word, now) && b.word.CompareAndSwap(word, word|sealed)
}
