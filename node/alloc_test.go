package node_test

import (
	"context"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// TestOwnedTakeDoesNotAllocate: the usual call, allowed and denied.
func TestOwnedTakeDoesNotAllocate(t *testing.T) {
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []bucketring.Limiter{n, n.Local(), n.Door("http")} {
		for _, a := range bucketring.Algorithms() {
			for _, tail := range []string{"", " accuracy=strict"} {
				for text, cost := range map[string]int64{"1000000/h": 1, "1000001/h": 1 << 40, "1000002/h": 0} {
					ctx, req := context.Background(), take("account:1", limits(t, text+" algorithm="+a.String()+tail))
					req.Cost = cost
					mustTake(t, n, take(req.Key, req.Limits)) // now it is known
					if got := testing.AllocsPerRun(200, func() {
						if d, err := l.Take(ctx, req); err != nil || d.Allowed != (cost < 1000) {
							t.Errorf("Take(%v) = %+v, %v", req.Limits, d, err)
						}
					}); got != 0 {
						t.Errorf("%T.Take of %d with %v allocates %v times, want 0", l, cost, req.Limits[0], got)
					}
				}
			}
		}
	}
}
