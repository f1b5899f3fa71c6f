// durable.go has calls answered only once a second node knows what they have counted.

package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// secure waits until a second node knows what a call has just counted here. If none does in
// time, the answer is degraded; where a limit must stay closed then, what was counted is given
// back as far as it can be, and the error is ErrUnavailable. A set, and what is taken off a
// level, stay.
func (l *Local) secure(ctx context.Context, hash uint64, req *bucketring.Request, d *bucketring.Decision) error {
	if l.mover == nil || !req.Durable() || d.Source != bucketring.SourceOwner {
		return nil
	}
	counters := changedBy(req, d)
	if len(counters) == 0 {
		return nil
	}
	began := l.clock.now().Mono
	timer := time.NewTimer(l.copyWithin)
	defer timer.Stop()
	select {
	case known := <-l.mover.awaitCopy(req.Partition, counters, l.copyWithin):
		if known {
			return nil
		}
	case <-timer.C:
	case <-ctx.Done():
	case <-l.mover.ended:
	}
	d.Degraded = true
	if c := callOf(req); req.Verb != bucketring.VerbTake || !c.anyClosed() {
		return nil
	}
	l.takeBack(hash, req, d, began)
	return fmt.Errorf("%w: no second node knows of the call, which was taken back", bucketring.ErrUnavailable)
}

// changedBy are the durable counters that a call has changed, or that have what an earlier
// attempt at it has changed.
func changedBy(req *bucketring.Request, d *bucketring.Decision) (all []bucket.Counter) {
	if !d.Allowed && !req.Each {
		return nil
	}
	for i, s := range d.All() {
		c := &req.Charges[i]
		if c.Limit.Durable && !c.Force && s.Allowed && (c.Cost != 0 || req.Verb == bucketring.VerbSet) {
			all = append(all, bucket.Counter{Partition: req.Partition, Key: c.Key, Limit: c.Limit})
		}
	}
	return all
}

// takeBack undoes what a call has just taken, if its partition is still decided here; else the
// count moves with it, as that of a call whose answer is lost. Leases and reservations are
// whoever's that asked for them to end: another attempt at the same call may have them by now.
func (l *Local) takeBack(hash uint64, req *bucketring.Request, d *bucketring.Decision, taken int64) {
	back := bucketring.Request{Verb: bucketring.VerbRefund, Partition: req.Partition}
	since := l.clock.now().Mono - taken
	for i, s := range d.All() {
		c := req.Charges[i]
		if s.Allowed && c.Cost != 0 && c.ID == (bucketring.ID{}) && !cameBack(&c, s.ResetAfter, since) {
			c.Window = s.Window
			back.Charges = append(back.Charges, c)
		}
	}
	if len(back.Charges) > 0 {
		var undone bucketring.Decision
		l.decide(hash, &back, &undone)
	}
}

// copyPace is how often copies are made for calls that wait: those that come within it share
// them.
const copyPace = int64(time.Millisecond)

// A copyWait is a call that waits for a copy of its partition.
type copyWait struct {
	part     uint32
	counters []bucket.Counter
	until    int64         // monotonic ns
	told     chan bool     // one slot
	heir     handover.Node // who gets the copy
	gen, seq uint64        // of the copy that has what the call has counted; 0 for not made yet
	asked    bool          // whether it has arrived
}

// copyWaits are all such calls. The zero value is none.
type copyWaits struct {
	mu    sync.Mutex
	fresh []*copyWait // that run has not seen yet; guarded by mu

	// All below belongs to run.
	of    map[uint32][]*copyWait // by partition
	last  int64                  // when copies were made for them, monotonic ns
	alarm *time.Timer            // when to go on; nil before the first
}

// awaitCopy has a copy of counters of a partition made soon. The channel says whether a second
// node has it, or needs none: nobody keeps copies, or the partition has moved, and whoever has
// it now has said so.
func (m *mover) awaitCopy(part uint32, counters []bucket.Counter, within time.Duration) <-chan bool {
	w := &copyWait{part: part, counters: counters, told: make(chan bool, 1), until: m.local.clock.now().Mono + int64(within)}
	m.waits.mu.Lock()
	m.waits.fresh = append(m.waits.fresh, w)
	m.waits.mu.Unlock()
	poke(m.wake)
	return w.told
}

// copyAwaited takes in calls that wait, makes the copies that they wait for, and asks whether
// those have arrived.
func (m *mover) copyAwaited() {
	ws := &m.waits
	ws.mu.Lock()
	fresh := ws.fresh
	ws.fresh = nil
	ws.mu.Unlock()
	if len(fresh) > 0 && ws.of == nil {
		ws.of = map[uint32][]*copyWait{}
	}
	for _, w := range fresh {
		ws.of[w.part] = append(ws.of[w.part], w)
	}
	if m.machine == nil || !ws.any(func(w *copyWait) bool { return w.seq == 0 }) {
		return
	}
	now := m.local.clock.now()
	if wait := ws.last + copyPace - now.Mono; wait > 0 {
		ws.goOn(m, wait)
		return
	}
	ws.last = now.Mono
	m.stir(now)
	m.copyChanges(now)
	m.lookAfterWaits(now, false)
	again := false
	for _, of := range ws.of {
		for _, w := range of {
			if w.seq != 0 {
				continue
			}
			for i := range w.counters { // a beat was between the charge and the wait
				m.local.table.Note(&w.counters[i])
			}
			again = true
		}
	}
	if again {
		ws.goOn(m, copyPace)
	}
}

// any reports whether one of the calls is such a one.
func (ws *copyWaits) any(is func(*copyWait) bool) bool {
	for _, of := range ws.of {
		if slices.ContainsFunc(of, is) {
			return true
		}
	}
	return false
}

// goOn has run come back after a time.
func (ws *copyWaits) goOn(m *mover, wait int64) {
	if ws.alarm == nil {
		ws.alarm = time.AfterFunc(time.Duration(wait), func() { poke(m.wake) })
		return
	}
	ws.alarm.Reset(time.Duration(wait))
}

// lookAfterWaits tells the calls that need not wait any more, or cannot, and asks about copies:
// those that were made just now, or all of them with a beat, as some travel apart from what
// follows them.
func (m *mover) lookAfterWaits(now bucket.Now, all bool) {
	for part, of := range m.waits.of {
		asked := uint64(0)
		done := m.machine.Given(part)
		if to := m.view.Without(part); to == m.self || to == (handover.Node{}) {
			done = true
		}
		of = slices.DeleteFunc(of, func(w *copyWait) bool {
			switch {
			case done:
				w.told <- true
			case w.until < now.Mono:
				w.told <- false
			case w.seq == 0:
				return false
			default:
				if w.seq != asked && (all || !w.asked) {
					asked = w.seq
					m.send(w.heir, &peerpb.Msg{Of: &peerpb.Msg_Have{Have: &peerpb.Have{Part: part, Gen: w.gen, Seq: w.seq}}})
				}
				w.asked = true
				return false
			}
			return true
		})
		m.waits.put(part, of)
	}
}

func (ws *copyWaits) put(part uint32, of []*copyWait) {
	if len(of) == 0 {
		delete(ws.of, part)
		return
	}
	ws.of[part] = of
}

// reheired has copies made anew for calls whose partition has another successor now.
func (m *mover) reheired() {
	for part, of := range m.waits.of {
		for _, w := range of {
			if w.heir != m.view.Without(part) {
				w.seq, w.asked = 0, false
			}
		}
	}
}

// awaitedIn notes which copy of a partition has what calls wait for.
func (m *mover) awaitedIn(part uint32, s *bucket.State, to handover.Node) {
	for _, w := range m.waits.of[part] {
		if w.seq == 0 {
			w.gen, w.seq, w.heir = s.Gen, s.Seq, to
		}
	}
}

// awaited tells the calls that wait for a copy which another node has.
func (m *mover) awaited(from handover.Node, h *peerpb.Have) {
	of := m.waits.of[h.GetPart()]
	if len(of) == 0 {
		return
	}
	m.waits.put(h.GetPart(), slices.DeleteFunc(of, func(w *copyWait) bool {
		if w.heir != from || w.gen != h.GetGen() || w.seq != h.GetSeq() || w.seq == 0 {
			return false
		}
		w.told <- true
		return true
	}))
}
