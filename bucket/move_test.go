// move_test.go moves a partition to and fro between two tables while others count in
// it: a charge is in the state that moves, or it is made where that arrives.

package bucket_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// A pendulum is a partition that swings between two tables.
type pendulum struct {
	tables [2]*bucket.Table
	nows   [2]bucket.Now // the clocks stand still
	gen    uint64
	moves  atomic.Int64
}

func newPendulum(other time.Duration) *pendulum {
	p := &pendulum{nows: [2]bucket.Now{noon, {Mono: noon.Mono + int64(other), Wall: noon.Wall}}}
	for i := range p.tables {
		p.tables[i] = bucket.New(bucket.Config{Closed: true})
	}
	p.tables[0].Open(0, 1, 1, nil, noon)
	return p
}

// swing moves the partition to the other table.
func (p *pendulum) swing() {
	from, to := p.moves.Load()%2, 1-p.moves.Load()%2
	s := p.tables[from].Close(0, p.nows[from])
	if p.nows[0] != p.nows[1] {
		s = s.Relative(p.nows[from]).Absolute(p.nows[to])
	}
	p.gen++
	p.tables[to].Open(0, p.gen+1, 1, s, p.nows[to])
	p.moves.Add(1)
}

// apply carries out a call wherever the partition is.
func (p *pendulum) apply(op bucket.Op, c bucket.Counter) bucket.Result {
	for i := 0; ; i = 1 - i {
		res := bucket.Result{}
		if op.ID == (bucketring.ID{}) {
			res = p.tables[i].Do(op.Verb, c, p.nows[i], op.N)
		} else {
			res = p.tables[i].Apply(op, c, p.nows[i])
		}
		if !res.Away {
			return res
		}
		runtime.Gosched()
	}
}

// together carries out a call at two counters that must not be parted, and reports
// whether both allow it. What one alone has given is given back.
func (p *pendulum) together(one, two bucket.Op, c, d bucket.Counter) bool {
	for i := 0; ; i = 1 - i {
		if !p.tables[i].Enter(0) {
			runtime.Gosched()
			continue
		}
		defer p.tables[i].Leave(0)
		a := p.tables[i].Apply(one, c, p.nows[i])
		runtime.Gosched() // a move would come here
		b := p.tables[i].Apply(two, d, p.nows[i])
		if a.Away || b.Away {
			panic("a partition was closed between Enter and Leave")
		}
		for _, half := range []struct {
			res bucket.Result
			op  bucket.Op
			c   bucket.Counter
		}{{a, one, c}, {b, two, d}} {
			if half.res.Allowed && (!a.Allowed || !b.Allowed) {
				half.op.Verb = bucketring.VerbRefund
				p.tables[i].Apply(half.op, half.c, p.nows[i])
			}
		}
		return a.Allowed && b.Allowed
	}
}

// A crowd takes from a pendulum. Its counters are hot and both, which some calls take
// from together, and new ones all the time.
type crowd struct {
	*pendulum
	hot, both bucket.Counter
	small     bucketring.Limit // of new counters
	least     int64            // moves
	given     [2]atomic.Int64
	fresh     [freshKeys]atomic.Int64
}

const freshKeys, freshAmount = 64, 5

// one is one call of a goroutine: some of what it gets it gives back.
func (c *crowd) one(random *rand.Rand, id int, goOn bool) (allowed bool) {
	op := bucket.Op{N: 1}
	if c.hot.Limit.Kind == bucketring.KindConcurrency {
		op.ID = idOf(id)
	}
	back, half := op, op
	back.Verb = bucketring.VerbRefund
	if op.ID != (bucketring.ID{}) {
		half.ID = idOf(id + 1<<40)
	}
	if id%4 == 0 {
		if allowed = c.together(op, half, c.hot, c.both); allowed {
			c.given[0].Add(1)
			c.given[1].Add(1)
		}
		return allowed
	}
	allowed = c.apply(op, c.hot).Allowed
	switch {
	case allowed && goOn && random.IntN(8) > 0:
		c.apply(back, c.hot)
	case allowed:
		c.given[0].Add(1)
	}
	return allowed
}

// takeFresh takes from a counter that others make at the same time.
func (c *crowd) takeFresh(i, id int) {
	op := bucket.Op{N: 1}
	if c.small.Kind == bucketring.KindConcurrency {
		op.ID = idOf(id + 1<<41)
	}
	if c.apply(op, bucket.Counter{Key: fmt.Sprint("new ", i), Limit: &c.small}).Allowed {
		c.fresh[i].Add(1)
	}
}

// run has 8 goroutines take until all is gone, and at least as long as the moves last.
func (c *crowd) run(seed uint64) {
	const takers = 8
	var running atomic.Int64
	running.Store(takers)
	var wg sync.WaitGroup
	for w := range takers {
		random := rand.New(rand.NewPCG(seed, uint64(w)))
		wg.Go(func() {
			defer running.Add(-1)
			for i, allowed := 0, true; allowed || c.moves.Load() < c.least; i++ {
				id := i*takers + w
				allowed = c.one(random, id, c.moves.Load() < c.least)
				c.takeFresh(int(c.moves.Load()/4)%freshKeys, id)
				if random.IntN(4) == 0 {
					runtime.Gosched()
				}
			}
			for i := range freshKeys * freshAmount {
				c.takeFresh(i%freshKeys, 1<<30+i*takers+w)
			}
		})
	}
	wg.Go(func() {
		for running.Load() > 0 {
			c.swing()
			runtime.Gosched()
		}
	})
	wg.Wait()
	for i := 0; c.one(rand.New(rand.NewPCG(seed, takers)), 1<<31+2*i+1, false); i++ {
		continue // what was given back last
	}
}

// TestMovesLoseNothing: while a partition moves thousands of times, exactly the limit
// is admitted, of counters that are there and of new ones; and of two that are taken
// from together, both or none.
func TestMovesLoseNothing(t *testing.T) {
	least := int64(3000)
	if raceEnabled() {
		least /= 6
	}
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		seed := rand.Uint64()
		hot, small := l, l
		hot.Amount, small.Amount = 500, freshAmount
		least := least
		if l.Kind == bucketring.KindConcurrency {
			least /= 4 // all under one lock
		}
		if isBucket(l) && bucket.FormOf(l).Wide {
			hot.Per, hot.Burst, hot.Amount = 11*time.Hour, 500, 100000007
			small = hot
			small.Burst = freshAmount
		}
		small.ID = 7
		both := hot
		both.ID = 8
		c := &crowd{
			pendulum: newPendulum(time.Hour), least: least, small: small,
			hot: bucket.Counter{Key: "hot", Limit: &hot}, both: bucket.Counter{Key: "hot", Limit: &both},
		}
		c.run(seed)
		if got := c.given[0].Load(); got != hot.Capacity() {
			t.Errorf("seed %d: %d admitted in %d moves, want %d", seed, got, c.moves.Load(), hot.Capacity())
		}
		left := c.apply(bucket.Op{Verb: bucketring.VerbPeek}, c.both)
		if got := c.given[1].Load(); left.Used != got {
			t.Errorf("seed %d: Used = %d of what is taken from together, want %d", seed, left.Used, got)
		}
		for i := range c.fresh {
			if got := c.fresh[i].Load(); got != freshAmount {
				t.Errorf("seed %d: %d admitted of a new counter, want %d", seed, got, freshAmount)
			}
		}
	})
}

// TestMovesAreLinearizable: calls at a partition that moves answer as if it had stayed.
func TestMovesAreLinearizable(t *testing.T) {
	histories := 10
	if raceEnabled() {
		histories = 4
	}
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			for range histories {
				seed := rand.Uint64()
				history := recordMoves(shape, seed)
				if got := porcupine.CheckOperationsTimeout(linearModel, history, 20*time.Second); got != porcupine.Ok {
					t.Fatalf("history of %d operations, seed %d: %v, want %v", len(history), seed, got, porcupine.Ok)
				}
			}
		})
	}
}

// recordMoves runs 8 goroutines against one counter that moves, and returns what they
// saw: 384 calls.
func recordMoves(shape bucketring.Limit, seed uint64) []porcupine.Operation {
	const workers, each = 8, 48
	p := newPendulum(0) // answers name windows by the monotonic clock
	var clock, order, running atomic.Int64
	clock.Store(noon.Mono)
	running.Store(workers)
	var wg sync.WaitGroup
	seen := make([]porcupine.Operation, workers*each)
	for w := range workers {
		random := rand.New(rand.NewPCG(seed, uint64(w)))
		wg.Go(func() {
			defer running.Add(-1)
			for i := range each {
				in := nextInput(random, shape, linearCase{still: true}, &clock, false)
				in.now = noon
				op := porcupine.Operation{ClientId: w, Input: in, Call: order.Add(1)}
				op.Output = output{res: p.apply(bucket.Op{Verb: in.verb, N: in.n}, bucket.Counter{Key: "k", Limit: &in.limit})}
				op.Return = order.Add(1)
				seen[w*each+i] = op
				runtime.Gosched()
			}
		})
	}
	wg.Go(func() {
		for running.Load() > 0 {
			p.swing()
			runtime.Gosched()
		}
	})
	wg.Wait()
	return seen
}
