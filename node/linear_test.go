package node_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/bucketring/bucketring"
)

// An op is what one call says; a said is what it was told.
type op struct {
	verb bucketring.Verb
	cost int64
}

type said struct {
	allowed   bool
	remaining int64
}

// budget is a limit without refill: its state is what was used.
func budget(capacity int64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return int64(0) },
		Step: func(state, input, output any) (bool, any) {
			used, in := state.(int64), input.(op)
			fits := in.cost == 0 || in.cost <= capacity-used
			after := used
			switch {
			case in.verb == bucketring.VerbReset:
				after, fits = 0, true
			case in.verb == bucketring.VerbRefund:
				after, fits = max(used-in.cost, 0), true
			case fits:
				after += in.cost
			}
			want := said{fits, capacity - after}
			if in.verb == bucketring.VerbPeek {
				after = used
			}
			return output.(said) == want, after
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %+v", in, out) },
	}
}

// TestLinearizable: calls for one key through three nodes answer as if they had
// come one after the other, in an order that agrees with real time.
func TestLinearizable(t *testing.T) {
	for _, text := range []string{"20/h algorithm=fixed_window accuracy=strict", "20/h algorithm=fixed_window"} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3)
			c.wires.slow(2 * time.Millisecond)
			for range 20 {
				seed := rand.Uint64()
				history := c.record(t, limits(t, text), seed)
				if got := porcupine.CheckOperationsTimeout(budget(20), history, time.Minute); got != porcupine.Ok {
					t.Fatalf("history of %d operations with %s, seed %d: %v, want %v", len(history), text, seed, got, porcupine.Ok)
				}
			}
		})
	}
}

// record runs 8 clients, each of which goes from door to door, and returns what
// they saw. Links take a while, so that calls overlap.
func (c *cluster) record(t *testing.T, l []bucketring.Limit, seed uint64) []porcupine.Operation {
	const clients, each = 8, 48
	key := fmt.Sprint("seed-", seed)
	var order atomic.Int64
	var seen [clients][]porcupine.Operation
	atOnce(clients, func(client int) {
		random := rand.New(rand.NewPCG(seed, uint64(client)))
		for range each {
			in := op{cost: random.Int64N(5)}
			if verbs := [...]bucketring.Verb{bucketring.VerbPeek, bucketring.VerbRefund, bucketring.VerbReset}; random.IntN(3) == 0 {
				in.verb = verbs[random.IntN(len(verbs))]
			}
			time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
			o := porcupine.Operation{ClientId: client, Input: in, Call: order.Add(1)}
			d, err := c.nodes[random.IntN(3)].Take(t.Context(), bucketring.Request{Verb: in.verb, Key: key, Limits: l, Cost: in.cost})
			o.Return = order.Add(1)
			if err != nil || d.Degraded {
				t.Errorf("Take = %+v, %v, want the owner's decision", d, err)
			}
			o.Output = said{d.Allowed, d.Remaining}
			seen[client] = append(seen[client], o)
		}
	})
	var all []porcupine.Operation
	for _, ops := range seen {
		all = append(all, ops...)
	}
	return all
}
