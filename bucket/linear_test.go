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

// A linearCase is a kind of history. All calls name one counter.
type linearCase struct {
	name   string
	still  bool // the clock stands: a budget without refill
	sweep  bool // one goroutine sweeps
	change bool // two amounts in turn
}

// An input is what one call says, its own reading of the clock included. A call
// without a limit is a sweep.
type input struct {
	verb  bucketring.Verb
	limit bucketring.Limit
	now   bucket.Now
	n     int64
}

// An output is a Result, or how many counters a sweep dropped.
type output struct {
	res     bucket.Result
	dropped int
}

// linearModel is the exact reference as porcupine wants it. The state is a
// *model, nil while there is no counter.
var linearModel = porcupine.Model{
	Init: func() any { return (*model)(nil) },
	Step: func(before, in, out any) (bool, any) {
		m, call := before.(*model), in.(input)
		if call.limit.Per > 0 {
			after, res := m.call(call.verb, call.limit, call.now, 0, call.n)
			return res == out.(output).res, after
		}
		if m == nil {
			return out.(output).dropped == 0, m
		}
		m = m.clone()
		if m.unused(call.now) {
			return out.(output).dropped == 1, (*model)(nil)
		}
		return out.(output).dropped == 0, m
	},
	Equal: func(a, b any) bool {
		x, y := a.(*model), b.(*model)
		return x == y || x != nil && y != nil && x.String() == y.String()
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %+v", in, out) },
}

// TestLinearizable: calls that run at once answer as if they had come one after
// the other, in an order that agrees with real time.
func TestLinearizable(t *testing.T) {
	cases := []linearCase{
		{name: "budget", still: true},
		{name: "stamps"},
		{name: "sweep", sweep: true},
		{name: "change", change: true},
		{name: "all", sweep: true, change: true},
	}
	histories := 10
	if raceEnabled() {
		histories = 4
	}
	for _, shape := range shapes() {
		for _, c := range cases {
			t.Run(shapeName(shape)+"/"+c.name, func(t *testing.T) {
				for range histories {
					seed := rand.Uint64()
					history := record(shape, c, seed)
					// Not knowing is a failure too: smaller histories are the cure.
					if got := porcupine.CheckOperationsTimeout(linearModel, history, 20*time.Second); got != porcupine.Ok {
						t.Fatalf("history of %d operations, seed %d: %v, want %v", len(history), seed, got, porcupine.Ok)
					}
				}
			})
		}
	}
}

// record runs 8 goroutines against one counter and returns what they saw.
func record(shape bucketring.Limit, c linearCase, seed uint64) []porcupine.Operation {
	const workers, each = 8, 48
	table := bucket.New(bucket.Config{})
	var clock, order atomic.Int64
	clock.Store(int64(time.Hour))
	var wg sync.WaitGroup
	start := make(chan struct{})
	seen := make([][]porcupine.Operation, workers)
	for w := range workers {
		random := rand.New(rand.NewPCG(seed, uint64(w)))
		wg.Go(func() {
			<-start
			for range each {
				in := nextInput(random, shape, c, &clock, w == 0)
				op := porcupine.Operation{ClientId: w, Input: in, Call: order.Add(1)}
				op.Output = in.do(table)
				op.Return = order.Add(1)
				seen[w] = append(seen[w], op)
				if random.IntN(4) == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	close(start)
	wg.Wait()
	var all []porcupine.Operation
	for _, ops := range seen {
		all = append(all, ops...)
	}
	return all
}

func nextInput(random *rand.Rand, shape bucketring.Limit, c linearCase, clock *atomic.Int64, first bool) input {
	in := input{limit: shape, n: random.Int64N(4)}
	if c.change && random.IntN(2) == 0 {
		in.limit.Amount = 17 // for a bucket other units than those of 10
	}
	in.verb = []bucketring.Verb{0, 0, 0, 0, 0, bucketring.VerbPeek, bucketring.VerbRefund, bucketring.VerbReset}[random.IntN(8)]
	if c.sweep && first {
		in = input{}
	}
	now := clock.Load()
	if !c.still { // the calls of one history last some windows
		now = clock.Add(random.Int64N(int64(shape.Per) / 64))
	}
	in.now = bucket.Now{Mono: now, Wall: noon.Wall + now}
	return in
}

func (in input) do(table *bucket.Table) output {
	if in.limit.Per == 0 {
		return output{dropped: table.Sweep(in.now, 1)}
	}
	return output{res: table.Do(in.verb, bucket.Counter{Key: "k", Limit: &in.limit}, in.now, in.n)}
}
