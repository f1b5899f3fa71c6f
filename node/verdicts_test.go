// verdicts_test.go: what a share begins with, by what the owner said last.

package node_test

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestShareBeginsWithWhatTheOwnerHadLeft(t *testing.T) {
	tests := []struct {
		name  string
		limit string
		spent int64         // at the owner, by one forwarded take
		gap   time.Duration // from that take to the first without the owner
		want  int64         // admitted by one of three nodes at once
	}{
		{"a third of the rest", "3000/h", 2100, 0, 300},
		{"rounded down", "3000/h", 2102, 0, 299},
		{"at least 1 of anything", "3000/h", 2999, 0, 1},
		{"nothing after the last token", "3000/h", 3000, 0, 0},
		{"never more than the share", "3000/h burst=6000", 1, 0, 1999},
		{"windows too", "3000/h algorithm=fixed_window", 2100, 0, 300},
		{"fresh for a second", "3000/h algorithm=fixed_window", 2100, 999 * time.Millisecond, 300},
		{"and no longer", "3000/h algorithm=fixed_window", 2100, time.Second, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3)
				key := c.keyOf(1)
				l := limits(t, tt.limit)
				req := take(key, l)
				req.Cost = tt.spent
				if d := mustTake(t, c.nodes[0], req); !d.Allowed || d.Degraded {
					t.Fatalf("Take of %d at the owner = %+v, want it allowed", tt.spent, d)
				}
				c.wires.set(nodeName(1), refuses)
				time.Sleep(tt.gap)
				if got := c.flood(1, key, l); got != tt.want {
					t.Errorf("admitted %d without the owner, want %d", got, tt.want)
				}
			})
		})
	}
}

// A new ring ends an outage: the next one begins from what is known then, not
// from what was saved up since the first.
func TestShareEndsWithTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := away(t, 3)
		l := limits(t, "300/h")
		if got := c.flood(1, key, l); got != 1 {
			t.Fatalf("admitted %d in the first outage, want 1", got)
		}
		time.Sleep(30 * time.Minute) // half of the share comes back
		c.nodes[0].SetRing(c.nodes[0].Ring())
		if got := c.flood(1, key, l); got != 1 {
			t.Errorf("admitted %d in the second outage, want 1", got)
		}
	})
}
