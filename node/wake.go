// wake.go keeps a node that was paused from deciding before it knows that nobody has
// taken over meanwhile.

package node

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	// pauseFor is how long after a beat this node is sure of what it holds. Another node
	// takes longer to act for it.
	pauseFor   = 300 * time.Millisecond
	askedAgain = 50 * time.Millisecond
)

// A sure is the monotonic time until which this node may decide. The decision itself
// looks at it, for a paused node cannot know that it was.
type sure struct{ until atomic.Int64 }

func (s *sure) forever()               { s.until.Store(math.MaxInt64) }
func (s *sure) is(now bucket.Now) bool { return now.Mono <= s.until.Load() }

// asleep is a node's question whether it may go on. The zero value is none.
type asleep struct {
	token   uint64
	waiting map[handover.Node]bool
	asked   time.Time
	owing   []confirm // answers to others that wait for offers to be joined
}

// A confirm is an answer that another node waits for.
type confirm struct {
	to    handover.Node
	token uint64
	parts []uint32
}

// wakeUp keeps this node sure, or asks all others if it was away for too long.
func (m *mover) wakeUp(now bucket.Now) {
	m.answerSleepers()
	a := &m.asleep
	switch {
	case a.waiting == nil && m.local.sure.is(now):
		m.local.sure.until.Store(now.Mono + int64(pauseFor))
		return
	case a.waiting == nil:
		m.log.Warn("this node was paused, asking others what has happened")
		m.stats.pauses.Add(1)
		a.token++
		a.waiting = map[handover.Node]bool{}
		for _, n := range m.view.peers {
			a.waiting[n] = true
		}
		a.asked = time.Time{}
	}
	heard := false
	for n := range a.waiting {
		if _, known := m.view.members[n]; !known {
			delete(a.waiting, n) // gossip has said that it is gone
		} else if m.hears(n) {
			heard = true
		}
	}
	switch {
	case len(a.waiting) == 0 || !heard && a.confirmed(m):
		m.awake(now)
	case time.Since(a.asked) > askedAgain:
		a.asked = time.Now()
		for _, n := range m.view.peers {
			if a.waiting[n] {
				m.send(n, &peerpb.Msg{Of: &peerpb.Msg_Confirm{Confirm: &peerpb.Confirm{Token: a.token, Held: m.held()}}})
			}
		}
	}
}

// confirmed reports whether somebody has answered: those that are silent need not.
func (a *asleep) confirmed(m *mover) bool { return len(a.waiting) < len(m.view.peers) }

func (m *mover) awake(now bucket.Now) {
	m.asleep.waiting = nil
	m.local.sure.until.Store(now.Mono + int64(pauseFor))
	m.mu.Lock()
	soon := m.soon
	m.soon = map[uint32]chan struct{}{}
	m.mu.Unlock()
	for _, c := range soon {
		close(c)
	}
}

func (m *mover) held() (all []*peerpb.Held) {
	for p := range uint32(ring.Partitions) {
		if role, gen := m.machine.Role(p); role == handover.RoleHold {
			all = append(all, toHeld(handover.Held{Part: p, Gen: gen, Lineage: m.machine.Lineage(p)}))
		}
	}
	return all
}

// confirm takes a question of a node that was asleep, or an answer.
func (m *mover) confirm(from handover.Node, c *peerpb.Confirm) {
	if c.GetBack() {
		if c.GetToken() == m.asleep.token && m.asleep.waiting != nil {
			delete(m.asleep.waiting, from)
			if len(m.asleep.waiting) == 0 {
				m.awake(m.local.clock.now())
			}
		}
		return
	}
	one := confirm{to: from, token: c.GetToken()}
	for _, h := range c.GetHeld() {
		p := h.GetPart()
		if p >= ring.Partitions {
			continue
		}
		if _, acting := m.failover.acting[p]; acting {
			one.parts = append(one.parts, p)
			m.endActingFor(p)
		}
		m.received(from, fromHeld(h))
	}
	m.asleep.owing = append(m.asleep.owing, one)
	m.answerSleepers()
}

// answerSleepers answers those whose partitions have nothing waiting here.
func (m *mover) answerSleepers() {
	m.asleep.owing = slices.DeleteFunc(m.asleep.owing, func(c confirm) bool {
		if slices.ContainsFunc(c.parts, func(p uint32) bool { return m.machine.Waiting(p) > 0 }) {
			return false
		}
		m.send(c.to, &peerpb.Msg{Of: &peerpb.Msg_Confirm{Confirm: &peerpb.Confirm{Token: c.token, Back: true}}})
		return true
	})
}

// heardOther returns what to do about a message that is not for the machine.
func (m *mover) heardOther(from handover.Node, msg *peerpb.Msg, now bucket.Now) func() {
	switch of := msg.GetOf().(type) {
	case *peerpb.Msg_Repl:
		c := fromCopy(of.Repl.GetCopy(), now)
		return func() { m.replicated(from, of.Repl.GetPart(), of.Repl.GetFull(), c) }
	case *peerpb.Msg_Repls:
		copies := readCopies(of.Repls, now)
		return func() {
			for _, c := range copies {
				m.carefully(func() { m.replicated(from, c.part, false, c.copy) })
			}
		}
	case *peerpb.Msg_Hear:
		return func() { m.hearsay(from, of.Hear) }
	case *peerpb.Msg_Confirm:
		return func() { m.confirm(from, of.Confirm) }
	case *peerpb.Msg_Ask:
		return func() { m.lend(from, of.Ask) }
	case *peerpb.Msg_Slice:
		return func() { m.borrowed(from, of.Slice) }
	case *peerpb.Msg_Have:
		return func() { m.has(from, of.Have) }
	case *peerpb.Msg_Holdings:
		return func() {
			for _, one := range allHeld(of.Holdings) {
				m.received(from, one)
			}
		}
	case *peerpb.Msg_Undeny:
		m.local.denials.undo(of.Undeny.GetPart(), now.Mono)
	}
	return nil
}
