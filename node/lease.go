// lease.go says when a node asks for a slice of a limit that another one holds, and how
// much that one lends: the rules alone, without clock, counters and network. borrow.go
// spends slices; slices.go asks for them and returns them, lend.go charges and sends them.
//
// A slice is a charge that was made before anybody asked for the tokens. So it needs no
// counter of its own: the holder charges it, and what is left of it at the end is a refund.
// Lent tokens can be given out late, by one slice's life; that is all that is inexact.

package node

import (
	"math"
	"slices"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/ring/handover"
)

const (
	// sliceLife is how long a slice may be spent, at most.
	sliceLife = int64(time.Second)
	// busyFor is how long a key must have been busy before a node asks for a slice of it,
	// busyCalls how many calls a second that is; a slice of fewer calls is not worth it.
	busyFor   = int64(500 * time.Millisecond)
	busyCalls = 4
	// quietFor is how long nobody may have called, or the slice would be for nobody. A key
	// that is just busy has calls that far apart.
	quietFor = int64(250 * time.Millisecond)
	// spentBy is the part of a slice's life after which it is spent if the demand stays as
	// it is: then nothing needs to be given back.
	spentBy = 0.75
	// demandTau is the time constant of the moving average of a node's demand.
	demandTau = int64(500 * time.Millisecond)
	// demandFor is how long a holder believes a demand that it was told.
	demandFor = int64(2 * time.Second)
	// contestedFrom is the part of the rate from which demand may empty the bucket.
	contestedFrom = 0.95
	// maxLoans bounds the accounts of others that are lent to at once.
	maxLoans = 65536
)

// A meter is how much of a bundle a node needs. A bundle is all limits that a call meets
// at once.
type meter struct {
	demand float64 // tokens per second
	looked int64   // when demand was brought up to date, monotonic ns
	busy   int64   // since when there is enough of it; 0 if there is not
	quiet  int64   // since when nobody has called; 0 if somebody has
	asked  int64   // when the question was sent that has no answer; 0 for none
	askAt  int64   // not to ask before
}

// answerWithin is how long a node waits for an answer before it asks again.
const answerWithin = int64(time.Second)

// look brings the demand up to date: spent tokens were wanted since the last look, for
// calls of cost each.
func (m *meter) look(now, spent, cost int64) {
	if m.looked == 0 {
		m.looked = now
		return
	}
	passed := now - m.looked
	if passed <= 0 {
		return
	}
	m.looked = now
	rate := float64(spent) * float64(time.Second) / float64(passed)
	m.demand += (rate - m.demand) * -math.Expm1(-float64(passed)/float64(demandTau))
	switch {
	case m.demand < busyCalls*float64(cost):
		m.busy = 0
	case m.busy == 0:
		m.busy = now
	}
	switch {
	case spent > 0:
		m.quiet = 0
	case m.quiet == 0:
		m.quiet = now
	}
}

// wants reports whether to ask for a slice. left is what there is, size what there was at
// first, and until its end.
func (m *meter) wants(now, left, size, until int64) bool {
	switch {
	case m.busy == 0 || now-m.busy < busyFor || m.quiet != 0 && now-m.quiet >= quietFor || now < m.askAt:
		return false
	case m.asked != 0 && now-m.asked < answerWithin:
		return false
	}
	return left <= size/3 || until-now < sliceLife/8
}

// An asking is a node's wish for a slice.
type asking struct {
	from   borrowerID
	demand float64 // tokens per second
	left   int64   // tokens of earlier slices that the node can still spend
	least  int64   // a smaller slice is of no use to it
	seen   uint64  // the last slice that left counts
}

// A borrowerID is an account of another node.
type borrowerID struct {
	node    handover.Node
	account uint64
}

// A lending is one limit of a bundle as its holder sees it.
type lending struct {
	counter  counterID
	most     int64   // that may be out at once
	tokens   int64   // left
	capacity int64   // of those
	rate     float64 // tokens per second that come back
}

// A counterID is what tells counters apart.
type counterID struct {
	part  uint32
	key   string
	limit bucketring.Limit // no more of it than SameCounter compares
}

func counterIDOf(part uint32, c *bucketring.Charge) counterID {
	l := c.Limit
	return counterID{part, c.Key, bucketring.Limit{
		ID: l.ID, Kind: l.Kind, Algorithm: l.Algorithm, Align: l.Align, Precision: l.Precision, Per: l.Window(), Zone: l.Zone,
	}}
}

// A lender remembers what is out. The zero value has lent nothing. It is not safe for
// concurrent use.
type lender struct {
	to   map[borrowerID]*borrower
	of   map[counterID][]*borrower // who borrows from a counter, as part of whatever bundle
	last uint64                    // number of the last slice
}

// A borrower is an account of another node: a bundle, and what it has of that.
type borrower struct {
	counters []counterID
	demand   float64
	told     int64 // when
	open     []slip
	doubt    int64 // nothing is lent before: a slice was lost on its way
}

// A slip is tokens that a node may have and not have spent.
type slip struct {
	id     uint64
	tokens int64
	until  int64
}

const (
	// returnsWithin is how long after its end a slice counts as being out: by then what was
	// left of it is back.
	returnsWithin = int64(250 * time.Millisecond)
	// doubtsFor is how long nothing is lent to a node that a slice did not reach.
	doubtsFor = int64(5 * time.Second)
)

// offer returns how much to lend for so long; 0 for nothing. Whoever then charges it calls
// lent.
func (l *lender) offer(now int64, a asking, life int64, limits []lending) int64 {
	b := l.borrower(a.from, limits)
	if b == nil {
		return 0
	}
	b.tell(now, &a)
	if now < b.doubt {
		return 0
	}
	own := b.out(now)
	g := atMost(a.demand * spentBy * float64(life) / float64(time.Second))
	for i := range limits {
		limit := &limits[i]
		demand, out := l.sum(now, limit.counter)
		contested := demand >= contestedFrom*limit.rate && limit.tokens <= limit.capacity/2
		if contested || limit.tokens < limit.capacity/10 {
			return 0 // each token may be the last one: whoever wants it asks for it
		}
		share := a.demand / demand
		g = min(g, atMost(float64(limit.most)*share)-own, limit.most-out, atMost(float64(limit.tokens)*share/2))
	}
	if g/busyCalls < a.least {
		return 0
	}
	return g
}

// borrower returns an account; nil if there are too many, or it had another bundle.
func (l *lender) borrower(id borrowerID, limits []lending) *borrower {
	if b := l.to[id]; b != nil {
		same := func(limit lending, c counterID) bool { return limit.counter == c }
		if !slices.EqualFunc(limits, b.counters, same) {
			return nil
		}
		return b
	}
	if len(l.to) >= maxLoans {
		return nil
	}
	if l.to == nil {
		l.to, l.of = map[borrowerID]*borrower{}, map[counterID][]*borrower{}
	}
	b := &borrower{}
	l.to[id] = b
	for i := range limits {
		c := limits[i].counter
		b.counters = append(b.counters, c)
		l.of[c] = append(l.of[c], b)
	}
	return b
}

// atMost rounds down to what an int64 holds.
func atMost(x float64) int64 {
	if x >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(x)
}

// lent notes a slice and returns its number.
func (l *lender) lent(to borrowerID, tokens, until int64) (id uint64) {
	l.last++
	b := l.to[to]
	b.open = append(b.open, slip{l.last, tokens, until})
	return l.last
}

// withdrawn forgets a slice that did not leave.
func (l *lender) withdrawn(to borrowerID, id uint64) {
	if b := l.to[to]; b != nil {
		b.open = slices.DeleteFunc(b.open, func(s slip) bool { return s.id == id })
	}
}

// tell notes what a node says of itself: of the slices that it has seen and that are not over,
// no more than left can still be spent. What is over may be on its way back.
func (b *borrower) tell(now int64, a *asking) {
	b.demand, b.told = a.demand, now
	left := a.left
	for i := len(b.open) - 1; i >= 0; i-- { // the newest are out for longest
		switch s := &b.open[i]; {
		case s.id <= a.seen && s.until <= now:
		case s.id <= a.seen:
			s.tokens = min(s.tokens, left)
			left -= s.tokens
		case s.until <= now:
			b.doubt = now + doubtsFor
		}
	}
	b.open = slices.DeleteFunc(b.open, func(s slip) bool { return s.tokens == 0 || s.until+returnsWithin <= now })
	if left > 0 { // from an earlier holder
		b.open = append(b.open, slip{tokens: left, until: now + sliceLife})
	}
}

// out is what a node may still spend, or has not given back yet.
func (b *borrower) out(now int64) (tokens int64) {
	for _, s := range b.open {
		if s.until+returnsWithin > now {
			tokens += s.tokens
		}
	}
	return tokens
}

// sum is the demand of all who borrow from a counter, and what is out of it.
func (l *lender) sum(now int64, c counterID) (demand float64, out int64) {
	for _, b := range l.of[c] {
		if now-b.told <= demandFor {
			demand += b.demand
		}
		out += b.out(now)
	}
	return demand, out
}

// forget drops what is over.
func (l *lender) forget(now int64) {
	for id, b := range l.to {
		if now-b.told <= demandFor || b.out(now) > 0 {
			continue
		}
		delete(l.to, id)
		for _, c := range b.counters {
			if l.of[c] = slices.DeleteFunc(l.of[c], func(o *borrower) bool { return o == b }); len(l.of[c]) == 0 {
				delete(l.of, c)
			}
		}
	}
}
