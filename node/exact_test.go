// exact_test.go: many doors, one limit, and exactly the limit comes through.

package node_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
)

// tenAnHour is the limit 10/h under each algorithm.
func tenAnHour(t testing.TB, a bucketring.Algorithm) []bucketring.Limit {
	return limits(t, "10/h algorithm="+a.String())
}

// atOnce runs f in n goroutines and waits for them.
func atOnce(n int, f func(worker int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func TestManyDoorsAdmitExactlyTheLimit(t *testing.T) {
	const keys, each = 1000, 20
	seed := rand.Uint64()
	for _, a := range bucketring.Algorithms() {
		t.Run(a.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3)
				ten := tenAnHour(t, a)
				var admitted [keys]atomic.Int64
				var order [keys * each]int // which key is next
				for i := range order {
					order[i] = i % keys
				}
				rand.New(rand.NewPCG(seed, 0)).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
				atOnce(8, func(worker int) {
					for i := worker; i < len(order); i += 8 {
						key := fmt.Sprintf("%x-%d", seed, order[i])
						d, err := c.nodes[i%3].Take(t.Context(), take(key, ten))
						if err != nil || d.Owner != nodeName(c.owner(key)) || d.Node != nodeName(i%3) ||
							d.Source != bucketring.SourceOwner || d.Degraded {
							t.Errorf("Take(%q) at %s = %+v, %v, want it decided by %s", key, nodeName(i%3), d, err, nodeName(c.owner(key)))
						}
						if d.Allowed {
							admitted[order[i]].Add(1)
						}
					}
				})
				for i := range admitted {
					if got := admitted[i].Load(); got != 10 {
						t.Errorf("key %d of seed %d: %d of %d takes admitted, want 10", i, seed, got, each)
					}
				}
				checkOwnersHold(t, c, keys, func(i int) string { return fmt.Sprintf("%x-%d", seed, i) })
			})
		})
	}
}

// checkOwnersHold expects each key's counter at its owner and nowhere else.
func checkOwnersHold(t *testing.T, c *cluster, keys int, key func(int) string) {
	t.Helper()
	want := make([]int64, len(c.nodes))
	for i := range keys {
		want[c.owner(key(i))]++
	}
	got := make([]int64, len(c.nodes))
	for i, n := range c.nodes {
		got[i] = n.Stats().Table.Keys
		if share := n.Stats().Share.Keys; share != 0 {
			t.Errorf("%s counts %d keys for others, want none", nodeName(i), share)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters at each node (-want +got):\n%s", diff)
	}
}

func TestRefundAndResetThroughAnyNodeAreSeenByAll(t *testing.T) {
	for _, a := range bucketring.Algorithms() {
		t.Run(a.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3)
				l := tenAnHour(t, a)
				check := func(after string, want int64) {
					t.Helper()
					for i, n := range c.nodes {
						if got := peek(t, n, "k", l)[0].Remaining; got != want {
							t.Errorf("remaining at %s after %s = %d, want %d", nodeName(i), after, got, want)
						}
					}
				}
				for i, n := range c.nodes {
					do := func(verb bucketring.Verb, cost int64) bucketring.Decision {
						return mustTake(t, n, bucketring.Request{Verb: verb, Key: "k", Limits: l, Cost: cost})
					}
					check("a reset", 10)
					do(bucketring.VerbTake, 7)
					check("a take of 7 at "+nodeName(i), 3)
					if d := do(bucketring.VerbPeek, 2); d.Remaining != 1 {
						t.Errorf("Peek of 2 = %d remaining, want 1", d.Remaining)
					}
					check("a peek", 3)
					if d := do(bucketring.VerbRefund, 2); !d.Allowed || d.Remaining != 5 {
						t.Errorf("Refund of 2 = %+v, want 5 remaining", d)
					}
					check("a refund of 2 at "+nodeName(i), 5)
					do(bucketring.VerbRefund, 100)
					check("a refund of too much", 10)
					do(bucketring.VerbTake, 4)
					do(bucketring.VerbReset, 0)
				}
			})
		})
	}
}

// TestRingChangesUnderLoad: whatever ring a node has, each call is decided once,
// at a node that has a counter for it. Lost counters are no fault here: nobody
// hands them over yet.
func TestRingChangesUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		l := limits(t, "1000/h")
		views := [][]string{names(3), names(2), {"n1"}, {"n2", "n3"}, names(3)}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for i, n := range c.nodes {
			rings := make([]func(), 0, len(views))
			for _, v := range views {
				r := c.ring(nodeName(i), v...)
				rings = append(rings, func() { n.SetRing(r) })
			}
			wg.Go(func() {
				for turn := 0; ; turn++ {
					select {
					case <-stop:
						return
					default:
						rings[turn%len(rings)]()
						n.Stats()
						time.Sleep(time.Microsecond)
					}
				}
			})
		}
		atOnce(4, func(worker int) {
			for i := range 3000 {
				key := fmt.Sprint("key-", (worker*7+i)%50)
				d, err := c.nodes[i%3].Take(t.Context(), take(key, l))
				if err != nil || d.Node != nodeName(i%3) || d.Degraded != (d.Owner == "") {
					t.Errorf("Take(%q) at %s = %+v, %v, want a decision", key, nodeName(i%3), d, err)
				}
				if i%100 == 0 {
					time.Sleep(time.Microsecond)
				}
			}
		})
		close(stop)
		wg.Wait()
		for i, n := range c.nodes {
			n.SetRing(c.ring(nodeName(i), names(3)...))
		}
		for i, n := range c.nodes { // when they agree again, all is exact again
			if d := mustTake(t, n, take("key-1", l)); d.Degraded || d.Owner != nodeName(c.owner("key-1")) {
				t.Errorf("Take at %s after the changes = %+v, want %s to decide", nodeName(i), d, nodeName(c.owner("key-1")))
			}
		}
	})
}
