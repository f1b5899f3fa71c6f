// durable.go has calls answered only once a second node knows what they have counted.

package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// secure waits until a second node knows what a call has just counted here. If none does in
// time, the answer is degraded; where a limit must stay closed then, what was counted is given
// back, and the error is ErrUnavailable.
func (l *Local) secure(ctx context.Context, hash uint64, req *bucketring.Request, d *bucketring.Decision) error {
	if l.mover == nil || !req.Durable() || !d.Allowed && !req.Each || d.Source != bucketring.SourceOwner {
		return nil
	}
	began := l.clock.now().Mono
	timer := time.NewTimer(l.copyWithin)
	defer timer.Stop()
	select {
	case known := <-l.mover.awaitCopy(req.Partition, l.copyWithin):
		if known {
			return nil
		}
	case <-timer.C:
	case <-ctx.Done():
	case <-l.mover.ended:
	}
	d.Degraded = true
	if c := callOf(req); !c.anyClosed() || !l.takeBack(hash, req, d, began) {
		return nil
	}
	return fmt.Errorf("%w: no second node knows of the call, which was taken back", bucketring.ErrUnavailable)
}

// takeBack undoes what a call has just taken. A set, and what was taken off a level, stay.
func (l *Local) takeBack(hash uint64, req *bucketring.Request, d *bucketring.Decision, taken int64) (done bool) {
	if req.Verb != bucketring.VerbTake {
		return false
	}
	back := bucketring.Request{Verb: bucketring.VerbRefund, Partition: req.Partition}
	since := l.clock.now().Mono - taken
	for i, s := range d.All() {
		c := req.Charges[i]
		if s.Allowed && !s.Repeated && c.Cost != 0 && !cameBack(&c, s.ResetAfter, since) {
			c.Window = s.Window
			back.Charges = append(back.Charges, c)
		}
	}
	var undone bucketring.Decision
	return len(back.Charges) == 0 || l.decide(hash, &back, &undone)
}

// A copyWait is a call that waits for a copy of its partition.
type copyWait struct {
	part     uint32
	until    int64         // monotonic ns
	told     chan bool     // one slot
	heir     handover.Node // who gets the copy
	gen, seq uint64        // of the copy that has what the call has counted; 0 for not made yet
}

// awaitCopy has the next copy of a partition made at once. The channel says whether a second
// node has it, or needs none: nobody keeps copies, or the partition has moved with all that it
// has.
func (m *mover) awaitCopy(part uint32, within time.Duration) <-chan bool {
	w := &copyWait{part: part, told: make(chan bool, 1), until: m.local.clock.now().Mono + int64(within)}
	m.post(func() { m.waits = append(m.waits, w) })
	return w.told
}

// copyAwaited makes the copies that calls wait for, and asks whether they have arrived.
func (m *mover) copyAwaited() {
	fresh := func(w *copyWait) bool { return w.seq == 0 }
	if m.machine == nil || !slices.ContainsFunc(m.waits, fresh) {
		return
	}
	now := m.local.clock.now()
	m.replicate(now)
	for _, w := range m.waits { // a beat may have been between the charge and the wait
		if fresh(w) && m.local.table.Here(w.part) {
			m.copyWhole(w.part, now)
		}
	}
	m.askAwaited()
}

// askAwaited asks the nodes that have the copies. Those that travel apart are asked about again
// with each beat.
func (m *mover) askAwaited() {
	var asked peerpb.Have
	m.waits = slices.DeleteFunc(m.waits, func(w *copyWait) bool {
		switch to := m.view.Without(w.part); {
		case !m.local.table.Here(w.part), to == m.self, to == handover.Node{}:
			w.told <- true
			return true
		case w.until < m.local.clock.now().Mono:
			w.told <- false
			return true
		case w.seq != 0 && (asked.GetPart() != w.part || asked.GetSeq() != w.seq):
			asked.Part, asked.Seq = w.part, w.seq
			m.send(w.heir, &peerpb.Msg{Of: &peerpb.Msg_Have{Have: &peerpb.Have{Part: w.part, Gen: w.gen, Seq: w.seq}}})
		}
		return false
	})
}

// awaitedIn notes which copy of a partition has what calls wait for.
func (m *mover) awaitedIn(part uint32, s *bucket.State, to handover.Node) {
	for _, w := range m.waits {
		if w.part == part && w.seq == 0 {
			w.gen, w.seq, w.heir = s.Gen, s.Seq, to
		}
	}
}

// awaited tells the calls that wait for a copy which another node has.
func (m *mover) awaited(from handover.Node, h *peerpb.Have) {
	m.waits = slices.DeleteFunc(m.waits, func(w *copyWait) bool {
		if w.part != h.GetPart() || w.heir != from || w.gen != h.GetGen() || w.seq != h.GetSeq() || w.seq == 0 {
			return false
		}
		w.told <- true
		return true
	})
}
