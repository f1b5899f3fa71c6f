// race_test.go: calls with several limits that meet others half-way.

package node_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
)

// Steps of a take of two limits on its counters: it looks at both, charges both,
// and if the second fails gives the first back, which is a fifth step.
const (
	lookFirst = iota + 1
	lookSecond
	chargeFirst
	chargeSecond
	giveBack
)

// TestChargesThatMeetOthers: another call takes the last token of the second
// limit between the look and the charge, and gives it back at once, as often as
// a test says.
func TestChargesThatMeetOthers(t *testing.T) {
	for _, a := range bucketring.Algorithms() {
		for times := range 8 {
			synctest.Test(t, func(t *testing.T) {
				n := newCluster(t, 1).nodes[0]
				l := limits(t, "1/h algorithm="+a.String()+", 1/d algorithm="+a.String())
				met := 0
				d := n.TakeBetween(take("k", l), func(step int) {
					switch in := (step-1)%giveBack + 1; {
					case met < times && in == chargeSecond:
						met++
						n.Touch(bucketring.VerbTake, "k", l[1], 1)
					case met > 0 && met <= times && in == giveBack:
						n.Touch(bucketring.VerbRefund, "k", l[1], 1)
					}
				})
				used := int64(0)
				if d.Allowed {
					used = 1
				}
				for i, s := range peek(t, n, "k", l) {
					if s.Remaining != 1-used {
						t.Errorf("%v, met %d times: Take = %v, and %d of limit %d remain, want %d", a, met, d.Allowed, s.Remaining, i+1, 1-used)
					}
				}
				if want := times < 4; d.Allowed != want {
					t.Errorf("%v, met %d times: Take = %v, want %v", a, met, d.Allowed, want)
				}
				if !d.Allowed && (d.RetryAfter <= 0 || d.Name != "inline-2" || !d.Limits[0].Allowed || d.Limits[0].Remaining != 1) {
					t.Errorf("%v, met %d times: %+v, want the denial of inline-2 beside an unused inline", a, met, d)
				}
			})
		}
	}
}

// TestChargeThatFailsForGood: what the call met stays, and is the denial.
func TestChargeThatFailsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newCluster(t, 1).nodes[0]
		l := limits(t, "9/d, 5/h, 7/m") // the scarcest is charged first, then those behind it
		d := n.TakeBetween(take("k", l), func(step int) {
			if step == 6 { // 1 to 3 look, 4 charges 5/h, 5 charges 7/m, 6 is 9/d
				n.Touch(bucketring.VerbTake, "k", l[0], 9)
			}
		})
		if d.Allowed || d.Name != "inline" || d.Remaining != 0 {
			t.Errorf("Take = %+v, want the denial of inline", d)
		}
		for i, want := range []int64{0, 5, 7} {
			if got := peek(t, n, "k", l)[i].Remaining; got != want || d.Limits[i].Remaining != want {
				t.Errorf("limit %d: %d remain, said %d, want %d", i+1, got, d.Limits[i].Remaining, want)
			}
		}
	})
}

// TestChargeThatCameBackByItself: between its charges a call is held up for so
// long that the first one counts no more. What others used since then is theirs.
func TestChargeThatCameBackByItself(t *testing.T) {
	for _, a := range bucketring.Algorithms() {
		synctest.Test(t, func(t *testing.T) {
			n := newCluster(t, 1).nodes[0]
			l := limits(t, "10/m algorithm="+a.String()+", 10/d")
			admitted := 0
			flood := func() {
				for n.Touch(bucketring.VerbTake, "k", l[0], 1).Allowed {
					admitted++
				}
			}
			d := n.TakeBetween(bucketring.Request{Key: "k", Limits: l, Cost: 5}, func(step int) {
				if step == chargeSecond {
					time.Sleep(2 * time.Minute)
					n.Touch(bucketring.VerbTake, "k", l[1], 10)
					flood()
				}
			})
			flood()
			if d.Allowed || admitted != 10 {
				t.Errorf("%v: Take = %v and %d admitted beside it at one moment, want a denial and 10", a, d.Allowed, admitted)
			}
		})
	}
}

// TestHeldUpCallLooksAgain: it is held up until all limits are full again, so it
// passes, charged as of then.
func TestHeldUpCallLooksAgain(t *testing.T) {
	for _, a := range bucketring.Algorithms() {
		synctest.Test(t, func(t *testing.T) {
			n := newCluster(t, 1).nodes[0]
			l := limits(t, "10/m algorithm="+a.String()+", 10/2m algorithm="+a.String())
			d := n.TakeBetween(bucketring.Request{Key: "k", Limits: l, Cost: 5}, func(step int) {
				if step == chargeSecond {
					n.Touch(bucketring.VerbTake, "k", l[1], 10)
					time.Sleep(5 * time.Minute)
				}
			})
			if !d.Allowed || d.Remaining != 5 {
				t.Errorf("%v: Take = %+v, want it allowed with 5 remaining", a, d)
			}
			for i, s := range peek(t, n, "k", l) {
				if s.Remaining != 5 {
					t.Errorf("%v: %d of limit %d remain, want 5", a, s.Remaining, i+1)
				}
			}
		})
	}
}

// TestConservation: calls with different pairs of limits at all doors at once.
// Afterwards each limit was charged for the calls that were admitted and for
// nothing else, and never above its capacity.
func TestConservation(t *testing.T) {
	for _, accuracy := range []string{"leased", "strict"} {
		for _, a := range bucketring.Algorithms() {
			t.Run(accuracy+"/"+a.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tail := " algorithm=" + a.String() + " accuracy=" + accuracy
					c := newCluster(t, 3)
					for range 20 {
						c.conserve(t, limits(t, "40/h"+tail+", 45/2h"+tail+", 50/3h"+tail), rand.Uint64())
					}
				})
			})
		}
	}
}

// conserve lets 6 clients use up three limits of one key.
func (c *cluster) conserve(t *testing.T, l []bucketring.Limit, seed uint64) {
	t.Helper()
	key := fmt.Sprint("seed-", seed)
	var used [3]atomic.Int64
	atOnce(6, func(worker int) {
		random := rand.New(rand.NewPCG(seed, uint64(worker)))
		for range 60 {
			first := random.IntN(3)
			which := []int{first, (first + 1) % 3, (first + 2) % 3}[:1+random.IntN(3)]
			req := bucketring.Request{Key: key, Cost: 1 + random.Int64N(3)}
			for _, i := range which {
				req.Limits = append(req.Limits, l[i])
			}
			if d, err := c.nodes[random.IntN(3)].Take(t.Context(), req); err != nil {
				t.Errorf("Take = %v", err)
			} else if d.Allowed {
				for _, i := range which {
					used[i].Add(req.Cost)
				}
			}
			if random.IntN(3) == 0 {
				runtime.Gosched()
			}
		}
	})
	for i, s := range peek(t, c.nodes[0], key, l) {
		if got := used[i].Load(); got != s.Limit-s.Remaining || got > s.Limit {
			t.Errorf("seed %d: admitted %d on %v, of which %d were charged", seed, got, l[i], s.Limit-s.Remaining)
		}
	}
}

// TestStrictWaitsForTentativeCharges: a strict call with several limits has
// charged the last token of the first one and will have to give it back. Another
// strict call that comes meanwhile is not denied because of it.
func TestStrictWaitsForTentativeCharges(t *testing.T) {
	for _, text := range []string{
		"1/h accuracy=strict",           // one limit
		"1/h accuracy=strict, 9/d",      // several
		"9/d, 1/h accuracy=strict, 7/m", // in another order
	} {
		for _, verb := range []bucketring.Verb{bucketring.VerbTake, bucketring.VerbPeek} {
			n := newCluster(t, 1).nodes[0]
			l := limits(t, text)
			last := limits(t, "1/h")[0]
			unlock := n.LockEntity("k") // here the call with several limits begins
			n.Touch(bucketring.VerbTake, "k", last, 1)
			var d bucketring.Decision
			done := make(chan struct{})
			go func() {
				defer close(done)
				d = mustTake(t, n, bucketring.Request{Verb: verb, Key: "k", Limits: l, Cost: 1})
			}()
			for range 1000 {
				runtime.Gosched()
			}
			n.Touch(bucketring.VerbRefund, "k", last, 1)
			unlock()
			<-done
			if !d.Allowed {
				t.Errorf("%v with %s = %+v, want it allowed: the charge it met was given back", verb, text, d)
			}
		}
	}
}
