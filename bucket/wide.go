// wide.go holds the states that do not fit one word, under a lock each.

package bucket

import (
	"sync"

	"github.com/bucketring/bucketring"
)

// A wide is the state of a counter whose rule has formWide. Which of the parts
// it uses depends on the kind and the algorithm.
type wide struct {
	mu       sync.Mutex // guards all below
	sealed   bool
	bucket   missing // token bucket
	slots    slots   // sliding and epoch windows
	first    started // first-request window
	level    level
	register *register // of KindRegister, else nil
	leases   *leases   // of KindConcurrency, guarded by the partition's lock instead
}

func newWide(r *rule) *wide {
	w := &wide{}
	if r.limit.Kind == bucketring.KindConcurrency {
		w.leases = newLeases()
	}
	if r.limit.Kind == bucketring.KindRegister {
		w.register = new(register)
	}
	if r.slots > 0 {
		w.slots.counts = make([]int64, r.slots)
	}
	return w
}

// do is bucket.do for wide states.
func (w *wide) do(r *rule, op *Op, now Now, res *Result) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sealed {
		return false
	}
	w.stepLocked(r, op, now, res)
	return true
}

// stepLocked is the one table of the algorithms whose state is wide.
func (w *wide) stepLocked(r *rule, op *Op, now Now, res *Result) {
	switch {
	case r.limit.Kind == bucketring.KindLevel:
		w.level.step(r, op, res)
	case r.limit.Kind == bucketring.KindRegister:
		w.register.step(op, now, res)
	case r.limit.Refills():
		w.bucket.step(r, op, now, res)
	case r.limit.Align == bucketring.AlignFirstRequest:
		w.first = r.stepStarted(op, w.first, now, res)
	default:
		w.slots.step(r, op, now, res)
	}
}

func (w *wide) seal() {
	w.mu.Lock()
	w.sealed = true
	w.mu.Unlock()
}

func (w *wide) isSealed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sealed
}

func (w *wide) sealUnused(r *rule, now Now) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sealed = w.unusedLocked(r, now)
	return w.sealed
}

func (w *wide) unusedLocked(r *rule, now Now) bool {
	switch {
	case r.limit.Kind == bucketring.KindConcurrency:
		return len(w.leases.held) == 0
	case r.limit.Kind == bucketring.KindLevel:
		return w.level == level{}
	case r.limit.Kind == bucketring.KindRegister:
		return w.register.unused(now)
	case r.limit.Refills():
		w.bucket.advance(r, now)
		return w.bucket.whole == 0 && w.bucket.frac == 0
	case r.limit.Align == bucketring.AlignFirstRequest:
		return !w.first.open(r, now)
	default:
		w.slots.advance(r, now)
		return w.slots.sum() == 0
	}
}
