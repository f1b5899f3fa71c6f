// slices.go keeps the accounts of what this node borrows: it asks holders for slices, and
// gives back what was not spent.

package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	// looksEvery is how often demands are brought up to date.
	looksEvery = int64(100 * time.Millisecond)
	// idleFor is how long an account without calls is kept.
	idleFor = int64(2 * time.Second)
	// keptFor is how long windows are whose tokens are given back again and again until
	// that is acknowledged. What others lose that way comes back soon.
	keptFor = time.Hour
	// answersFor is how long an answer is awaited: one that is too late is given back.
	answersFor = int64(10 * time.Second)
	// windowEnds is how long before a window's end nothing is given back to it.
	windowEnds    = int64(300 * time.Millisecond)
	returnsAtOnce = 16
)

// A lent is what the mover knows of an account.
type lent struct {
	meter
	from handover.Node // of the last slice
	seen uint64        // its number
	no   uint64        // of the account
	gone bool          // the account was removed
}

// borrows are the mover's part of borrowing. The zero value has no account.
type borrows struct {
	all    []*account
	asks   map[uint64]ask // without an answer
	asked  uint64
	no     uint64 // of the last account
	looked int64
	ended  bool // this node leaves

	wake chan struct{} // one slot: something is to be given back
	mu   sync.Mutex
	back []debt // slices to give back; guarded by mu

	received, returned atomic.Int64 // slices
}

// An ask is a question on its way.
type ask struct {
	account *account
	to      handover.Node
	sent    int64
}

// borrowBeat asks for what is wanted, and looks after all accounts now and then.
func (m *mover) borrowBeat(now bucket.Now) {
	b := &m.borrows
	for a := m.local.accounts.low.Swap(nil); a != nil; {
		next := a.next
		a.isLow.Store(false)
		if a.lent.gone {
			a = next
			continue
		}
		if a.lent.no == 0 {
			b.no++
			a.lent.no = b.no
			a.lent.look(now.Mono, 0, 0)
			b.all = append(b.all, a)
		}
		m.askFor(a, now)
		a = next
	}
	if now.Mono-b.looked < looksEvery {
		return
	}
	b.looked = now.Mono
	kept := b.all[:0]
	for _, a := range b.all {
		if m.lookAfter(a, now) {
			kept = append(kept, a)
		}
	}
	clear(b.all[len(kept):])
	b.all = kept
	for no, one := range b.asks {
		if now.Mono-one.sent > answersFor {
			delete(b.asks, no)
		}
	}
}

// lookAfter brings an account up to date, and reports whether it is still needed.
func (m *mover) lookAfter(a *account, now bucket.Now) (keep bool) {
	spent := a.forwarded.Swap(0)
	holds := false
	for i := range a.slices {
		s := a.slices[i].Load()
		if s == nil {
			continue
		}
		left := s.tokens.Load()
		spent += s.counted - left
		s.counted = left
		if now.Mono < s.until {
			holds = true
			continue
		}
		a.slices[i].CompareAndSwap(s, nil)
		m.giveBack(a, s, now)
	}
	a.lent.look(now.Mono, spent, a.cost.Load())
	m.askFor(a, now)
	if !holds && a.lent.quiet != 0 && now.Mono-a.lent.quiet > idleFor {
		m.local.accounts.remove(a)
		a.lent.gone = true
		return false
	}
	return true
}

// askFor asks the holder of an account for a slice, if it is time.
func (m *mover) askFor(a *account, now bucket.Now) {
	b := &m.borrows
	left, size, until := a.holds(now.Mono)
	if b.ended || !a.lent.wants(now.Mono, left, size, until) || m.local.table.Here(a.part) {
		return
	}
	whom, _, ok := m.local.whom(a.part)
	to := nodeOf(whom)
	if !ok || to == m.self {
		return
	}
	if to != a.lent.from {
		a.lent.from, a.lent.seen = to, 0
	}
	b.asked++
	msg := &peerpb.Ask{
		No: b.asked, Part: a.part, DemandMilli: atMost(a.lent.demand * 1000), Left: left, Least: a.cost.Load(), Seen: a.lent.seen, Account: a.lent.no,
	}
	for i := range a.charges {
		msg.Defs = append(msg.Defs, askDef(a.charges[i].Limit))
		msg.Keys = append(msg.Keys, []byte(a.charges[i].Key))
	}
	if b.asks == nil {
		b.asks = map[uint64]ask{}
	}
	b.asks[b.asked] = ask{a, to, now.Mono}
	a.lent.asked = now.Mono
	m.send(to, &peerpb.Msg{Of: &peerpb.Msg_Ask{Ask: msg}})
}

// holds returns what an account has left, what the newest slice had at first, and when that
// is over.
func (a *account) holds(now int64) (left, size, until int64) {
	for i := range a.slices {
		if s := a.slices[i].Load(); s != nil && now < s.until {
			left, size, until = left+s.tokens.Load(), s.size, s.until
		}
	}
	return left, size, until
}

// borrowed takes an answer.
func (m *mover) borrowed(from handover.Node, answer *peerpb.Slice) {
	b := &m.borrows
	one, ok := b.asks[answer.GetNo()]
	if !ok || one.to != from {
		return // much too late
	}
	delete(b.asks, answer.GetNo())
	a, now := one.account, m.local.clock.now()
	if a.lent.asked == one.sent {
		a.lent.asked = 0
	}
	if answer.GetTokens() <= 0 || len(answer.GetLimits()) != len(a.charges) {
		a.lent.askAt = now.Mono + min(max(answer.GetAskNs(), 0), sliceLife)
		return
	}
	if from == a.lent.from {
		a.lent.seen = max(a.lent.seen, answer.GetId())
	}
	tokens := answer.GetTokens()
	for i := range a.charges {
		tokens = min(tokens, a.charges[i].Limit.Lendable())
	}
	s := &slice{
		size: tokens, counted: tokens, sent: one.sent, until: one.sent + min(answer.GetValidNs(), sliceLife), at: now.Mono, owner: from.Name,
	}
	s.tokens.Store(s.size)
	for _, told := range answer.GetLimits() {
		s.states = append(s.states, bucketring.LimitState{
			Used: told.GetUsed(), ResetAfter: time.Duration(told.GetResetNs()), NextAfter: time.Duration(told.GetNextNs()), Window: told.GetWindow(),
		})
	}
	b.received.Add(1)
	if b.ended || a.lent.gone || now.Mono >= s.until {
		m.giveBack(a, s, now)
		return
	}
	m.keep(a, s, now)
}

// keep adds a slice to an account. Of three the oldest goes back.
func (m *mover) keep(a *account, s *slice, now bucket.Now) {
	older, newer := a.slices[0].Load(), a.slices[1].Load()
	if newer == nil {
		a.slices[1].Store(s)
		return
	}
	a.slices[0].Store(newer)
	a.slices[1].Store(s)
	if older != nil {
		a.forwarded.Add(older.counted - older.tokens.Load())
		m.giveBack(a, older, now)
	}
}

// giveBack has what is left of a slice refunded. Nobody spends it any more.
func (m *mover) giveBack(a *account, s *slice, now bucket.Now) {
	left := s.tokens.Swap(0)
	if left <= 0 {
		return
	}
	m.borrows.returned.Add(1)
	owed := debt{req: bucketring.Request{Verb: bucketring.VerbRefund, Partition: a.part}, charged: now.Mono}
	for i, c := range a.charges {
		ends := s.sent + int64(s.states[i].ResetAfter) - now.Mono // of a window, a little early
		switch {
		case c.Limit.Algorithm == bucketring.FixedWindow && ends < windowEnds:
			continue // nobody would have any use of it
		case c.Limit.Algorithm == bucketring.FixedWindow:
			ends -= windowEnds / 2 // it must be there before the next window
		case c.Limit.Refills() && ends <= 0:
			continue // it has come back by itself
		}
		if c.Cost, c.Window = left, s.states[i].Window; c.Limit.Align == bucketring.AlignFirstRequest {
			c.Window = 0 // another holder may call the window otherwise
		}
		owed.req.Charges = append(owed.req.Charges, c)
		owed.resets = append(owed.resets, time.Duration(ends))
		if c.Limit.Per >= keptFor {
			owed.req.Token = newRequestID() // a second try counts once
		}
	}
	if owed.req.Charges == nil {
		return
	}
	m.borrows.mu.Lock()
	defer m.borrows.mu.Unlock()
	if len(m.borrows.back) < 2*accountLines*accountsOfOne {
		m.borrows.back = append(m.borrows.back, owed)
		poke(m.borrows.wake)
	}
}

// giveAllBack ends borrowing, for a node that leaves.
func (m *mover) giveAllBack() {
	now := m.local.clock.now()
	m.borrows.ended = true
	for _, a := range m.borrows.all {
		for i := range a.slices {
			if s := a.slices[i].Swap(nil); s != nil {
				m.giveBack(a, s, now)
			}
		}
	}
}

// runReturns refunds slices until ctx is done.
func (n *Node) runReturns(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.local.mover.borrows.wake:
			n.returnSlices(ctx)
		}
	}
}

// returnSlices refunds what is to be given back, some at the same time. What could not be
// is owed.
func (n *Node) returnSlices(ctx context.Context) {
	b := &n.local.mover.borrows
	b.mu.Lock()
	back := b.back
	b.back = nil
	b.mu.Unlock()
	var giving sync.WaitGroup
	for first := range min(returnsAtOnce, len(back)) {
		giving.Go(func() {
			for i := first; i < len(back); i += returnsAtOnce {
				n.returnSlice(ctx, &back[i])
			}
		})
	}
	giving.Wait()
}

// returnSlice refunds one slice, unless it is too late. A panic costs this one.
func (n *Node) returnSlice(ctx context.Context, d *debt) {
	defer func() {
		if cause := recover(); cause != nil {
			n.local.mover.stats.panics.Add(1)
			n.cfg.Logger.Error("the return of a slice ended in a panic", "panic", cause)
		}
	}()
	req, ok := d.due(n.local.clock.now().Mono)
	if !ok {
		return
	}
	if _, err := n.take(ctx, uint64(req.Partition), &req); err != nil && req.Token != "" {
		n.owe(*d)
	}
}
