// lend.go charges the slices that this node lends, and sends them once a second node has
// the charge.

package node

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	// copiedWithin is how long a slice may take to be copied to the next owner. Without
	// that it does not leave: a crash would give its tokens out twice.
	copiedWithin = int64(50 * time.Millisecond)
	// askAgain is when to ask after a refusal.
	askAgain = int64(100 * time.Millisecond)
	// lendsAfter is how long a new holder lends nothing: there may be slices of the last
	// one. They are over then.
	lendsAfter = sliceLife + int64(100*time.Millisecond)
)

// lends are what this node lends. The zero value is nothing.
type lends struct {
	lender
	since   [ring.Partitions]int64 // when this node began to hold it, monotonic ns
	waiting []grant                // charged, and not known to be copied
	sent    atomic.Int64           // slices
}

// A grant is a slice on its way out.
type grant struct {
	to       handover.Node
	slice    *peerpb.Slice
	bundle   uint64
	charged  bucketring.Request // as a refund would undo it
	at       int64
	gen, seq uint64 // of the copy that has the charge; 0 for not copied yet
}

// lend answers a question for a slice.
func (m *mover) lend(from handover.Node, q *peerpb.Ask) {
	now := m.local.clock.now()
	answer := &peerpb.Slice{No: q.GetNo(), AskNs: askAgain/5*4 + rand.Int64N(askAgain/5*2)}
	g, ok := m.charge(from, q, now)
	if !ok {
		m.send(from, &peerpb.Msg{Of: &peerpb.Msg_Slice{Slice: answer}})
		return
	}
	answer.Tokens, answer.ValidNs, answer.Id, answer.Limits = g.slice.GetTokens(), g.slice.GetValidNs(), g.slice.GetId(), g.slice.GetLimits()
	g.slice = answer
	m.lends.waiting = append(m.lends.waiting, g)
}

// charge takes a slice from the counters. ok is false if there is none to have.
func (m *mover) charge(from handover.Node, q *peerpb.Ask, now bucket.Now) (g grant, ok bool) {
	req, ok := askOf(q)
	if !ok || m.drained != nil || !m.local.table.Here(req.Partition) || now.Mono-m.lends.since[req.Partition] < lendsAfter {
		return g, false
	}
	if _, err := m.local.place(&req); err != nil {
		return g, false
	}
	place := uint64(req.Partition)
	var d bucketring.Decision
	if !m.local.decide(place, &req, &d) {
		return g, false
	}
	var room []lending
	for i, s := range d.All() {
		limit := req.Charges[i].Limit
		room = append(room, lending{
			most: limit.Lendable(), tokens: s.Remaining, capacity: limit.Capacity(),
			rate: float64(limit.Amount) / limit.Per.Seconds(),
		})
	}
	c := callOf(&req)
	bundle := bundleOf(place, &c)
	asks := asking{demand: float64(max(q.GetDemandMilli(), 1)) / 1000, left: max(q.GetLeft(), 0), least: max(q.GetLeast(), 1), seen: q.GetSeen()}
	tokens := m.lends.offer(now.Mono, from, bundle, asks, room)
	if tokens == 0 {
		return g, false
	}
	req.Verb = bucketring.VerbTake
	for i := range req.Charges {
		req.Charges[i].Cost = tokens
	}
	d = bucketring.Decision{}
	if !m.local.decide(place, &req, &d) || !d.Allowed {
		return g, false
	}
	valid := sliceLife
	states := make([]*peerpb.LimitState, 0, len(req.Charges))
	for i, s := range d.All() {
		if req.Charges[i].Limit.Algorithm == bucketring.FixedWindow {
			valid = min(valid, int64(s.ResetAfter)) // a window's slice ends with it
		}
		req.Charges[i].Window = s.Window
		states = append(states, &peerpb.LimitState{
			Remaining: s.Remaining, Used: s.Used, ResetNs: int64(s.ResetAfter), NextNs: int64(s.NextAfter), Window: s.Window,
		})
	}
	req.Verb = bucketring.VerbRefund
	id := m.lends.lent(from, bundle, tokens, now.Mono+valid)
	slice := &peerpb.Slice{Id: id, Tokens: tokens, ValidNs: valid, Limits: states}
	return grant{to: from, slice: slice, bundle: bundle, charged: req, at: now.Mono}, true
}

// copiedTo notes which copy of a partition has the charges of its waiting slices. Where
// nobody keeps copies they leave at once.
func (m *mover) copiedTo(part uint32, s *bucket.State, to handover.Node) {
	asked := false
	for i := range m.lends.waiting {
		g := &m.lends.waiting[i]
		if g.charged.Partition != part || g.seq != 0 {
			continue
		}
		g.gen, g.seq = s.Gen, s.Seq
		if to == m.self || to == (handover.Node{}) {
			m.leaves(g)
		} else if !asked {
			asked = true
			m.send(to, &peerpb.Msg{Of: &peerpb.Msg_Have{Have: &peerpb.Have{Part: part, Gen: s.Gen, Seq: s.Seq}}})
		}
	}
}

// leaves sends a slice off.
func (m *mover) leaves(g *grant) {
	m.send(g.to, &peerpb.Msg{Of: &peerpb.Msg_Slice{Slice: g.slice}})
	m.lends.sent.Add(1)
	g.slice = nil
}

// has answers whether this node's copy of a partition is late enough, or hears that.
func (m *mover) has(from handover.Node, h *peerpb.Have) {
	if !h.GetBack() {
		if r := m.replicas.of[h.GetPart()]; r != nil && r.from == from && r.gen == h.GetGen() && r.seq >= h.GetSeq() {
			m.send(from, &peerpb.Msg{Of: &peerpb.Msg_Have{Have: &peerpb.Have{Part: h.GetPart(), Gen: h.GetGen(), Seq: h.GetSeq(), Back: true}}})
		}
		return
	}
	for i := range m.lends.waiting {
		g := &m.lends.waiting[i]
		if g.slice != nil && g.charged.Partition == h.GetPart() && g.gen == h.GetGen() && g.seq != 0 && g.seq <= h.GetSeq() {
			m.leaves(g)
		}
	}
}

// lendLate lets slices go whose partition has moved on, with their charges, and takes back
// those that were not copied in time.
func (m *mover) lendLate(now bucket.Now) {
	kept := m.lends.waiting[:0]
	for i := range m.lends.waiting {
		g := &m.lends.waiting[i]
		switch {
		case g.slice == nil:
			continue
		case !m.local.table.Here(g.charged.Partition):
			m.leaves(g)
			continue
		case now.Mono-g.at > copiedWithin:
			var d bucketring.Decision
			m.local.decide(uint64(g.charged.Partition), &g.charged, &d)
			m.lends.withdrawn(g.to, g.bundle, g.slice.GetId())
			continue
		}
		kept = append(kept, *g)
	}
	clear(m.lends.waiting[len(kept):])
	m.lends.waiting = kept
}
