package handover

import (
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"
)

const (
	parts     = 3
	gossipMax = 60 * time.Millisecond
	linger    = 4 * gossipMax // how long a node that has left answers
	flush     = 10 * time.Millisecond
	tick      = 5 * time.Millisecond
)

// A sim is one node: a machine and what its driver keeps.
type sim struct {
	Node
	m       *Machine
	v       *view
	up      bool
	side    int
	role    [parts]Role
	gen     [parts]Gen
	state   [parts]ops
	since   [parts]time.Duration // of the present role and view
	drained bool
}

// An item is something that happens at a time.
type item struct {
	at  time.Duration
	seq int
	do  func()
}

type queue []item

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(item)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// A world is a cluster under one seed.
type world struct {
	rng      *rand.Rand
	now      time.Duration
	seq      int
	boot     uint64
	queue    queue
	nodes    []*sim // all that ever were, in order of their start
	loss     float64
	faulty   bool // something crashed or was cut off
	split    bool
	crashed  time.Duration // the last time; 0 is never
	admitted [parts]ops
	at       []time.Duration // when each op was admitted
	lost     [parts]ops      // with their nodes
	err      error
	log      func(format string, args ...any)
	seen     coverage
	plant    plant
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %v: "+format, append([]any{w.now}, args...)...)
	}
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, item{w.now + d, w.seq, do})
}

// between is a duration from a to b.
func (w *world) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rng.Int64N(int64(b-a)))
}

// run lets what was planned happen, until a time or a failure.
func (w *world) run(until time.Duration) {
	for w.err == nil && len(w.queue) > 0 && w.queue[0].at <= until {
		next := heap.Pop(&w.queue).(item)
		w.now = next.at
		next.do()
	}
	w.now = until
}

func (w *world) find(n Node) *sim {
	for _, s := range w.nodes {
		if s.Node == n {
			return s
		}
	}
	return nil
}

func (w *world) live() (all []*sim) {
	for _, s := range w.nodes {
		if s.up {
			all = append(all, s)
		}
	}
	return all
}

// start adds a node that knows what one of the others knows.
func (w *world) start(name string, records map[Node]record) *sim {
	w.boot++
	s := &sim{Node: Node{name, w.boot}, up: true}
	records = maps.Clone(records)
	records[s.Node] = record{}
	s.v = newView(s.Node, records)
	s.m = New(s.Node, parts, s.v)
	w.nodes = append(w.nodes, s)
	w.log("%v: %v starts", w.now, s.Node)
	w.tell(s.Node, record{})
	w.step(s, Tick{})
	w.after(w.between(0, tick), func() { w.ticks(s) })
	w.after(w.between(0, flush), func() { w.flushes(s) })
	w.after(w.between(0, gossipMax), func() { w.pulls(s) })
	return s
}

// pulls learns all that another node knows, from time to time, or that it is dead.
func (w *world) pulls(s *sim) {
	if !s.up {
		return
	}
	if all := s.v.peers; len(all) > 0 {
		switch from := w.find(all[w.rng.IntN(len(all))]); {
		case !from.up:
			r := s.v.records[from.Node]
			r.status = 2
			w.learn(s, map[Node]record{from.Node: r})
		case from.side == s.side:
			w.learn(s, from.v.records)
		}
	}
	w.after(w.between(0, 2*gossipMax), func() { w.pulls(s) })
}

func (w *world) ticks(s *sim) {
	if s.up {
		w.step(s, Tick{})
		w.after(tick, func() { w.ticks(s) })
	}
}

// flushes streams what a node holds to its successors.
func (w *world) flushes(s *sim) {
	if !s.up {
		return
	}
	for p := range uint32(parts) {
		to := w.find(s.v.without[p])
		if s.role[p] == RoleHold && to != nil {
			upto := uint64(w.now)
			c := Copy{s.gen[p], s.m.parts[p].lineage, s.state[p]}
			w.carry(s, to, func() { w.step(to, Replicated{p, s.Node, c, upto}) })
		}
	}
	w.after(flush, func() { w.flushes(s) })
}

// tell lets every node learn a record, each at its time.
func (w *world) tell(n Node, r record) {
	for _, s := range w.live() {
		w.after(w.between(0, gossipMax), func() { w.learn(s, map[Node]record{n: r}) })
	}
}

// learn merges records into a view.
func (w *world) learn(s *sim, news map[Node]record) {
	if !s.up {
		return
	}
	var merged map[Node]record
	for n, r := range news {
		if old, ok := s.v.records[n]; ok && !r.above(old) {
			continue
		}
		if merged == nil {
			merged = maps.Clone(s.v.records)
		}
		if n == s.Node && r.status == 2 && !s.drained { // refuted
			r = record{r.inc + 1, s.v.records[n].status}
			w.tell(n, r)
		}
		merged[n] = r
	}
	if merged != nil {
		s.v = newView(s.Node, merged)
		for p := range s.since {
			s.since[p] = w.now
		}
		w.step(s, RingChanged{s.v})
	}
}

// carry brings something to a node, unless it is lost; it may come late and twice.
func (w *world) carry(from, to *sim, do func()) {
	for range 2 {
		if w.rng.Float64() >= w.loss {
			d := w.between(100*time.Microsecond, 2*time.Millisecond)
			if w.rng.IntN(30) == 0 {
				d = w.between(0, 80*time.Millisecond)
			}
			w.after(d, func() {
				if to.up && from.side == to.side {
					do()
				}
			})
		}
		if w.rng.IntN(20) != 0 {
			return
		}
	}
}

// step feeds a machine and does what it says.
func (w *world) step(s *sim, ev Event) {
	before := w.seen.before(s)
	actions := s.m.Step(w.now, ev)
	w.seen.after(s, before)
	for _, a := range actions {
		w.act(s, a)
	}
}

func (w *world) act(s *sim, a Action) {
	switch a := a.(type) {
	case Send:
		to, view := w.find(a.To), s.v
		msg := a.Msg
		if w.plant != nil {
			msg = w.plant(s, to, msg)
		}
		w.carry(s, to, func() {
			w.learn(to, view.records)
			w.log("%v: %v to %v: %T%+v", w.now, s.Node, to.Node, msg, msg)
			w.step(to, Received{s.Node, msg})
		})
	case SetRole:
		w.log("%v: %v: part %d role %d gen %x", w.now, s.Node, a.Part, a.Role, a.Gen)
		if a.Role == RoleHold && a.Gen < s.gen[a.Part] {
			w.fail("%v holds %d at %x after %x", s.Node, a.Part, a.Gen, s.gen[a.Part])
		}
		s.role[a.Part], s.gen[a.Part], s.since[a.Part] = a.Role, a.Gen, w.now
		if a.Role == RoleNone {
			s.state[a.Part] = ops{}
		}
	case Freeze:
		state := s.state[a.Part]
		w.after(w.between(0, 3*time.Millisecond), func() {
			if s.up {
				w.step(s, Frozen{a.Part, state})
			}
		})
	case Install:
		s.state[a.Part] = opsOf(a.State)
	case Join:
		if s.role[a.Part] == RoleMoving {
			w.fail("%v joins into %d, which is frozen", s.Node, a.Part)
		}
		s.state[a.Part] = s.state[a.Part].or(opsOf(a.State))
	case Drained:
		w.left(s)
	}
}
