package node_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// TestTakeEachNow: calls that come together are decided as one after the other would be: also
// those of one key, those that are new, those of which nothing is decided, and more than are
// looked up at once.
func TestTakeEachNow(t *testing.T) {
	one, strict, two := limits(t, "5/h"), limits(t, "2/h accuracy=strict"), limits(t, "9/h, 3/m")
	var calls []*bucketring.Request
	add := func(req bucketring.Request) { calls = append(calls, &req) }
	for i := range 12 {
		add(take("one", one))
		add(take("strict", strict))
		add(take("two", two))
		add(take(fmt.Sprint("each:", i), one))
		calls = append(calls, nil)
		add(bucketring.Request{Verb: bucketring.VerbPeek, Key: "one", Limits: one, Cost: 1})
		add(take("leases", limits(t, "1 concurrent")))
		add(bucketring.Request{Key: "", Limits: one, Cost: 1})
		add(bucketring.Request{Namespace: "none"})
	}
	synctest.Test(t, func(t *testing.T) {
		for _, of := range []string{"node", "door"} {
			c := newCluster(t, 2)
			each, together := c.nodes[0], newCluster(t, 2).nodes[0]
			wants, dones := make([]bucketring.Decision, len(calls)), make([]bool, len(calls))
			for i, req := range calls {
				if req != nil {
					dones[i] = each.TakeNow(each.Now(), req, &wants[i])
				}
			}
			got, done := make([]bucketring.Decision, len(calls)), make([]bool, len(calls))
			var taker interface {
				TakeEachNow([]*bucketring.Request, []bucketring.Decision, []bool)
			} = together
			if of == "door" {
				taker = together.Door("grpc").(interface {
					TakeEachNow([]*bucketring.Request, []bucketring.Decision, []bool)
				})
			}
			taker.TakeEachNow(calls, got, done)
			if diff := cmp.Diff(dones, done); diff != "" {
				t.Errorf("%s: done by TakeNow (-) and by TakeEachNow (+):\n%s", of, diff)
			}
			if diff := cmp.Diff(wants, got); diff != "" {
				t.Errorf("%s: decisions of TakeNow (-) and TakeEachNow (+):\n%s", of, diff)
			}
			if of == "door" {
				checkCounted(t, together, done, got)
			}
		}
	})
}

// checkCounted: the only door of a node has counted what was done, and nothing else.
func checkCounted(t *testing.T, n *node.Node, done []bool, ds []bucketring.Decision) {
	t.Helper()
	want, got := map[bool]int64{}, map[bool]int64{}
	for i := range done {
		if done[i] {
			want[ds[i].Allowed]++
		}
	}
	for _, d := range n.Stats().Doors {
		for _, c := range d.Decisions {
			got[c.Allowed] += c.Count
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || want[true] == 0 || want[false] == 0 {
		t.Errorf("the door has counted by allowed (-want +got, some of both):\n%s", diff)
	}
}
