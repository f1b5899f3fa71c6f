// handover.go drives package ring/handover: it carries the messages of the ownership
// protocol, and has partitions close, travel and open in the table.

package node

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// Messages bring what nodes tell each other. What is sent may be lost.
type Messages interface {
	// Send brings a message to one start of the member at addr. It never waits.
	Send(addr string, boot uint64, m *peerpb.Msg)
	// Session numbers the links to one start of the member at addr; 0 means that there is
	// none now. What was sent under another number may be lost.
	Session(addr string, boot uint64) uint64
	// Wire returns which version of the protocol one start of the member at addr speaks.
	Wire(addr string, boot uint64) uint32
	// Busy reports whether much waits to be sent to the member at addr already.
	Busy(addr string) bool
	// Hears reports whether one start of the member at addr was heard of lately.
	Hears(addr string, boot uint64) bool
	// Rest says whether nothing happens on this node: then it is enough to hear of silent
	// members a second later.
	Rest(is bool)
}

// maxWaiting bounds the batches of messages that wait for run.
const maxWaiting = 4096

// beat is how often the protocol looks at the time, and copies are sent.
const beat = 10 * time.Millisecond

// A mover has the partitions of one node: which are here, which are on their way, and
// whom to ask for the others.
type mover struct {
	local *Local
	msgs  Messages
	log   *slog.Logger

	observe func(time.Duration) // until all partitions were here; nil for nobody

	unjoined atomic.Int64 // states that wait here for their holders
	roles    [ring.Partitions]atomic.Uint32
	routes   [ring.Partitions]atomic.Pointer[route] // nil is the owner by the ring

	mu    sync.Mutex
	queue []func()                 // what run has to do; guarded by mu
	soon  map[uint32]chan struct{} // closed when a role changes; guarded by mu
	wake  chan struct{}            // one slot: the queue is not empty
	ended chan struct{}            // closed when run has
	made  chan struct{}            // closed once there is a machine

	// All below belongs to run.
	machine    *handover.Machine
	self       handover.Node
	view       *ringView
	began      time.Time
	installing map[uint32]*install
	wanting    time.Time     // since when partitions are missing; zero if none are
	drained    chan struct{} // closed once the machine says so; nil if nobody asked
	copies     copies        // of ours, at others
	replicas   replicas      // of others, here
	failover   failover
	asleep     asleep
	guard      guard
	lends      lends
	waits      copyWaits
	borrows    borrows
	rest       rest
	holdings   holdings

	stats moverStats
}

// A route is whom to ask for a partition.
type route struct {
	member ring.Member
	gen    uint64 // 0 for a guess
}

// An install is a partition on its way into the table.
type install struct {
	gen, lineage uint64
	states       []*bucket.State
}

func newMover(l *Local, msgs Messages, log *slog.Logger) *mover {
	m := &mover{
		local: l, msgs: msgs, log: log, wake: make(chan struct{}, 1), ended: make(chan struct{}), made: make(chan struct{}), soon: map[uint32]chan struct{}{}, began: time.Now(),
		installing: map[uint32]*install{},
	}
	m.borrows.wake = make(chan struct{}, 1)
	m.copies.sent = map[uint32]copySent{}
	return m
}

// post has run do something, soon and in order.
func (m *mover) post(do func()) {
	m.mu.Lock()
	m.queue = append(m.queue, do)
	m.mu.Unlock()
	poke(m.wake)
}

// run carries out the protocol until ctx is done.
func (m *mover) run(ctx context.Context) {
	defer close(m.ended)
	next := time.NewTimer(untilNext(beat))
	defer next.Stop()
	for {
		rested := m.rest.is
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-next.C:
			if m.machine != nil && !rested {
				m.carefully(m.beat)
			}
			next.Reset(untilNext(m.rest.every()))
		}
		m.mu.Lock()
		queue := m.queue
		m.queue = nil
		m.mu.Unlock()
		for _, do := range queue {
			m.carefully(do)
		}
		m.carefully(m.copyAwaited)
		if rested || m.rest.is { // it was woken, or it is time
			m.carefully(m.beat)
			next.Reset(untilNext(m.rest.every()))
		}
	}
}

func untilNext(d time.Duration) time.Duration { return d - time.Duration(time.Now().UnixNano())%d }

// carefully does one thing. A panic costs that one, and is counted.
func (m *mover) carefully(do func()) {
	defer func() {
		if cause := recover(); cause != nil {
			m.stats.panics.Add(1)
			m.log.Error("a message of another node ended in a panic", "panic", cause, "stack", string(debug.Stack()))
		}
	}()
	do()
}

// beat does what time brings.
func (m *mover) beat() {
	now := m.local.clock.now()
	m.wakeUp(now)
	m.step(handover.Tick{})
	m.carefully(func() { m.borrowBeat(now) })
	copied := m.replicate(now)
	m.carefully(func() { m.lendBeat(now) })
	m.carefully(func() { m.lookAfterWaits(now, true) })
	m.watchHolders()
	m.settleDown(now, copied)
	m.guard.look(m.view.ring, time.Now())
	m.unjoined.Store(int64(m.machine.Unjoined()))
}

// setRing takes a new ring. The first one makes the machine.
func (m *mover) setRing(r *ring.Ring) {
	m.post(func() {
		m.guard.note(r, time.Now())
		if m.machine == nil {
			at := slices.IndexFunc(r.Members, func(one ring.Member) bool { return one.Name == m.local.name })
			if at < 0 {
				return
			}
			m.self = nodeOf(r.Members[at])
			m.view = newView(r, m.self)
			m.machine = handover.New(m.self, ring.Partitions, m.view)
			m.local.sure.until.Store(m.local.clock.now().Mono + int64(pauseFor))
			m.copies.allAgain(m)
			m.local.disk.rejoin(m)
			m.unjoined.Store(int64(m.machine.Unjoined()))
			close(m.made)
			m.step(handover.Tick{})
			return
		}
		m.view = newView(r, m.self)
		m.reheired()
		m.step(handover.RingChanged{View: m.view})
		m.reroute()
		m.copies.allAgain(m)
	})
}

// step feeds the machine, and what it asks for in turn.
func (m *mover) step(ev handover.Event) {
	for next := []handover.Event{ev}; len(next) > 0; next = next[1:] {
		for _, a := range m.machine.Step(time.Since(m.began), next[0]) {
			if frozen, ok := m.act(a); ok {
				next = append(next, frozen)
			}
		}
	}
	m.tellHoldings()
	switch wanted := m.machine.Wanted(); {
	case wanted > 0 && m.wanting.IsZero():
		m.wanting = time.Now()
	case wanted == 0 && !m.wanting.IsZero():
		took := time.Since(m.wanting)
		m.wanting = time.Time{}
		m.stats.tookOver(took)
		if m.observe != nil {
			m.observe(took)
		}
		m.log.Info("all partitions are here", "took", took.Round(time.Microsecond))
	}
}

// act carries out an action. A partition that was frozen is told back.
func (m *mover) act(a handover.Action) (frozen handover.Frozen, ok bool) {
	now := m.local.clock.now()
	switch a := a.(type) {
	case handover.Send:
		if held, ok := a.Msg.(handover.Held); ok {
			m.holdings.add(a.To, held)
			break
		}
		m.tellHoldings() // before what comes after
		m.send(a.To, toWire(a.Msg, now))
	case handover.Freeze:
		began := time.Now()
		s := m.local.table.Close(a.Part, now)
		m.stats.froze(time.Since(began), s)
		m.local.disk.add(a.Part, s)
		return handover.Frozen{Part: a.Part, State: s}, true
	case handover.Install:
		m.installing[a.Part] = &install{uint64(a.Gen), a.Lineage, []*bucket.State{stateOf(a.State), m.stopActing(a.Part)}}
	case handover.Join:
		if in := m.installing[a.Part]; in != nil {
			in.states = append(in.states, stateOf(a.State))
		} else if s := stateOf(a.State); s != nil {
			m.local.table.Join(a.Part, s, now)
		}
	case handover.SetRole:
		m.setRole(a, now)
	case handover.Drained:
		close(m.drained)
	}
	return frozen, false
}

func (m *mover) send(to handover.Node, msg *peerpb.Msg) {
	if member, known := m.view.members[to]; known {
		m.msgs.Send(member.Addr, to.Boot, msg)
	}
}

// setRole makes calls meet a partition's new role.
func (m *mover) setRole(a handover.SetRole, now bucket.Now) {
	if a.Role == handover.RoleHold {
		lineage := m.machine.Lineage(a.Part)
		if in := m.installing[a.Part]; in != nil {
			delete(m.installing, a.Part)
			if uint32(a.Gen) == 0 { // nobody had it to give
				m.guard.claimed(a.Part, m.view.ring, time.Now())
			}
			m.local.table.Open(a.Part, in.gen, in.lineage, nil, now, in.states...)
			m.stats.received(in.states)
			m.local.disk.addAll(a.Part, now)
		} else {
			m.local.table.Relabel(a.Part, uint64(a.Gen), lineage, now)
		}
		m.lends.since[a.Part] = now.Mono
		m.replicas.forget(a.Part)
		m.copies.again(a.Part)
		m.local.refused[a.Part].at.Store(now.Mono) // whoever held it may have denied something
	}
	if a.Role == handover.RoleNone {
		m.guard.gone(a.Part)
		m.copies.gone(m, a.Part)
	}
	m.roles[a.Part].Store(uint32(a.Role))
	m.routeTo(a.Part)
	m.mu.Lock()
	soon := m.soon[a.Part]
	delete(m.soon, a.Part)
	m.mu.Unlock()
	if soon != nil {
		close(soon)
	}
}

// changes returns a channel that is closed when the role of a partition changes.
func (m *mover) changes(part uint32) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.soon[part] == nil {
		m.soon[part] = make(chan struct{})
	}
	return m.soon[part]
}

// reroute finds out anew whom to ask for each partition.
func (m *mover) reroute() {
	for p := range uint32(ring.Partitions) {
		m.routeTo(p)
	}
}

func (m *mover) routeTo(p uint32) {
	if p >= ring.Partitions { // messages come from outside
		return
	}
	whom := m.machine.Whom(p)
	member, known := m.view.members[whom.Node]
	if owner, _ := m.view.ring.Owner(p); !known || whom.Gen == 0 && member == owner {
		m.routes[p].Store(nil)
		return
	}
	if old := m.routes[p].Load(); old == nil || old.member != member || old.gen != uint64(whom.Gen) {
		m.routes[p].Store(&route{member, uint64(whom.Gen)})
	}
}
