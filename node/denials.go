// denials.go remembers what owners have refused: until that could pass again nobody needs
// to ask them, so an exhausted key costs no network.

package node

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	denialLines   = 256
	denialsOfLine = 64
	// holdsFor is how long a denial is believed at most, and how long the owner remembers
	// that it has said one.
	holdsFor = int64(time.Second)
)

// denials are what other nodes have refused lately. A denial holds from when the call was
// sent until that cost would have fitted if nobody else had come: only a refund, a reset or
// a settlement makes it wrong, and of those the owner tells. The zero value is empty.
type denials struct {
	// undone is when counters of a partition got something back, as far as this node has
	// heard: calls that were sent before say nothing.
	undone [ring.Partitions]atomic.Int64
	lines  [denialLines]denialLine
}

type denialLine struct {
	mu sync.Mutex
	of map[uint64]*denial // by counter; guarded by mu
}

// A denial is of one counter under one amount.
type denial struct {
	key         string
	limit       bucketring.Limit
	cost        int64
	sent, until int64 // monotonic ns
	state       bucketring.LimitState
	owner       string
}

// single returns the one charge of a take that can be remembered.
func single(req *bucketring.Request) (c bucketring.Charge, ok bool) {
	switch call := callOf(req); {
	case req.Verb != bucketring.VerbTake || call.len() != 1:
		return c, false
	default:
		c = call.at(0)
	}
	return c, c.Limit.Kind == bucketring.KindRate && c.ID == (bucketring.ID{}) && !c.Shadow && !c.Force && c.Cost > 0
}

// note remembers an owner's denial of a call that was sent at a time.
func (ds *denials) note(hash uint64, req *bucketring.Request, d *bucketring.Decision, sent int64) {
	if d.Allowed || d.Source != bucketring.SourceOwner || d.RetryAfter <= 0 {
		return
	}
	c, ok := single(req)
	if !ok {
		return
	}
	holds := min(int64(d.RetryAfter), holdsFor)
	if d.NextAfter > 0 {
		holds = min(holds, int64(d.NextAfter)) // what remains is another number then
	}
	one := &denial{c.Key, *c.Limit, c.Cost, sent, sent + holds, d.LimitState, d.Owner}
	counter := counterOf(hash, &c)
	line := &ds.lines[counter%denialLines]
	line.mu.Lock()
	defer line.mu.Unlock()
	if line.of == nil || len(line.of) >= denialsOfLine {
		line.of = map[uint64]*denial{} // a flood of keys: the others are asked for again
	}
	line.of[counter] = one
}

// answer answers a call into d, which is empty, if a denial of it still holds.
func (ds *denials) answer(part uint32, hash uint64, req *bucketring.Request, node string, now bucket.Now, d *bucketring.Decision) (denied bool) {
	c, ok := single(req)
	if !ok {
		return false
	}
	counter := counterOf(hash, &c)
	line := &ds.lines[counter%denialLines]
	line.mu.Lock()
	one := line.of[counter]
	if one != nil && now.Mono >= one.until {
		delete(line.of, counter)
	}
	line.mu.Unlock()
	if one == nil || now.Mono >= one.until || one.sent <= ds.undone[part].Load() ||
		c.Cost != one.cost || c.Key != one.key || *c.Limit != one.limit {
		return false
	}
	d.LimitState = one.state
	since := time.Duration(now.Mono - one.sent)
	d.ResetAfter, d.NextAfter = max(d.ResetAfter-since, 0), max(d.NextAfter-since, 0)
	if d.RetryAfter != bucketring.Never {
		d.RetryAfter -= since
	}
	d.Source, d.Node, d.Owner = bucketring.SourceDeniedCache, node, one.owner
	return true
}

// remember answers a call of a partition that is elsewhere, if its owner has denied it and
// that still holds.
func (l *Local) remember(hash uint64, req *bucketring.Request, d *bucketring.Decision) bool {
	part := partOf(hash, req)
	return l.mover != nil && !l.here(part) && l.denials.answer(part, hash, req, l.name, l.clock.now(), d)
}

// undo forgets what was refused of a partition.
func (ds *denials) undo(part uint32, now int64) {
	if part < ring.Partitions { // it may come from outside
		ds.undone[part].Store(now)
	}
}

// A refused is what an owner remembers of a partition, to know when others must be told.
// Of a denial and a refund at the same time at least one sees the other: each first writes
// and then reads.
type refused struct {
	at    atomic.Int64  // when another node was denied something, monotonic ns
	given atomic.Uint64 // counts what gives back
}

// takeFor is decide for another node, which may remember a denial.
func (l *Local) takeFor(hash uint64, req *bucketring.Request, d *bucketring.Decision) (here bool) {
	r := &l.refused[partOf(hash, req)]
	before := r.given.Load()
	if !l.decide(hash, req, d) {
		return false
	}
	if !d.Allowed && req.Verb == bucketring.VerbTake {
		r.at.Store(l.clock.now().Mono)
		if r.given.Load() != before {
			l.undeny(partOf(hash, req))
		}
	}
	return true
}

// gaveBack tells the other nodes that a partition's counters got something back, if one of
// them may remember a denial.
func (l *Local) gaveBack(part uint32, now bucket.Now) {
	r := &l.refused[part]
	r.given.Add(1)
	if now.Mono-r.at.Load() <= holdsFor {
		l.undeny(part)
	}
}

func (l *Local) undeny(part uint32) {
	m := l.mover
	if m == nil {
		return
	}
	m.post(func() {
		for _, n := range m.view.peers {
			m.send(n, &peerpb.Msg{Of: &peerpb.Msg_Undeny{Undeny: &peerpb.Undeny{Part: part}}})
		}
	})
}

// givesBack reports whether a verb can make a denial wrong.
func givesBack(v bucketring.Verb) bool {
	return v == bucketring.VerbRefund || v == bucketring.VerbReset || v == bucketring.VerbSettle
}
