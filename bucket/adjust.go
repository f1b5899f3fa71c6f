// adjust.go carries a counter's state over to another amount of its limit, and a
// policy's bucket to another Per. A token bucket keeps its tokens, with fraction, up
// to the new capacity; a full one of a limit that came with the call stays full, and a
// debt is paid back at the old rate. Windows keep what was used and levels what they
// are, also above a lower limit.

package bucket

import (
	"math"
	"math/big"
	"slices"

	"github.com/bucketring/bucketring"
)

// adjusted returns a bucket under the rule r, which is another amount of the
// same limit, with the state of b as it is now. If the new bucket is to replace
// b, the caller seals b first.
func (b *bucket) adjusted(r *rule, now Now) *bucket {
	to := newBucket(r, b.hash(), b.key(), now, 0)
	switch {
	case r.limit.Kind == bucketring.KindLevel:
		b.wide.mu.Lock()
		defer b.wide.mu.Unlock()
		to.wide.level = b.wide.level
	case r.limit.Algorithm == bucketring.Cell:
		to.wide.bucket = b.asLongFromFull(r, now)
	case r.limit.Refills():
		left, at := b.tokens(now)
		if left == nil && r.limit.ID != 0 { // full: it has what it could hold, and no more
			left = new(big.Rat).SetInt64(b.rule.capacity)
		}
		if left != nil {
			to.putTokens(left, at)
		}
	case r.limit.Align == bucketring.AlignFirstRequest:
		to.putStarted(b.started())
	default:
		to.putSlots(b.slots())
	}
	return to
}

// asLongFromFull returns the state of a Cell under another amount: the time until it is
// full stays, cut to a unit of r.
func (b *bucket) asLongFromFull(r *rule, now Now) missing {
	b.wide.mu.Lock()
	defer b.wide.mu.Unlock()
	m, old := &b.wide.bucket, b.rule
	m.advance(old, now)
	units := new(big.Int).Mul(big.NewInt(m.whole), big.NewInt(old.token)) // one takes 1/old.unit of a tick
	units.Add(units, big.NewInt(m.frac))
	units.Div(units.Mul(units, big.NewInt(r.unit)), big.NewInt(old.unit))
	whole, frac := units.QuoRem(units, big.NewInt(r.token), new(big.Int))
	if !whole.IsInt64() {
		return missing{math.MaxInt64 - 1, 0, m.at}
	}
	return missing{min(whole.Int64(), math.MaxInt64-1), frac.Int64(), m.at}
}

// tokens returns what is left in a token bucket, nil if it is full, and when:
// at now, or later if the bucket has seen that now is a reading from the past.
func (b *bucket) tokens(now Now) (left *big.Rat, at Now) {
	r := b.rule
	if b.wide == nil {
		tat := int64(b.word.Load() &^ sealed)
		empty := ceilDiv(max(tat-r.full, 0), r.unit) * tick // at least that late it is
		at.Mono = max(r.mono(now), empty)
		lacks := tat - r.clock(at)
		if lacks <= 0 {
			return nil, at
		}
		return big.NewRat(r.full-lacks, r.token), at
	}
	b.wide.mu.Lock()
	defer b.wide.mu.Unlock()
	b.wide.bucket.advance(r, now)
	m := b.wide.bucket
	if debt := m.over(r, 0); debt.whole > 0 || debt.frac > 0 {
		m.advance(r, Now{Mono: m.at*r.tick + int64(debt.wait(r, Now{Mono: m.at * r.tick}))})
	}
	at.Mono = m.at * r.tick
	if m.whole == 0 && m.frac == 0 {
		return nil, at
	}
	left = new(big.Rat).SetInt64(r.capacity - m.whole)
	return left.Sub(left, big.NewRat(m.frac, r.token)), at
}

// putTokens makes a new token bucket hold left at a time, rounded down to its
// units.
func (b *bucket) putTokens(left *big.Rat, at Now) {
	r := b.rule
	lacks := new(big.Rat).SetInt64(r.capacity)
	if lacks.Sub(lacks, left).Sign() <= 0 {
		return
	}
	units := new(big.Int).Mul(lacks.Num(), big.NewInt(r.token))
	whole, rest := units.QuoRem(units, lacks.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	if b.wide == nil {
		b.word.Store(uint64(r.clock(at) + whole.Int64()))
		return
	}
	tokens, frac := whole.QuoRem(whole, big.NewInt(r.token), new(big.Int))
	b.wide.bucket = missing{tokens.Int64(), frac.Int64(), r.mono(at) / r.tick}
}

func (b *bucket) started() started {
	if b.wide == nil {
		start, count := b.rule.unpack(b.word.Load() &^ sealed)
		return started{start, count}
	}
	b.wide.mu.Lock()
	defer b.wide.mu.Unlock()
	return b.wide.first
}

func (b *bucket) putStarted(s started) {
	if bits := b.rule.countBits; b.wide == nil && s.count>>bits == 0 && s.start>>(63-bits) == 0 {
		b.word.Store(b.rule.pack(s.start, s.count))
		return
	}
	b.widen().first = s
}

func (b *bucket) slots() slots {
	if b.wide == nil {
		window, count := b.rule.unpack(b.word.Load() &^ sealed)
		return slots{window, []int64{count}}
	}
	b.wide.mu.Lock()
	defer b.wide.mu.Unlock()
	return slots{b.wide.slots.newest, slices.Clone(b.wide.slots.counts)}
}

func (b *bucket) putSlots(s slots) {
	if b.wide == nil && s.counts[0]>>b.rule.countBits == 0 {
		b.word.Store(b.rule.pack(s.newest, s.counts[0]))
		return
	}
	b.widen().slots = s
}

// widen makes the state of a new bucket wide, for a count that was legal under
// the old amount and is too large for the new one's word.
func (b *bucket) widen() *wide {
	if b.wide == nil {
		b.rule = b.rule.widened()
		b.wide = newWide(b.rule)
	}
	return b.wide
}

// widened returns the same rule with the wide form.
func (r *rule) widened() *rule {
	w := *r
	w.form, w.lastMono = formWide, lastTime
	return &w
}
