// queue.go keeps replies in the order of their commands, and commands on one key too.

package resp

import (
	"sync"
	"sync/atomic"
)

// Bounds of a connection.
const (
	maxInFlight = 1024    // commands whose replies wait for another node; then reading stops
	maxHeld     = 1 << 20 // bytes of replies that wait behind such a command; likewise
	maxUnread   = 8 << 20 // bytes of replies that the client does not read; then it is cut off
)

// keepReplies bounds the buffers that a burst of replies leaves behind, in bytes.
const keepReplies = 64 << 10

// A slot is the place of a reply that is still being made, and what waits behind it.
type slot struct {
	jobs     int    // that are still to be done for it
	total    int64  // of the keys that were counted, where that is the reply
	reply    []byte // nil as long as it is the total
	behind   []byte // replies to commands after this one that are made already
	commands int    // in flight because of it: its own jobs, and those behind
	next     *slot
}

// A queue holds the replies of one connection between the goroutine that reads,
// those that carry out jobs, and the one that writes.
type queue struct {
	// slots is how many replies are still being made. Only the reading goroutine adds
	// one, so if it sees none there is none, and no job either.
	slots atomic.Int32

	mu          sync.Mutex
	more        sync.Cond       // the writer has something to do
	room        sync.Cond       // less is in flight than before
	ready       []byte          // replies that may leave
	writing     int             // bytes that are on their way out
	first, last *slot           // replies that may not leave yet, in order
	commands    int             // of all slots
	held        int             // bytes of all slots: replies that are made, and what is behind
	busy        map[string]*job // the last job of each key that has one
	ended       bool            // nothing more will be added but by jobs
	dead        bool            // nobody will read a reply
}

func (q *queue) start() {
	q.more.L, q.room.L = &q.mu, &q.mu
	q.busy = map[string]*job{}
}

// add puts out behind all other replies, and returns an empty buffer in exchange.
// overrun says that the client reads too little. q.mu is held.
func (q *queue) add(out []byte, commands int) (spare []byte, overrun bool) {
	switch {
	case q.dead || len(out) == 0:
		return out[:0], false
	case q.last != nil:
		q.last.behind = append(q.last.behind, out...)
		q.last.commands += commands
		q.commands += commands
		q.held += len(out)
		return out[:0], false
	case len(q.ready) == 0:
		out, q.ready = q.ready, out
	default:
		q.ready = append(q.ready, out...)
	}
	q.more.Signal()
	return out[:0], len(q.ready)+q.writing > maxUnread
}

// isIdle reports whether nothing is to be written before what comes next, nor at the same
// time. q.mu is held.
func (q *queue) isIdle() bool {
	return q.first == nil && len(q.ready) == 0 && q.writing == 0 && !q.dead
}

// open appends s, for which jobs have to be done, and returns those that can begin
// now: the first on each key. The others follow when their turn comes. q.mu is held.
func (q *queue) open(s *slot, jobs []*job) (begin []*job) {
	s.jobs, s.commands = len(jobs), len(jobs)
	if q.last == nil {
		q.first = s
	} else {
		q.last.next = s
	}
	q.last = s
	q.commands += s.commands
	q.slots.Add(1)
	for _, j := range jobs {
		j.slot = s
		if before := q.busy[j.key]; before != nil {
			before.next = j
		} else {
			begin = append(begin, j)
		}
		q.busy[j.key] = j
	}
	return begin
}

// isBusy reports whether a job on key is still to be done.
func (q *queue) isBusy(key string) bool {
	if q.slots.Load() == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.busy[key] != nil
}

// settle notes what became of a job and returns the next one on its key, if there is
// one and somebody still waits for it.
func (q *queue) settle(j *job, done outcome) (next *job, overrun bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := j.slot
	s.total += done.total
	if done.reply != nil && s.reply == nil {
		s.reply = done.reply
	}
	if s.jobs--; s.jobs == 0 && s.reply == nil {
		s.reply = appendInt(nil, s.total)
	}
	if s.jobs == 0 {
		q.held += len(s.reply)
	}
	overrun = q.release()
	if next = j.next; next == nil {
		delete(q.busy, j.key)
	}
	if q.dead {
		return nil, false
	}
	return next, overrun
}

// release lets the replies leave that wait for nothing any more. q.mu is held.
func (q *queue) release() (overrun bool) {
	released := false
	for s := q.first; s != nil && s.jobs == 0; s = q.first {
		if !q.dead {
			q.ready = append(append(q.ready, s.reply...), s.behind...)
		}
		q.commands -= s.commands
		q.held -= len(s.reply) + len(s.behind)
		q.first = s.next
		if q.first == nil {
			q.last = nil
		}
		q.slots.Add(-1)
		released = true
	}
	if released {
		q.more.Signal()
		q.room.Signal()
	}
	return len(q.ready)+q.writing > maxUnread
}

// isFull reports whether the reading goroutine has to wait before its next command.
// It has replies to some commands, of some size, that it did not add yet. q.mu is held.
func (q *queue) isFull(commands, size int) bool {
	return q.first != nil && !q.dead && (q.commands+commands >= maxInFlight || q.held+size >= maxHeld)
}

// take waits for replies and returns them in exchange for written, which has left.
// None are returned when no more will come. last says that ending is near.
func (q *queue) take(written []byte) (replies []byte, last bool) {
	if cap(written) > keepReplies {
		written = nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing = 0
	for len(q.ready) == 0 && !q.dead && (!q.ended || q.first != nil) {
		q.more.Wait()
	}
	if q.dead {
		return nil, true
	}
	replies, q.ready = q.ready, written[:0]
	q.writing = len(replies)
	return replies, q.ended
}

// end says that no command will follow; the writer stops when all is written.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.more.Signal()
}

// abandon throws all replies away, also those to come.
func (q *queue) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dead = true
	q.ready = nil
	q.more.Signal()
	q.room.Signal()
}
