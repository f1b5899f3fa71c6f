// lease.go says when a node asks for a slice of a limit that another one holds, and how
// much that one lends: the rules alone, without clock, counters and network. borrow.go
// spends slices, lend.go carries them between nodes.
//
// A slice is a charge that was made before anybody asked for the tokens. So it needs no
// counter of its own: the holder charges it, and what is left of it at the end is a refund.
// Lent tokens can be given out late, by one slice's life; that is all that is inexact.

package node

import (
	"math"
	"time"

	"github.com/bucketring/bucketring/ring/handover"
)

const (
	// sliceLife is how long a slice may be spent, at most.
	sliceLife = int64(time.Second)
	// busyFor is how long a key must have been busy before a node asks for a slice of it,
	// busyCalls how many calls a second that is; a slice of fewer calls is not worth it.
	busyFor   = int64(500 * time.Millisecond)
	busyCalls = 4
	// spentBy is the part of a slice's life after which it is spent if the demand stays as
	// it is: then nothing needs to be given back.
	spentBy = 0.75
	// demandTau is the time constant of the moving average of a node's demand.
	demandTau = int64(500 * time.Millisecond)
	// demandFor is how long a holder believes a demand that it was told.
	demandFor = int64(2 * time.Second)
	// contestedFrom is the part of the rate from which demand may empty the bucket.
	contestedFrom = 0.95
	// maxLoans bounds the bundles that are lent at once.
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
const answerWithin = int64(250 * time.Millisecond)

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
	case m.busy == 0 || now-m.busy < busyFor || m.quiet != 0 || now < m.askAt:
		return false
	case m.asked != 0 && now-m.asked < answerWithin:
		return false
	}
	return left <= size/3 || until-now < sliceLife/8
}

// An asking is a node's wish for a slice.
type asking struct {
	demand float64 // tokens per second
	left   int64   // tokens of earlier slices that the node can still spend
	least  int64   // a smaller slice is of no use to it
	seen   uint64  // the last slice that left counts
}

// A lending is one limit of a bundle as its holder sees it.
type lending struct {
	most     int64   // that may be out at once
	tokens   int64   // left
	capacity int64   // of those
	rate     float64 // tokens per second that come back
}

// A lender remembers what is out. The zero value has lent nothing. It is not safe for
// concurrent use.
type lender struct {
	loans map[uint64]*loan // by bundle
	last  uint64           // number of the last slice
}

// A loan is what is out of one bundle.
type loan struct{ to map[handover.Node]*borrower }

// A borrower is what one node has of a bundle.
type borrower struct {
	demand float64
	told   int64 // when
	open   []slip
}

// A slip is tokens that a node may have and not have spent.
type slip struct {
	id     uint64
	tokens int64
	until  int64
}

// offer returns how much to lend of a bundle now; 0 for nothing. Whoever then charges it
// calls lent.
func (l *lender) offer(now int64, to handover.Node, bundle uint64, a asking, limits []lending) int64 {
	one := l.loans[bundle]
	if one == nil {
		if len(l.loans) >= maxLoans {
			return 0
		}
		if l.loans == nil {
			l.loans = map[uint64]*loan{}
		}
		one = &loan{to: map[handover.Node]*borrower{}}
		l.loans[bundle] = one
	}
	b := one.to[to]
	if b == nil {
		b = &borrower{}
		one.to[to] = b
	}
	b.tell(now, a)
	demand, out := one.sum(now)
	share, own := a.demand/demand, b.out(now)
	g := atMost(a.demand * spentBy * float64(sliceLife) / float64(time.Second))
	for _, limit := range limits {
		contested := demand >= contestedFrom*limit.rate && limit.tokens <= limit.capacity/2
		if contested || limit.tokens < limit.capacity/10 {
			return 0 // each token may be the last one: whoever wants it asks for it
		}
		g = min(g, atMost(float64(limit.most)*share)-own, limit.most-out, atMost(float64(limit.tokens)*share/2))
	}
	if g < busyCalls*a.least || g <= 0 {
		return 0
	}
	return g
}

// atMost rounds down to what an int64 holds.
func atMost(x float64) int64 {
	if x >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(x)
}

// lent notes a slice and returns its number.
func (l *lender) lent(to handover.Node, bundle uint64, tokens, until int64) (id uint64) {
	l.last++
	b := l.loans[bundle].to[to]
	b.open = append(b.open, slip{l.last, tokens, until})
	return l.last
}

// withdrawn forgets a slice that did not leave.
func (l *lender) withdrawn(to handover.Node, bundle, id uint64) {
	if one := l.loans[bundle]; one != nil && one.to[to] != nil {
		for i := range one.to[to].open {
			if s := &one.to[to].open[i]; s.id == id {
				s.tokens = 0
			}
		}
	}
}

// tell notes what a node says of itself: of the slices that it has seen, no more than left
// can still be spent.
func (b *borrower) tell(now int64, a asking) {
	b.demand, b.told = a.demand, now
	rest := slip{id: a.seen, tokens: a.left}
	kept := b.open[:0]
	for _, s := range b.open {
		if s.id > a.seen {
			kept = append(kept, s)
		} else {
			rest.until = max(rest.until, s.until)
		}
	}
	if rest.until == 0 && rest.tokens > 0 {
		rest.until = now + sliceLife // from an earlier holder
	}
	b.open = append(kept, rest)
}

// out is what a node may still spend.
func (b *borrower) out(now int64) (tokens int64) {
	for _, s := range b.open {
		if s.until > now {
			tokens += s.tokens
		}
	}
	return tokens
}

// sum is the demand of all borrowers, and what is out.
func (l *loan) sum(now int64) (demand float64, out int64) {
	for _, b := range l.to {
		if now-b.told <= demandFor {
			demand += b.demand
		}
		out += b.out(now)
	}
	return demand, out
}

// forget drops what is over.
func (l *lender) forget(now int64) {
	for bundle, one := range l.loans {
		for to, b := range one.to {
			if now-b.told > demandFor && b.out(now) == 0 {
				delete(one.to, to)
			}
		}
		if len(one.to) == 0 {
			delete(l.loans, bundle)
		}
	}
}
