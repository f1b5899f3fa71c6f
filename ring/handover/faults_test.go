package handover

import (
	"fmt"
	"slices"
	"time"
)

// left takes a node that has drained out of the cluster.
func (w *world) left(s *sim) {
	w.log("%v: %v has drained", w.now, s.Node)
	s.drained = true
	w.unknown(s)
	r := s.v.records[s.Node]
	r.status = 2
	w.learn(s, map[Node]record{s.Node: r})
	w.tell(s.Node, r)
	w.after(linger, func() { s.up = false })
}

func (w *world) drain(s *sim) {
	if s.v.records[s.Node].status != 0 {
		return
	}
	w.log("%v: %v drains", w.now, s.Node)
	r := s.v.records[s.Node]
	r.status = 1
	w.learn(s, map[Node]record{s.Node: r})
	w.tell(s.Node, r)
	w.step(s, Drain{})
}

// crash ends nodes at once, and notes what nobody else knows.
func (w *world) crash(dead ...*sim) {
	w.faulty = true
	for _, s := range dead {
		w.log("%v: %v crashes", w.now, s.Node)
		s.up = false
	}
	for p := range uint32(parts) {
		gone := w.gone(p)
		for _, s := range dead {
			w.bound(s, p, gone)
		}
		w.lost[p] = w.lost[p].or(gone)
	}
	w.crashed = w.now
	for _, s := range dead {
		r := s.v.records[s.Node]
		r.status = 2
		w.after(w.between(10*time.Millisecond, 40*time.Millisecond), func() { w.tell(s.Node, r) })
	}
}

// gone are calls that no node knows that others may ask.
func (w *world) gone(p uint32) ops {
	var left ops
	for _, s := range w.live() {
		if !s.drained {
			left = left.or(s.has(p))
		}
	}
	return w.admitted[p].without(left).without(w.lost[p])
}

// unknown holds what is lost with a node that has left against the promise: nothing,
// unless a node has crashed so lately that it did not know, or is cut off.
func (w *world) unknown(s *sim) {
	for p := range uint32(parts) {
		gone := w.gone(p)
		if gone != (ops{}) && !w.split && (w.crashed == 0 || w.now-w.crashed > 2*gossipMax) {
			w.fail("%v left with calls of %d", s.Node, p)
		}
		w.lost[p] = w.lost[p].or(gone)
	}
}

// bound holds a crash against the promise: what a holder has decided long enough
// ago lies at its successor.
func (w *world) bound(s *sim, p uint32, gone ops) {
	const long = 150 * time.Millisecond
	to := w.find(s.v.without[p])
	if s.role[p] != RoleHold || w.now-s.since[p] < long || to == nil || !to.up || w.split {
		return
	}
	for i, at := range w.at {
		if gone.has(i) && s.state[p].has(i) && w.now-at > long {
			w.fail("%v crashed, and a call of %v was lost, although %v had been its successor for %v",
				s.Node, at, to.Node, w.now-s.since[p])
		}
	}
}

// cut splits the cluster for a while; each side takes the other for dead.
func (w *world) cut() {
	w.faulty, w.split = true, true
	w.log("%v: split", w.now)
	var sides [2][]*sim
	for _, s := range w.live() {
		s.side = w.rng.IntN(2)
		sides[s.side] = append(sides[s.side], s)
	}
	for _, s := range w.live() {
		for _, o := range sides[1-s.side] {
			r := s.v.records[o.Node]
			r.status = 2
			w.after(w.between(10*time.Millisecond, 40*time.Millisecond), func() {
				if o.side != s.side {
					w.learn(s, map[Node]record{o.Node: r})
				}
			})
		}
	}
	w.after(w.between(20*time.Millisecond, 150*time.Millisecond), func() {
		w.log("%v: healed", w.now)
		w.split = false
		for _, s := range w.nodes {
			s.side = 0
		}
		for _, s := range w.live() {
			for _, o := range w.live() {
				records := s.v.records
				w.after(w.between(0, gossipMax), func() { w.learn(o, records) })
			}
		}
	})
}

// change does one thing to the cluster.
func (w *world) change(kind int) {
	live := w.live()
	var active []*sim
	for _, s := range live {
		if s.v.records[s.Node].status == 0 {
			active = append(active, s)
		}
	}
	one := active[w.rng.IntN(len(active))]
	switch do := w.rng.IntN(6); {
	case kind == 1 && do == 0 && len(active) > 2:
		w.crash(active[0])
	case kind == 1 && do == 1 && len(active) > 3:
		w.crash(active[0], active[len(active)-1])
	case kind == 1 && do == 2 && len(active) > 2: // and starts again
		s := active[w.rng.IntN(len(active))]
		w.crash(s)
		w.start(s.Name, active[(slices.Index(active, s)+1)%len(active)].v.records)
	case kind == 2 && do == 0 && !w.split:
		w.cut()
	case do < 4 && len(active) > 1:
		w.drain(active[w.rng.IntN(len(active))])
	case len(live) < 8:
		w.start(fmt.Sprintf("n%d", w.boot), one.v.records)
	}
}
