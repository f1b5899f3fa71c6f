package handover

import (
	"cmp"
	"slices"
	"time"
)

// A Node is one start of one node.
type Node struct {
	Name string
	Boot uint64
}

// none is no node.
var none = Node{}

// A Gen is a partition's generation: claims in the high half, handovers since the
// last claim in the low.
type Gen uint64

// next is the generation after a handover, claimed that of a claim above it.
func (g Gen) next() Gen    { return g + 1 }
func (g Gen) claimed() Gen { return (g>>32 + 1) << 32 }

// A State is the counters of a partition, a handle that only its maker can read.
// nil is no counters.
type State any

// A Copy is a state as it was at a generation.
type Copy struct {
	Gen     Gen
	Lineage uint64 // of the claim that the chain of holders began with
	State   State
}

// A Role is what a node does with a partition.
type Role uint8

// The roles. Calls are decided in RoleHold alone.
const (
	RoleNone    Role = iota
	RolePending      // wanted, not here yet
	RoleHold         // decides
	RoleMoving       // being frozen
)

// A Ref says that a node held a partition at a generation, or was given it.
type Ref struct {
	Node Node
	Gen  Gen
}

// A View is how this node sees the cluster. It does not change.
type View interface {
	// Owner is who should hold a partition; the zero Node if nobody can.
	Owner(part uint32) Node
	// Without is who would own it without this node.
	Without(part uint32) Node
	// Peers are all other live nodes, sorted, those that are leaving too.
	Peers() []Node
	// Leaving reports whether a node is live and on its way out.
	Leaving(n Node) bool
}

// A Machine is one node's part in the protocol.
type Machine struct {
	self  Node
	view  View
	prev  View // before the present one
	parts []part
	now   time.Duration
	out   []Action

	busy     []uint64 // a bit for each partition that is not at rest: time may change it
	touched  []uint32 // what this event was about
	sending  int      // offers that this step may still send: many at once are a storm
	waiting  []uint32 // wanted, but not asked for yet
	underWay int      // asked for

	offers  uint64 // numbers given out
	tokens  uint64 // of questions
	nextAll time.Duration
	drain   drain
}

// A part is one partition.
type part struct {
	role    Role
	asked   bool // counts as under way
	gen     Gen
	lineage uint64
	seen    Gen  // of the highest grant that reached us
	took    Copy // the last grant that we accepted, without its state
	known   Ref  // the highest that we heard of
	fwd     Ref  // whom we gave it to

	want   want
	orphan orphan
	frozen frozen
	rep    Copy // streamed to us as successor; Gen 0 is none
	upto   uint64
	offers []*offer
	parked []Node // who asked while it was being frozen
	fence  Ref    // freezing because of this holder; else for parked
	nudge  time.Duration
}

// New returns the machine of a node that sees the cluster so, with parts partitions.
func New(self Node, parts int, view View) *Machine {
	m := &Machine{self: self, view: view, prev: view, parts: make([]part, parts), busy: make([]uint64, (parts+63)/64)}
	m.touchAll()
	return m
}

// Role returns what this node does with a partition, and its generation there.
func (m *Machine) Role(p uint32) (Role, Gen) { return m.parts[p].role, m.parts[p].gen }

// Wanted counts the partitions that this node should own and that are not here yet.
func (m *Machine) Wanted() int { return len(m.waiting) + m.underWay }

// Lineage returns the lineage of a partition that is held here.
func (m *Machine) Lineage(p uint32) uint64 { return m.parts[p].lineage }

// Whom returns who may hold a partition that is not here, as far as is known: whom it
// was given to or taken from, else, with a generation of 0, its owner. The zero Node is
// nobody.
func (m *Machine) Whom(p uint32) Ref {
	pt := &m.parts[p]
	best := Ref{Gen: pt.gen}
	for _, r := range []Ref{pt.fwd, pt.known} {
		if r.Gen > best.Gen && m.live(r.Node) {
			best = r
		}
	}
	switch {
	case best.Node != none:
		return best
	case pt.role == RolePending && m.live(pt.want.asked):
		return Ref{Node: pt.want.asked}
	case pt.role == RolePending:
		for _, n := range m.holders(p) {
			if n != m.self && m.live(n) {
				return Ref{Node: n}
			}
		}
	}
	return Ref{Node: m.view.Owner(p)}
}

// Step carries out one event and returns what is to be done, in this order. now
// never goes back.
func (m *Machine) Step(now time.Duration, ev Event) []Action {
	m.now, m.out, m.sending = now, nil, offersAtOnce
	missing := m.Wanted() > 0
	switch ev := ev.(type) {
	case RingChanged:
		m.prev, m.view = m.view, ev.View
		m.tellAll()
		m.touchAll()
	case Received:
		m.receive(ev.From, ev.Msg)
	case Frozen:
		m.touch(ev.Part)
		m.frozen(ev.Part, ev.State)
	case Replicated:
		m.touch(ev.Part)
		m.replicated(ev)
	case Dropped:
		m.parts[ev.Part].rep = Copy{}
	case Left:
		m.touch(ev.Part)
		m.offer(ev.Part, ev.Copy)
	case Drain:
		m.drain = drain{on: true, clear: map[Node]bool{}}
		m.touchAll()
	case Tick:
	}
	if _, tick := ev.(Tick); tick {
		m.upkeepAll()
	}
	m.upkeepTouched()
	if m.now >= m.nextAll {
		m.touchAll()
		m.upkeepTouched()
	}
	if m.now >= m.nextAll || missing && m.Wanted() == 0 { // others may ask the givers still
		m.tellAll()
	}
	if _, tick := ev.(Tick); tick {
		m.upkeepDrain()
	}
	return m.out
}

// receive carries out a message.
func (m *Machine) receive(from Node, msg Msg) {
	if p, of := partOf(msg); of {
		if int(p) >= len(m.parts) {
			return
		}
		m.touch(p)
	}
	switch msg := msg.(type) {
	case Take:
		m.take(from, msg.Part)
	case Given:
		if msg.How == Grant {
			m.granted(from, msg.Part, msg.Copy)
		} else {
			m.given(from, msg)
		}
	case Ack:
		if msg.Offer != 0 {
			m.offerAcked(from, msg)
		} else {
			m.acked(from, msg)
		}
	case Who:
		m.iam(from, msg)
	case Iam:
		if o := &m.parts[msg.Part].orphan; o.token == msg.Token && o.token != 0 {
			o.answers[from] = msg
		}
	case Held:
		m.heldBy(from, msg)
	case Nudge:
		m.nudged(from, msg)
	case Offer:
		m.offered(msg.Part, msg)
	case Bye:
		m.bye(from)
	case Clear:
		if m.drain.on {
			m.drain.clear[from] = true
		}
	}
}

// upkeep holds the rules against one partition, whatever has happened.
func (m *Machine) upkeep(p uint32) {
	m.wantPart(p)
	m.orphanPart(p)
	m.givePart(p)
	m.offerPart(p)
	m.nudgePart(p)
}

func (m *Machine) send(to Node, msg Msg) {
	if to != none && to != m.self {
		m.out = append(m.out, Send{to, msg})
	}
}

func (m *Machine) setRole(p uint32, r Role) {
	pt := &m.parts[p]
	pt.role = r
	if r != RolePending && pt.asked {
		pt.asked = false
		m.underWay--
	}
	m.touch(p)
	m.out = append(m.out, SetRole{p, r, pt.gen})
}

// live reports whether a node is one of the others and alive.
func (m *Machine) live(n Node) bool {
	_, ok := slices.BinarySearchFunc(m.view.Peers(), n, compareNodes)
	return ok
}

func compareNodes(a, b Node) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Boot, b.Boot))
}

// hear notes that somebody held a partition at a generation.
func (m *Machine) hear(p uint32, r Ref) {
	if pt := &m.parts[p]; r.Node != m.self && r.Gen > pt.known.Gen {
		pt.known = r
	}
}

// hold makes this node the holder of a state that is made of one and all others.
// What else is here of the partition is joined, before calls are decided.
func (m *Machine) hold(p uint32, gen Gen, lineage uint64, state State, others ...State) {
	pt := &m.parts[p]
	pt.gen, pt.lineage = gen, lineage
	pt.seen = max(pt.seen, gen)
	m.out = append(m.out, Install{p, gen, lineage, state})
	for _, c := range pt.copies() {
		if c.Lineage == lineage && c.Gen <= gen {
			continue // the state that was granted came of it
		}
		others = append(others, c.State)
	}
	for _, s := range others {
		m.out = append(m.out, Join{p, s})
	}
	pt.want, pt.orphan, pt.frozen = want{}, orphan{}, frozen{}
	pt.offers, pt.fwd, pt.rep = nil, Ref{}, Copy{}
	pt.nudge = m.now
	m.setRole(p, RoleHold)
}

// HasCopy reports whether what was streamed of a partition is kept.
func (m *Machine) HasCopy(p uint32) bool { return m.parts[p].rep.Gen != 0 }

// Copies are the states of a partition that are here and not held.
func (m *Machine) Copies(p uint32) []Copy { return m.parts[p].copies() }

// copies are what this node has of a partition that it does not hold.
func (pt *part) copies() (all []Copy) {
	if pt.frozen.copy.Gen != 0 {
		all = append(all, pt.frozen.copy)
	}
	if pt.rep.Gen != 0 {
		all = append(all, pt.rep)
	}
	for _, o := range pt.offers {
		all = append(all, o.copy)
	}
	return all
}

// replicated takes what the holder has streamed to this node as its successor. A
// copy of another lineage makes room for it: the holder may not have that.
func (m *Machine) replicated(r Replicated) {
	pt := &m.parts[r.Part]
	m.hear(r.Part, Ref{r.From, r.Copy.Gen})
	switch {
	case pt.role == RoleHold || pt.role == RoleMoving:
		m.heldBy(r.From, Held{r.Part, r.Copy.Gen, r.Copy.Lineage})
	case r.Copy.Gen > pt.rep.Gen || r.Copy.Gen == pt.rep.Gen && r.Upto >= pt.upto:
		if old := pt.rep; old.Gen != 0 && old.Lineage != r.Copy.Lineage {
			m.offer(r.Part, old)
		}
		pt.rep, pt.upto = r.Copy, r.Upto
	}
}
