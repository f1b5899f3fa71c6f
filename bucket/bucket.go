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

// An Op is what a call wants of one counter. What a verb has no use for is
// ignored.
type Op struct {
	Verb bucketring.Verb // take, peek, refund, reset; for levels also add and set; step
	// N is a number of tokens in the limit's precision, 0 or more; for VerbAdd also
	// less.
	N int64
	// ID names the lease or reservation that a take makes; within its partition it
	// is for one counter only. A refund with an ID takes exactly that take back.
	// With an ID and an N of 0, a take or peek of a rate is denied where one token
	// would be: it is charged afterwards.
	ID bucketring.ID
	// Window is for a refund of a windowed rate or a level: it gives back in this window only
	// (Result.Window); 0 is the present one.
	Window int64
	// Version orders VerbSet; 0 is above the last one.
	Version int64
	// Force has a take of a rate charged even if there is no room. With a Window it
	// counts there, or not at all.
	Force bool
	// Step is what VerbStep runs, and has its answer afterwards. Registers only.
	Step *Stepping
}

// leavesTrace reports whether an op that was carried out has changed its bucket.
func (op *Op) leavesTrace(res *Result) bool {
	return res.Allowed && op.Verb != bucketring.VerbPeek && (op.Step == nil || op.Step.changed)
}

// need is how many tokens a rate must have for a take of op.
func (op *Op) need() int64 {
	if op.N == 0 && op.ID != (bucketring.ID{}) {
		return 1
	}
	return op.N
}

// A Result is what one limit says about one call. After a peek that is allowed,
// it shows what a take would leave.
type Result struct {
	Allowed   bool
	Remaining int64         // tokens left after the call, rounded down
	Used      int64         // capacity - Remaining, or more after a lowered limit or a settlement
	Reset     time.Duration // until the counter is unused again; 0 if no time brings that
	Retry     time.Duration // until n would fit; 0 if it does, else maybe bucketring.Never
	Next      time.Duration // until there is one token more than Remaining; 0 if no time brings one
	// Window tells the windows of a rate apart; of a sliding window it is the slot, of a level
	// the time between two sets.
	// It is 0 for what has none.
	Window int64
	// Repeated says that a take found its lease or reservation made already, and
	// changed nothing.
	Repeated bool
	// Away says that the partition is not here, and nothing else: nothing was changed.
	Away bool
}

// sealed is the bit of a word that stops all further charges.
const sealed = 1 << 63

// A bucket is one counter. Key and rule never change: another amount makes
// another bucket, which takes over the state of this one. The key stands behind it: key.go.
type bucket struct {
	// word is the state as the rule's form lays it out, and the seal. Takers
	// change it by compare-and-swap; whoever holds the partition's lock may set
	// the seal, after which it is constant. Unused when wide is set.
	word atomic.Uint64
	wide *wide // the state where one word does not hold it, else nil
	rule *rule
	tag  atomic.Uint64 // the hash, how long the key is, and whether changes.go has noted the bucket
}

func (b *bucket) hash() uint64 { return b.tag.Load() & hashMask }

// newBucket returns the counter of a key, with spent of its tokens gone if it is
// a rate. It keeps a copy of the key.
func newBucket(r *rule, hash uint64, key string, now Now, spent int64) *bucket {
	b := bucketFor(hash, key)
	b.rule = r
	if r.form == formWide {
		b.wide = newWide(r)
	}
	if spent > 0 && r.limit.Kind == bucketring.KindRate {
		b.do(&Op{N: min(spent, r.capacity)}, now, new(Result))
	}
	return b
}

// do carries out a verb. It answers in res, which saves copying what does not fit
// the registers. ok is false if the bucket is sealed; nothing was changed then and
// the caller looks the counter up again.
//
// The loop ends: a failed swap means that another call succeeded, or that the
// seal was set, which happens once.
func (b *bucket) do(op *Op, now Now, res *Result) (ok bool) {
	if b.wide != nil {
		return b.wide.do(b.rule, op, now, res)
	}
	for {
		word := b.word.Load()
		if word&sealed != 0 {
			return false
		}
		next := b.rule.step(op, word, now, res)
		if next == word || b.word.CompareAndSwap(word, next) {
			return true
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

// isSealed reports whether the bucket is not in its table any more, or about to be. The
// caller holds the partition's lock.
func (b *bucket) isSealed() bool {
	if b.wide != nil {
		return b.wide.isSealed()
	}
	return b.word.Load()&sealed != 0
}

// sealUnused seals the bucket if it equals an unused one, and reports whether
// it did. A charge that comes between the look and the seal wins.
func (b *bucket) sealUnused(now Now) bool {
	if b.wide != nil {
		return b.wide.sealUnused(b.rule, now)
	}
	for {
		word := b.word.Load()
		if !b.rule.unused(word, now) {
			return false
		}
		if b.word.CompareAndSwap(word, word|sealed) {
			return true
		}
		// A charge came in between. One with an earlier time may have left the bucket
		// unused all the same.
	}
}

// isUnused reports whether the bucket equals an unused one.
func (b *bucket) isUnused(now Now) bool {
	if b.wide != nil {
		b.wide.mu.Lock()
		defer b.wide.mu.Unlock()
		return b.wide.unusedLocked(b.rule, now)
	}
	return b.rule.unused(b.word.Load()&^sealed, now)
}
