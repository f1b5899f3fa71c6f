// sim_registers_test.go has nodes come, go and crash under registers: what clients of
// Gubernator have spent stays spent.

package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// hit asks random nodes for one hit of ten an hour, for each key, and returns how many passed.
func (w *simWorld) hit(keys []string, times int) map[string]int {
	w.Helper()
	passed := map[string]int{}
	for range times {
		for _, key := range keys {
			live := w.live()
			n := live[w.rand.IntN(len(live))]
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			resp, err := n.s.gubernator.GetRateLimits(ctx, &pb.GetRateLimitsReq{Requests: []*pb.RateLimitReq{
				{Name: "sim", UniqueKey: key, Hits: 1, Limit: 10, Duration: time.Hour.Milliseconds()},
			}})
			cancel()
			switch one := resp.GetResponses(); {
			case err != nil || len(one) != 1 || one[0].GetError() != "":
				w.Errorf("%v: a hit of %q at %s = %v, %v, want an answer", w.now(), key, n.name, resp, err)
			case one[0].GetStatus() == pb.Status_UNDER_LIMIT:
				passed[key]++
			}
		}
	}
	return passed
}

// Every node is replaced, one by one: of ten hits, four of which were spent, exactly six are
// left.
func TestSimRegistersMove(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.cluster(3)
		keys := keysOf("spent:", 60)
		w.expectPassed(w.hit(keys, 4), keys, 4)
		for host := 1; host <= 3; host++ {
			w.start(fmt.Sprint("m", host), host+3)
			w.node(host).leave()
			w.awaitRest(time.Second)
		}
		w.expectPassed(w.hit(keys, 10), keys, 6)
	})
}

// A node is killed, or falls silent: what was copied before is spent.
func TestSimRegistersCrash(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprint("silent=", silent), func(t *testing.T) {
			simulate(t, func(w *simWorld) {
				w.cluster(3)
				keys := keysOf("spent:", 60)
				w.expectPassed(w.hit(keys, 4), keys, 4)
				time.Sleep(100 * time.Millisecond) // for the copies
				w.node(1 + w.rand.IntN(3)).crash(silent)
				w.awaitRest(10 * time.Second)
				w.expectPassed(w.hit(keys, 10), keys, 6)
			})
		})
	}
}
