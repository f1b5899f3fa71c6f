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
	since     [ring.Partitions]int64 // when this node began to hold it, monotonic ns
	waiting   []grant                // charged, and not known to be copied
	forgotten int64                  // when forget was called
	sent      atomic.Int64           // slices
}

// maxGrants bounds the slices that wait.
const maxGrants = 1024

// A grant is a slice on its way out.
type grant struct {
	to       borrowerID
	slice    *peerpb.Slice      // nil once it has left
	charged  bucketring.Request // as a refund would undo it
	at       int64
	heir     handover.Node // who gets the copy
	gen, seq uint64        // of the copy that has the charge; 0 for not copied yet
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
	if !ok || m.drained != nil || len(m.lends.waiting) >= maxGrants ||
		!m.local.table.Here(req.Partition) || now.Mono-m.lends.since[req.Partition] < lendsAfter {
		return g, false
	}
	if _, err := m.local.place(&req); err != nil {
		return g, false
	}
	var d bucketring.Decision
	if !m.local.decide(uint64(req.Partition), &req, &d) {
		return g, false
	}
	room, life := roomOf(&req, &d)
	if life < windowEnds {
		return g, false // what is not spent would be lost
	}
	a := asking{
		from: borrowerID{from, q.GetAccount()}, demand: float64(max(q.GetDemandMilli(), 1)) / 1000,
		left: min(max(q.GetLeft(), 0), room[0].most), least: max(q.GetLeast(), 1), seen: q.GetSeen(),
	}
	tokens := m.lends.offer(now.Mono, a, life, room)
	if tokens <= 0 {
		return g, false
	}
	req.Verb = bucketring.VerbTake
	for i := range req.Charges {
		req.Charges[i].Cost = tokens
	}
	d = bucketring.Decision{}
	if !m.local.decide(uint64(req.Partition), &req, &d) || !d.Allowed {
		return g, false
	}
	req.Verb = bucketring.VerbRefund
	slice := &peerpb.Slice{Tokens: tokens}
	for i, s := range d.All() {
		if req.Charges[i].Limit.Algorithm == bucketring.FixedWindow {
			life = min(life, int64(s.ResetAfter))
		}
		req.Charges[i].Window = s.Window
		slice.Limits = append(slice.Limits, &peerpb.LimitState{
			Remaining: s.Remaining, Used: s.Used, ResetNs: int64(s.ResetAfter), NextNs: int64(s.NextAfter), Window: s.Window,
		})
	}
	slice.ValidNs, slice.Id = life, m.lends.lent(a.from, tokens, now.Mono+life)
	return grant{to: a.from, slice: slice, charged: req, at: now.Mono}, true
}

// roomOf is what the limits of a call have to lend, and for how long at most: a window's
// slice ends with it.
func roomOf(req *bucketring.Request, d *bucketring.Decision) (room []lending, life int64) {
	life = sliceLife
	for i, s := range d.All() {
		limit := req.Charges[i].Limit
		room = append(room, lending{
			counter: counterIDOf(req.Partition, &req.Charges[i]), most: limit.Lendable(), tokens: s.Remaining, capacity: limit.Capacity(),
			rate: float64(limit.Amount) / limit.Per.Seconds(),
		})
		if limit.Algorithm == bucketring.FixedWindow && s.Used > 0 {
			life = min(life, int64(s.ResetAfter))
		}
	}
	return room, life
}

// copiedTo notes which copy of a partition has the charges of its waiting slices, and of calls
// that wait. Where nobody keeps copies slices leave at once.
func (m *mover) copiedTo(part uint32, s *bucket.State, to handover.Node) {
	m.awaitedIn(part, s, to)
	for i := range m.lends.waiting {
		g := &m.lends.waiting[i]
		if g.charged.Partition != part || g.seq != 0 {
			continue
		}
		g.gen, g.seq, g.heir = s.Gen, s.Seq, to
		if to == m.self || to == (handover.Node{}) {
			m.leaves(g)
		}
	}
}

// leaves sends a slice off.
func (m *mover) leaves(g *grant) {
	m.send(g.to.node, &peerpb.Msg{Of: &peerpb.Msg_Slice{Slice: g.slice}})
	m.lends.sent.Add(1)
	g.slice = nil
}

// has answers whether this node has a copy of a partition, or hears that. Another one has
// that, and everything before.
func (m *mover) has(from handover.Node, h *peerpb.Have) {
	if !h.GetBack() {
		if r := m.replicas.at(h.GetPart()); r != nil && r.from == from && r.gen == h.GetGen() && r.took(h.GetSeq()) {
			m.send(from, &peerpb.Msg{Of: &peerpb.Msg_Have{Have: &peerpb.Have{Part: h.GetPart(), Gen: h.GetGen(), Seq: h.GetSeq(), Back: true}}})
		}
		return
	}
	m.awaited(from, h)
	for i := range m.lends.waiting {
		g := &m.lends.waiting[i]
		if g.slice != nil && g.charged.Partition == h.GetPart() && g.heir == from && g.seq != 0 && g.gen == h.GetGen() && g.seq == h.GetSeq() {
			m.leaves(g)
		}
	}
}

// lendBeat asks whether slices that wait are copied, lets those go whose partition has moved
// on with their charges, and takes back those that were not copied in time.
func (m *mover) lendBeat(now bucket.Now) {
	waiting := m.lends.waiting
	m.lends.waiting = nil // what panics is not tried again
	var asked peerpb.Have
	for i := range waiting {
		g := &waiting[i]
		switch {
		case g.slice == nil:
			continue
		case !m.local.table.Here(g.charged.Partition):
			m.leaves(g)
			continue
		case now.Mono-g.at > copiedWithin:
			var d bucketring.Decision
			if m.local.decide(uint64(g.charged.Partition), &g.charged, &d) { // else the next time
				m.lends.withdrawn(g.to, g.slice.GetId())
				continue
			}
		case g.seq != 0 && (asked.GetPart() != g.charged.Partition || asked.GetSeq() != g.seq):
			asked.Part, asked.Seq = g.charged.Partition, g.seq
			m.send(g.heir, &peerpb.Msg{Of: &peerpb.Msg_Have{Have: &peerpb.Have{Part: g.charged.Partition, Gen: g.gen, Seq: g.seq}}})
		}
		m.lends.waiting = append(m.lends.waiting, *g)
	}
	if now.Mono-m.lends.forgotten > int64(time.Second) {
		m.lends.forgotten = now.Mono
		m.lends.forget(now.Mono)
	}
}
