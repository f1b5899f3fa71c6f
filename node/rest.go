// rest.go has a node that nobody asks do next to nothing.

package node

import (
	"time"

	"github.com/bucketring/bucketring/bucket"
)

const (
	// restsAfter is how long nothing must have happened before a node rests.
	restsAfter = int64(time.Second)
	// restBeat is its beat then, well below pauseFor: a node that rests is not to take
	// itself for paused.
	restBeat = 100 * time.Millisecond
)

// A rest says whether anything happens. The zero value has just been busy.
type rest struct {
	busy int64 // when something last happened, monotonic ns
	is   bool
}

// stir notes that something happens: a message that is not routine, or what settleDown sees.
func (m *mover) stir(now bucket.Now) {
	m.rest.busy = now.Mono
	if m.rest.is {
		m.rest.is = false
		m.msgs.Rest(false)
	}
}

// settleDown begins to rest when nothing has happened for long enough, and goes on. A
// counter that changes meanwhile ends that at once.
func (m *mover) settleDown(now bucket.Now, copied bool) {
	if copied || m.hasToDo() {
		m.stir(now)
		return
	}
	if now.Mono-m.rest.busy <= restsAfter {
		return
	}
	if !m.rest.is {
		m.rest.is = true
		m.msgs.Rest(true)
	}
	m.local.table.NotifyChange(m.wake)
}

// hasToDo reports whether something is under way that is looked at with each beat.
func (m *mover) hasToDo() bool {
	moving := m.machine.Wanted() > 0 || m.machine.Unjoined() > 0 || m.drained != nil || len(m.copies.todo) > 0
	doubting := m.asleep.waiting != nil || len(m.asleep.owing) > 0 || len(m.failover.doubts) > 0 || len(m.failover.acting) > 0
	return moving || doubting || len(m.lends.waiting) > 0 || len(m.waits.of) > 0 || len(m.borrows.all) > 0
}

// every is the time between two beats.
func (r *rest) every() time.Duration {
	if r.is {
		return restBeat
	}
	return beat
}
