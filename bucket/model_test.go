// model_test.go is the exact reference: what a counter promises, in rational
// numbers of any size, without words, seals or units. It is slow and short.

package bucket_test

import (
	"fmt"
	"math/big"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// A model is one counter.
type model struct {
	limit bucketring.Limit
	form  bucket.Form
	// mono and wall are the latest readings that a wide state has seen: for it
	// time never goes back. A word has no room for a reading and takes each one
	// as it comes.
	mono, wall int64
	state      state
}

// A state is what one algorithm remembers. Its values are immutable, so that a
// copy of a model is an assignment.
type state interface {
	// do returns the state after a verb; it is the same if nothing changed.
	do(m *model, verb bucketring.Verb, now bucket.Now, n int64) (state, bucket.Result)
	// unused reports whether the state says no more than none would.
	unused(m *model, now bucket.Now) bool
	// adjusted returns the state under the amounts of to.
	adjusted(m, to *model, now bucket.Now) state
	String() string
}

// newModel returns the reference for any algorithm; another one needs a case.
func newModel(l bucketring.Limit) *model {
	m := &model{limit: l, form: bucket.FormOf(l)}
	switch {
	case l.Algorithm == bucketring.TokenBucket:
		m.state = exactBucket{new(big.Rat)}
	case l.Algorithm == bucketring.FixedWindow && l.Align == bucketring.AlignFirstRequest:
		m.state = exactFirst{}
	case l.Algorithm == bucketring.FixedWindow:
		m.state = exactWindow{}
	case l.Algorithm == bucketring.SlidingWindow:
		m.state = exactSliding(nil)
	default:
		panic(fmt.Sprintf("no exact model of %v", l.Algorithm))
	}
	return m
}

func (m *model) do(verb bucketring.Verb, now bucket.Now, n int64) bucket.Result {
	now = m.read(now)
	next, res := m.state.do(m, verb, now, n)
	if verb != bucketring.VerbPeek {
		m.state = next
	}
	return res
}

func (m *model) unused(now bucket.Now) bool { return m.state.unused(m, m.read(now)) }

// adjusted is the same counter under another amount.
func (m *model) adjusted(l bucketring.Limit, now bucket.Now) *model {
	to := newModel(l)
	to.state = m.state.adjusted(m, to, now)
	return to
}

// call is a call of a table: it returns the counter as it is left behind, nil
// for none, and the answer. m is nil if the counter is not there.
func (m *model) call(verb bucketring.Verb, l bucketring.Limit, now bucket.Now, spent, n int64) (*model, bucket.Result) {
	charges := verb == bucketring.VerbTake && 0 < n && n <= l.Capacity()
	switch {
	case m == nil:
		to := newModel(l)
		if spent > 0 {
			to.do(bucketring.VerbTake, now, min(spent, l.Capacity()))
		}
		res := to.do(verb, now, n)
		if charges || spent > 0 {
			return to, res
		}
		return nil, res
	case m.limit != l:
		m = m.clone()
		to := m.adjusted(l, now)
		res := to.do(verb, now, n)
		if charges || verb == bucketring.VerbRefund || verb == bucketring.VerbReset {
			return to, res
		}
		return m, res
	default:
		m = m.clone()
		return m, m.do(verb, now, n)
	}
}

// read brings a reading into the range that the form can bear.
func (m *model) read(now bucket.Now) bucket.Now {
	now = bucket.Now{
		Mono: min(max(now.Mono, 0), m.form.LastMono),
		Wall: min(max(now.Wall, m.form.FirstWall), bucket.LastTime),
	}
	m.mono, m.wall = max(m.mono, now.Mono), max(m.wall, now.Wall)
	return now
}

func (m *model) clone() *model { c := *m; return &c }

// String tells states apart; what reads alike acts alike.
func (m *model) String() string {
	text := fmt.Sprintf("%v: %v", m.limit, m.state)
	if m.form.Wide {
		text += fmt.Sprintf(" seen %d, %d", m.mono, m.wall)
	}
	return text
}

// widen is for a state that was legal before and is too large for a word now.
func (m *model) widen(count, start int64) {
	if !m.form.Wide && (count > m.form.MaxCount || start > m.form.MaxStart) {
		m.form = bucket.Form{Wide: true, LastMono: bucket.LastTime, FirstWall: m.form.FirstWall}
	}
}

const tick = int64(time.Microsecond) // of token buckets

func rat(n int64) *big.Rat       { return new(big.Rat).SetInt64(n) }
func add(a, b *big.Rat) *big.Rat { return new(big.Rat).Add(a, b) }
func sub(a, b *big.Rat) *big.Rat { return new(big.Rat).Sub(a, b) }
func mul(a, b *big.Rat) *big.Rat { return new(big.Rat).Mul(a, b) }
func quo(a, b *big.Rat) *big.Rat { return new(big.Rat).Quo(a, b) }
func higher(a, b *big.Rat) *big.Rat {
	if a.Cmp(b) > 0 {
		return a
	}
	return b
}

func floor(r *big.Rat) *big.Int { return new(big.Int).Div(r.Num(), r.Denom()) } // as denominators are above 0
func ceil(r *big.Rat) *big.Int {
	return new(big.Int).Neg(new(big.Int).Div(new(big.Int).Neg(r.Num()), r.Denom()))
}

// whole is for what has to fit an int64: anything else is a fault of the model
// or a promise that cannot be kept.
func whole(i *big.Int) int64 {
	if !i.IsInt64() {
		panic(fmt.Sprintf("%v does not fit 64 bits", i))
	}
	return i.Int64()
}

// exactBucket is the moment at which the bucket is full, in ticks.
type exactBucket struct{ full *big.Rat }

// rate is in tokens per tick; the amount is not 0.
func (m *model) rate() *big.Rat { return big.NewRat(m.limit.Amount, int64(m.limit.Per)/tick) }

// ticks returns the tick at which a bucket counts a reading.
func (m *model) ticks(now bucket.Now) *big.Rat {
	if m.form.Wide {
		return rat(m.mono / tick)
	}
	return rat(now.Mono / tick)
}

func (s exactBucket) do(m *model, verb bucketring.Verb, now bucket.Now, n int64) (state, bucket.Result) {
	capacity := m.limit.Capacity()
	if capacity == 0 {
		res := bucket.Result{Allowed: true}
		if n > 0 && (verb == bucketring.VerbTake || verb == bucketring.VerbPeek) {
			res = bucket.Result{Retry: bucketring.Never}
		}
		return s, res
	}
	at, rate := m.ticks(now), m.rate()
	left := func(full *big.Rat) *big.Rat { // may be negative for an earlier reading
		return sub(rat(capacity), mul(sub(higher(full, at), at), rate))
	}
	until := func(moment *big.Rat) time.Duration {
		return time.Duration(whole(ceil(moment))*tick - now.Mono)
	}
	res, full := bucket.Result{Allowed: true}, s.full
	switch verb {
	case bucketring.VerbTake, bucketring.VerbPeek:
		switch {
		case n > capacity:
			res = bucket.Result{Retry: bucketring.Never}
		case n > 0 && rat(n).Cmp(left(full)) > 0:
			res = bucket.Result{Retry: until(sub(full, quo(rat(capacity-n), rate)))}
		case n > 0:
			full = add(higher(full, at), quo(rat(n), rate))
		}
	case bucketring.VerbRefund:
		if full.Cmp(at) > 0 {
			full = higher(sub(full, quo(rat(min(n, capacity)), rate)), at)
		}
	case bucketring.VerbReset:
		full = new(big.Rat)
	}
	res.Used = whole(sub(rat(capacity), new(big.Rat).SetInt(floor(left(full)))).Num())
	res.Remaining = max(capacity-res.Used, 0)
	if res.Remaining < capacity {
		res.Next = until(sub(full, quo(rat(capacity-res.Remaining-1), rate)))
	}
	if full.Cmp(at) > 0 {
		res.Reset = until(full)
	}
	return exactBucket{full}, res
}

func (s exactBucket) unused(m *model, now bucket.Now) bool { return s.full.Cmp(m.ticks(now)) <= 0 }

// adjusted keeps the tokens, rounded down to the parts in which the new limit
// counts; a full bucket stays full.
func (s exactBucket) adjusted(m, to *model, now bucket.Now) state {
	now = m.read(now)
	at := m.ticks(now)
	if s.full.Cmp(at) <= 0 || to.limit.Capacity() == 0 {
		return exactBucket{new(big.Rat)}
	}
	// For a reading so early that more than all is lacking, the bucket knows a
	// later time: it was never more than empty.
	known := sub(s.full, quo(rat(m.limit.Capacity()), m.rate()))
	at = higher(at, new(big.Rat).SetInt(ceil(known)))
	left := sub(rat(m.limit.Capacity()), mul(sub(s.full, at), m.rate()))
	lacks := sub(rat(to.limit.Capacity()), left)
	if lacks.Sign() <= 0 {
		return exactBucket{new(big.Rat)}
	}
	part := new(big.Rat).Inv(rat(to.rate().Denom().Int64())) // 1/part is a token's whole number of units
	lacks = mul(new(big.Rat).SetInt(ceil(quo(lacks, part))), part)
	ticks := to.read(bucket.Now{Mono: whole(at.Num()) * tick}).Mono / tick
	return exactBucket{add(rat(ticks), quo(lacks, to.rate()))}
}

func (s exactBucket) String() string { return "full at " + s.full.RatString() }
