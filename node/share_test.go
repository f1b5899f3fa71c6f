// share_test.go: how much comes through while owners are away.

package node_test

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

func TestShareOf(t *testing.T) {
	tests := []struct {
		amount, burst int64
		members       int
		want, burstTo int64
	}{
		{300, 0, 3, 100, 0},
		{300, 0, 1, 300, 0},
		{300, 0, 0, 300, 0}, // a ring without members
		{10, 0, 3, 3, 0},    // rounded down
		{11, 0, 3, 3, 0},
		{12, 0, 3, 4, 0},
		{2, 0, 3, 1, 0}, // at least 1
		{1, 0, 50, 1, 0},
		{0, 0, 3, 0, 0}, // an amount of 0 stays closed
		{300, 50, 3, 100, 16},
		{300, 2, 3, 100, 1},
		{2, 300, 3, 1, 100},
		{1 << 62, 0, 3, 1 << 62 / 3, 0},
	}
	for _, tt := range tests {
		l := bucketring.Limit{Name: "x", Amount: tt.amount, Burst: tt.burst, Per: time.Minute, Accuracy: bucketring.Strict}
		want := l
		want.Amount, want.Burst = tt.want, tt.burstTo
		if got := node.ShareOf(l, tt.members); got != want {
			t.Errorf("ShareOf(%v, %d) = %v, want %v", l, tt.members, got, want)
		}
	}
}

func TestShareOfNothingStaysClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := away(t, 3)
		d := mustTake(t, c.nodes[0], take(key, limits(t, "0/m")))
		if d.Allowed || d.RetryAfter != bucketring.Never || d.Source != bucketring.SourceFallbackShare {
			t.Errorf("Take of 0/m without its owner = %+v, want a denial for ever", d)
		}
	})
}

// flood takes at all nodes that live, as much as they give, and returns how much
// that was for each of them together.
func (c *cluster) flood(live int, key string, l []bucketring.Limit) (admitted int64) {
	c.t.Helper()
	for _, n := range c.nodes[:live] {
		for mustTake(c.t, n, take(key, l)).Allowed {
			admitted++
		}
	}
	return admitted
}

// TestSharesOfABucket: three of four nodes live, the owner is dead. Each admits
// one and then what the rate of its share brings, so all together at most N +
// rate·t at any moment.
func TestSharesOfABucket(t *testing.T) {
	tests := []struct {
		limit string
		gap   time.Duration // between two tokens of one node
		most  int64         // of one node after a long time
	}{
		{"400/m", 600 * time.Millisecond, 100},
		{"403/m", 600 * time.Millisecond, 100},
		{"400/m burst=8", 600 * time.Millisecond, 2},
		{"400/m burst=2", 600 * time.Millisecond, 1},
		{"3/m", time.Minute, 1},
	}
	for _, tt := range tests {
		t.Run(tt.limit, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const live, step = 3, 50 * time.Millisecond
				c := newCluster(t, live+1)
				key, l := c.keyOf(live), limits(t, tt.limit)
				c.wires.set(nodeName(live), refuses)
				sum := int64(0)
				for passed := time.Duration(0); passed <= 2*time.Minute; passed += step {
					sum += c.flood(live, key, l)
					if want := live * (1 + int64(passed/tt.gap)); sum != want {
						t.Fatalf("admitted after %v = %d, want %d", passed, sum, want)
					}
					time.Sleep(step)
				}
				time.Sleep(time.Hour)
				if got := c.flood(live, key, l); got != live*tt.most {
					t.Errorf("admitted after an hour without calls = %d, want %d", got, live*tt.most)
				}
			})
		})
	}
}

// TestSharesOfAWindow: one token each in the window under way, of which the dead
// owner may have given out all, and the whole share in those that follow.
func TestSharesOfAWindow(t *testing.T) {
	for text, first := range map[string]time.Duration{ // how long the first token has to do
		"400/m algorithm=fixed_window":   time.Minute,
		"400/m algorithm=sliding_window": 61 * time.Second,
	} {
		t.Run(text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const live = 3
				c := newCluster(t, live+1)
				key, l := c.keyOf(live), limits(t, text)
				c.wires.set(nodeName(live), refuses)
				if got := c.flood(live, key, l); got != live {
					t.Errorf("admitted at first = %d, want %d", got, live)
				}
				time.Sleep(first - time.Nanosecond)
				if got := c.flood(live, key, l); got != 0 {
					t.Errorf("admitted after %v = %d, want none", first-1, got)
				}
				time.Sleep(time.Nanosecond)
				if got := c.flood(live, key, l); got != live*100 {
					t.Errorf("admitted after %v = %d, want %d", first, got, live*100)
				}
			})
		})
	}
}

// TestSharesStayBelowTheRate: any amount, any number of nodes, any moments.
func TestSharesStayBelowTheRate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		members := rapid.IntRange(2, 5).Draw(rt, "members")
		l := []bucketring.Limit{{
			Name: "x", Amount: rapid.Int64Range(int64(members), 500).Draw(rt, "amount"),
			Burst: rapid.Int64Range(0, 50).Draw(rt, "burst"), Per: time.Second,
		}}
		pauses := rapid.SliceOfN(rapid.IntRange(0, 100), 1, 20).Draw(rt, "pauses")
		var passed, over time.Duration
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, members)
			c.wires.set(nodeName(members-1), refuses)
			key, admitted := c.keyOf(members-1), int64(0)
			for i, ms := range pauses {
				if i > 0 { // the first calls begin the counters
					time.Sleep(time.Duration(ms) * time.Millisecond)
					passed += time.Duration(ms) * time.Millisecond
				}
				admitted += c.flood(members-1, key, l)
				// N + rate·t without rounding, in nanoseconds of the rate.
				over = max(over, time.Duration(admitted-int64(members))*l[0].Per-time.Duration(l[0].Amount)*passed)
			}
		})
		if over > 0 {
			rt.Fatalf("%d members with %v: admitted more than N + rate·t within %v", members, l[0], passed)
		}
	})
}
