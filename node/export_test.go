package node

import (
	"context"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
)

const (
	ShareKeys = shareKeys
	LargeStep = largeStep
	StepHold  = stepHold
)

// Describe is the choice of what an answer describes.
func Describe(states []bucketring.LimitState, cost int64) bucketring.Decision {
	return describe(states, cost)
}

// ShareOf is a limit divided among members.
func ShareOf(l bucketring.Limit, members int) bucketring.Limit { return shareOf(l, members) }

// UnixUp rounds Unix nanoseconds up to seconds.
func UnixUp(ns int64) int64 { return unixUp(ns) }

// ClockNow is the node's reading of its clocks, the monotonic one since it began.
func (n *Node) ClockNow() bucket.Now {
	now := n.local.clock.now()
	now.Mono -= int64(monoStart)
	return now
}

// SetWallOff makes the node's clock see a wall clock that is off from the real
// one, as it would once a second.
func (n *Node) SetWallOff(off time.Duration) { n.local.clock.sample(time.Now().Add(off)) }

// SweepAll sweeps as often as a whole round of Run does.
func (n *Node) SweepAll() {
	for range sweepRound / tick {
		n.sweep(n.local.clock.now())
	}
}

// TakeBetween is a take of several limits on the node's own counters. Before
// each step on a counter it calls between with the step's number, from 1.
func (n *Node) TakeBetween(req bucketring.Request, between func(step int)) bucketring.Decision {
	step := 0
	c := callOf(&req)
	c.table, c.clock, c.now, c.part = n.local.table, n.local.clock, n.local.clock.now(), n.partition(&req)
	c.spent = func(bucketring.Charge) int64 {
		step++
		between(step)
		return 0
	}
	return c.all()
}

// Touch does a verb on one counter of the node and nothing else.
func (n *Node) Touch(verb bucketring.Verb, key string, limit bucketring.Limit, cost int64) bucketring.LimitState {
	req := bucketring.Request{Verb: verb, Key: key, Limits: []bucketring.Limit{limit}, Cost: cost}
	c := callOf(&req)
	c.table, c.clock, c.now, c.part = n.local.table, n.local.clock, n.local.clock.now(), n.partition(&req)
	var d bucketring.Decision
	c.decide(&d)
	return d.LimitState
}

// LockEntity does what a strict call with several limits does first.
func (n *Node) LockEntity(key string) (unlock func()) {
	hash := n.local.placer.Key("", key)
	mu := &n.local.strict[hash%uint64(len(n.local.strict))]
	mu.Lock()
	return mu.Unlock
}

func (n *Node) partition(req *bucketring.Request) uint32 {
	return ring.Partition(n.local.placer.Key("", req.Key))
}

// SettleOwed tries the refunds that wait, as Run does now and then.
func (n *Node) SettleOwed(ctx context.Context) { n.settleOwed(ctx) }

// A Sketch counts keys.
type Sketch struct{ of sketch }

// Add counts a key.
func (s *Sketch) Add(key string, weight int64) { s.of.add(&HotKey{Key: key}, weight) }

// Rows are what the sketch has.
func (s *Sketch) Rows() []HotKey { return s.of.rows }

// HotKeys is how many rows a sketch has at most.
const HotKeys = hotKeys
