// missing.go is the token bucket for amounts whose units do not fit gcra.go's
// word: the missing tokens as a whole number and an exact fraction.

package bucket

import (
	"math"
	"math/bits"
	"time"

	"github.com/bucketring/bucketring"
)

// A missing says how far a bucket is from full at a tick of the clock:
// whole + frac/rule.token tokens, with frac below token. The zero value is full.
type missing struct{ whole, frac, at int64 }

// longest is a time beyond which nobody waits: 146 years.
const longest = bucketring.Never / 2

// advance refills up to now. A reading from the past changes nothing.
func (m *missing) advance(r *rule, now Now) {
	clock := r.mono(now) / r.tick
	if clock <= m.at {
		return
	}
	hi, lo := bits.Mul64(uint64(clock-m.at), uint64(r.unit))
	m.at = clock
	if hi >= uint64(r.token) {
		m.whole, m.frac = 0, 0
		return
	}
	whole, frac := bits.Div64(hi, lo, uint64(r.token))
	if whole > uint64(m.whole) {
		m.whole, m.frac = 0, 0
		return
	}
	m.whole, m.frac = m.whole-int64(whole), m.frac-int64(frac)
	if m.frac < 0 {
		m.whole, m.frac = m.whole-1, m.frac+r.token
	}
	if m.whole < 0 {
		m.whole, m.frac = 0, 0
	}
}

// ahead takes what refills within some ticks. One that lacks nothing says nothing.
func (m *missing) ahead(r *rule, ticks int64) {
	if m.whole == 0 && m.frac == 0 {
		return
	}
	hi, lo := bits.Mul64(uint64(ticks), uint64(r.unit))
	if hi >= uint64(r.token) {
		m.whole = math.MaxInt64 - 1
		return
	}
	whole, frac := bits.Div64(hi, lo, uint64(r.token))
	m.whole = sum(m.whole, int64(min(whole, math.MaxInt64-2)))
	if m.frac += int64(frac); m.frac >= r.token { // both are below token
		m.whole, m.frac = sum(m.whole, 1), m.frac-r.token
	}
	m.whole = min(m.whole, math.MaxInt64-1)
}

// step is stepGCRA for this state.
func (m *missing) step(r *rule, op *Op, now Now, res *Result) {
	m.advance(r, now)
	*res = Result{Allowed: true}
	after := *m
	switch n := op.N; op.Verb {
	case bucketring.VerbTake, bucketring.VerbPeek:
		need := op.need()
		switch over := m.over(r, need); {
		case need > r.capacity:
			res.Allowed, res.Retry = false, bucketring.Never
		case need > 0 && over != missing{at: m.at}:
			res.Allowed, res.Retry = false, over.wait(r, now)
		default:
			after.whole += n
		}
	case bucketring.VerbRefund:
		after.giveBack(n)
	case bucketring.VerbSettle:
		after.settle(r, n)
	case bucketring.VerbReset:
		after.whole, after.frac = 0, 0
	}
	res.Used = after.whole
	if after.frac > 0 {
		res.Used++
	}
	res.Remaining = max(r.capacity-res.Used, 0)
	res.Reset = after.wait(r, now)
	if res.Remaining < r.capacity {
		next := after.over(r, res.Remaining+1)
		res.Next = next.wait(r, now)
	}
	if op.Verb != bucketring.VerbPeek {
		*m = after
	}
}

func (m *missing) giveBack(n int64) {
	if m.whole -= n; m.whole < 0 {
		m.whole, m.frac = 0, 0
	}
}

// settle takes n tokens more, or gives them back. What the bucket lacks is
// bounded by maxDebt.
func (m *missing) settle(r *rule, n int64) {
	if n < 0 {
		m.giveBack(-n)
		return
	}
	if r.capacity == 0 {
		return
	}
	most := int64(math.MaxInt64) - 1
	if hi, lo := bits.Mul64(uint64(int64(maxDebt)/r.tick), uint64(r.unit)); hi < uint64(r.token) {
		tokens, _ := bits.Div64(hi, lo, uint64(r.token))
		most = int64(min(tokens, uint64(most)))
	}
	if m.whole >= most || n >= most-m.whole {
		m.whole, m.frac = most, 0
		return
	}
	m.whole += n
}

// over returns how far n tokens are beyond what is there; zero if they fit.
func (m *missing) over(r *rule, n int64) missing {
	short := missing{at: m.at}
	room := r.capacity - m.whole // below 0 only for a debt
	if n > room || n == room && m.frac > 0 {
		short.whole, short.frac = n-room, m.frac
	}
	return short
}

// wait returns the time until the bucket is full.
func (m *missing) wait(r *rule, now Now) time.Duration {
	if m.whole == 0 && m.frac == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(m.whole), uint64(r.token))
	lo, carry := bits.Add64(lo, uint64(m.frac), 0)
	lo, carry2 := bits.Add64(lo, uint64(r.unit-1), 0) // rounds up
	hi += carry + carry2
	if hi >= uint64(r.unit) {
		return longest // of a Cell that fills in centuries
	}
	ticks, _ := bits.Div64(hi, lo, uint64(r.unit))
	if ticks > uint64(longest)/uint64(r.tick) {
		return longest
	}
	behind := m.at - r.mono(now)/r.tick // a reading from the past waits longer
	return time.Duration((int64(ticks)+behind)*r.tick - r.mono(now)%r.tick)
}
