package node_test

import (
	"context"
	"testing"

	"github.com/bucketring/bucketring"
)

// unheard has an owner say of durable calls that no second node knows of them.
func unheard(c *cluster, name string, i int) {
	c.wires.put(name, hook{c.nodes[i].Local(), func(_ context.Context, req bucketring.Request, next next) (bucketring.Decision, error) {
		d, err := next()
		d.Degraded = d.Degraded || req.Durable()
		return d, err
	}})
}

// TestUnheardOwnerHasAnswered: its answer is degraded, and nobody takes back what it has told:
// not the lease that the caller has.
func TestUnheardOwnerHasAnswered(t *testing.T) {
	policed(t, 3, `
limits:
  - {name: jobs, kind: concurrency, key: [user], limit: 5, lease: {ttl: 10m}, durability: replica, on_unavailable: local}
`, func(t *testing.T, c *cluster) {
		user := find(t, c, "user", "n2")
		unheard(c, "n2", 1)
		d := do(t, c.nodes[0], callOf(take1, 1, "user", user))
		if !d.Allowed || !d.Degraded || d.Source != bucketring.SourceOwner || len(d.Leases) != 1 {
			t.Fatalf("take = %+v, want a lease of the owner's, degraded", d)
		}
		c.nodes[0].SettleOwed(t.Context())
		if got := used(t, c.nodes[0], "user", user)["jobs"]; got != 1 {
			t.Errorf("%d leases are out, want the one that was told", got)
		}
	})
}

// TestUnheardOwnerTakesBack what a denied call has charged there.
func TestUnheardOwnerTakesBack(t *testing.T) {
	policed(t, 3, `
limits:
  - {name: of-user, key: [user], limit: 10, per: 1d, algorithm: fixed_window, durability: replica}
  - {name: of-team, key: [team], limit: 1, per: 1h, algorithm: fixed_window}
`, func(t *testing.T, c *cluster) {
		user, team := find(t, c, "user", "n2"), find(t, c, "team", "n3")
		do(t, c.nodes[0], callOf(take1, 1, "team", team))
		unheard(c, "n2", 1)
		if d := do(t, c.nodes[0], callOf(take1, 1, "user", user, "team", team)); d.Allowed {
			t.Fatalf("take of a spent team = %+v, want it denied", d)
		}
		c.nodes[0].SettleOwed(t.Context())
		if got := used(t, c.nodes[0], "user", user)["of-user"]; got != 0 {
			t.Errorf("a denied call has used %d, want 0", got)
		}
	})
}
