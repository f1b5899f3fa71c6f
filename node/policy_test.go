// policy_test.go: policies on three nodes. The semantics of policies are tested in
// internal/policytest; here it is about several owners, leases and outages.

package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
)

// withPolicy gives all nodes of a cluster a policy.
func withPolicy(t testing.TB, c *cluster, text string) {
	t.Helper()
	p, err := policy.Parse("test.yaml", []byte(text), policy.Options{})
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	set := (&policy.Set{}).WithPolicy(p)
	for _, n := range c.nodes {
		n.SetPolicies(set)
	}
}

// call is a request in namespace test. Attributes come as name, value, name, value.
func callOf(verb bucketring.Verb, cost int64, attributes ...string) bucketring.Request {
	req := bucketring.Request{Verb: verb, Cost: cost, Namespace: "test", Attributes: map[string]string{}}
	for i := 0; i+1 < len(attributes); i += 2 {
		req.Attributes[attributes[i]] = attributes[i+1]
	}
	return req
}

// do asks one node and wants no error.
func do(t testing.TB, n *node.Node, req bucketring.Request) bucketring.Decision {
	t.Helper()
	d, err := n.Take(context.Background(), req)
	if err != nil {
		t.Fatalf("Take(%v %v) = %v, want a decision", req.Verb, req.Attributes, err)
	}
	return d
}

// used is what the limits of a caller show as used.
func used(t testing.TB, n *node.Node, attributes ...string) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for _, s := range do(t, n, callOf(bucketring.VerbUsage, 0, attributes...)).Limits {
		all[s.Name] = s.Used
	}
	return all
}

// Two limits without a common attribute live in two places, mostly at two nodes.
const twoPlaces = `
apiVersion: limits/v1
namespace: test
limits:
  - {name: of-user, key: [user], limit: 10, per: 1h, accuracy: strict}
  - {name: of-team, key: [team], limit: 15, per: 1h, accuracy: strict}
`

func TestDeniedCallChargesNoPlace(t *testing.T) {
	for i := range 20 { // other names, other owners
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3)
			withPolicy(t, c, twoPlaces)
			a, b, team := fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i), fmt.Sprintf("t%d", i)
			for j := range 10 {
				if d := do(t, c.nodes[j%3], callOf(bucketring.VerbTake, 1, "user", a, "team", team)); !d.Allowed {
					t.Fatalf("take %d = %+v, want it allowed", j+1, d)
				}
			}
			// a's own limit denies: the team's must not be charged, and the other way round.
			for j := range 6 {
				d := do(t, c.nodes[j%3], callOf(bucketring.VerbTake, 1, "user", a, "team", team))
				if d.Allowed || d.Name != "of-user" || len(d.Limits) != 2 || !d.Limits[1].Allowed || d.Limits[1].Remaining != 5 {
					t.Fatalf("take of a spent user = %+v, want of-user to deny beside of-team with 5 left", d)
				}
			}
			for range 5 {
				do(t, c.nodes[1], callOf(bucketring.VerbTake, 1, "user", b, "team", team))
			}
			d := do(t, c.nodes[2], callOf(bucketring.VerbTake, 1, "user", b, "team", team))
			if d.Allowed || d.Name != "of-team" {
				t.Fatalf("take of a spent team = %+v, want of-team to deny", d)
			}
			if got := used(t, c.nodes[0], "user", b, "team", team); got["of-user"] != 5 || got["of-team"] != 15 {
				t.Fatalf("used = %v, want of-user 5 and of-team 15", got)
			}
		})
	}
}

// Whoever is faster at one place and loses at the other gives back what it took.
func TestRacingCallsAcrossPlacesLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c.wires.slow(2 * time.Millisecond)
		withPolicy(t, c, twoPlaces)
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				d := do(t, c.nodes[i%3], callOf(bucketring.VerbTake, 1, "user", fmt.Sprint("u", i%6), "team", "t"))
				if d.Allowed {
					admitted.Add(1)
				}
			})
		}
		wg.Wait()
		c.wires.slow(0)
		for { // what is left can be taken by one after the other
			any := false
			for i := range 6 {
				if do(t, c.nodes[0], callOf(bucketring.VerbTake, 1, "user", fmt.Sprint("u", i), "team", "t")).Allowed {
					admitted.Add(1)
					any = true
				}
			}
			if !any {
				break
			}
		}
		if got := admitted.Load(); got != 15 {
			t.Errorf("%d calls admitted, want exactly the team's 15", got)
		}
	})
}

const tenConcurrent = `
apiVersion: limits/v1
namespace: test
limits:
  - {name: jobs, kind: concurrency, key: [user], limit: 10, lease: {ttl: 10s, max: 1h}}
`

func TestTenConcurrentThroughThreeNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		withPolicy(t, c, tenConcurrent)
		var mu sync.Mutex
		var leases []string
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				d := do(t, c.nodes[i%3], callOf(bucketring.VerbTake, 1, "user", "u"))
				mu.Lock()
				defer mu.Unlock()
				if d.Allowed != (len(d.Leases) == 1) {
					t.Errorf("take = %v with leases %v, want one exactly if it is allowed", d.Allowed, d.Leases)
				}
				leases = append(leases, d.Leases...)
			})
		}
		wg.Wait()
		slices.Sort(leases)
		if got := len(slices.Compact(slices.Clone(leases))); len(leases) != 10 || got != 10 {
			t.Fatalf("%d leases, %d of them different, want exactly 10", len(leases), got)
		}
		renew := bucketring.Request{Verb: bucketring.VerbRenew, IDs: leases[:4]}
		for i := range 3 { // from any node, for longer than a ttl
			time.Sleep(5 * time.Second)
			if d := do(t, c.nodes[i], renew); !d.Allowed || len(d.Leases) != 4 {
				t.Fatalf("renew at n%d = %+v, want 4 leases reached", i+1, d)
			}
		}
		if got := used(t, c.nodes[0], "user", "u"); got["jobs"] != 4 {
			t.Fatalf("%d jobs after the other holders died, want 4", got["jobs"])
		}
		release := bucketring.Request{Verb: bucketring.VerbRelease, IDs: leases[:1]}
		if d := do(t, c.nodes[2], release); !d.Allowed {
			t.Fatalf("release = %+v, want the lease reached", d)
		}
		if d := do(t, c.nodes[1], release); d.Allowed || len(d.Leases) != 0 {
			t.Fatalf("second release = %+v, want nothing reached", d)
		}
		if got := used(t, c.nodes[0], "user", "u"); got["jobs"] != 3 {
			t.Fatalf("%d jobs after one release, repeated, want 3", got["jobs"])
		}
	})
}

// A holder that dies frees its slot within its ttl and a second.
func TestDeadHolderFreesItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		withPolicy(t, c, tenConcurrent)
		for i := range 10 {
			do(t, c.nodes[i%3], callOf(bucketring.VerbTake, 1, "user", "u"))
		}
		time.Sleep(9999 * time.Millisecond)
		if d := do(t, c.nodes[0], callOf(bucketring.VerbTake, 1, "user", "u")); d.Allowed {
			t.Fatal("an 11th job was admitted before the first holders' ttl was over")
		}
		time.Sleep(time.Millisecond)
		if d := do(t, c.nodes[0], callOf(bucketring.VerbTake, 1, "user", "u")); !d.Allowed {
			t.Fatalf("take after the ttl = %+v, want a free slot", d)
		}
	})
}

func TestTokenTakesTheSameLeaseAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		withPolicy(t, c, tenConcurrent)
		req := callOf(bucketring.VerbTake, 1, "user", "u")
		req.Token = "0123456789abcdef"
		first, second := do(t, c.nodes[0], req), do(t, c.nodes[1], req)
		if !slices.Equal(first.Leases, second.Leases) || len(first.Leases) != 1 {
			t.Errorf("leases %v and %v, want one and the same", first.Leases, second.Leases)
		}
		if got := used(t, c.nodes[2], "user", "u"); got["jobs"] != 1 {
			t.Errorf("%d jobs, want 1", got["jobs"])
		}
	})
}

const reported = `
apiVersion: limits/v1
namespace: test
limits:
  - name: minutes
    key: [user]
    precision: 3
    cost: {from: report, reserve: attr, attr: estimate}
    limit: 100
    per: 1d
    algorithm: fixed_window
`

func TestThousandSettlementsOfATenth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		withPolicy(t, c, reported)
		for i := range 1000 {
			d := do(t, c.nodes[i%3], callOf(bucketring.VerbTake, 1, "user", "u"))
			if !d.Allowed || d.Reservation == "" {
				t.Fatalf("take %d = %+v, want it allowed with a reservation", i+1, d)
			}
			settle := bucketring.Request{Verb: bucketring.VerbSettle, IDs: []string{d.Reservation}, CostNanos: 100_000_000}
			for range 2 { // the second changes nothing
				if s := do(t, c.nodes[(i+1)%3], settle); s.Reservation != d.Reservation {
					t.Fatalf("settle %d = %+v, want the reservation found", i+1, s)
				}
			}
		}
		if got := used(t, c.nodes[0], "user", "u")["minutes"]; got != 100_000 {
			t.Errorf("used %d thousandths, want exactly 100000", got)
		}
		if d := do(t, c.nodes[0], callOf(bucketring.VerbTake, 1, "user", "u")); d.Allowed {
			t.Error("a take was admitted with nothing left")
		}
		settle := bucketring.Request{Verb: bucketring.VerbSettle, IDs: []string{bucketring.ID{1}.Text(7)}, Cost: 1}
		if _, err := c.nodes[0].Take(t.Context(), settle); !errors.Is(err, bucketring.ErrUnknownID) {
			t.Errorf("settle of what nobody reserved = %v, want ErrUnknownID", err)
		}
	})
}

const leaseAndRate = `
apiVersion: limits/v1
namespace: test
limits:
  - {name: jobs, kind: concurrency, key: [user], limit: 10, lease: {ttl: 10s}}
  - {name: of-team, key: [team], limit: 1, per: 1h}
`

// A repeated take that is denied elsewhere does not end the lease of the first.
func TestDeniedRepeatKeepsTheLease(t *testing.T) {
	for i := range 20 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3)
			withPolicy(t, c, leaseAndRate)
			user, team := fmt.Sprint("u", i), fmt.Sprint("t", i)
			req := callOf(bucketring.VerbTake, 1, "user", user, "team", team)
			req.Token = "0123456789abcdef"
			if d := do(t, c.nodes[0], req); len(d.Leases) != 1 {
				t.Fatalf("take = %+v, want a lease", d)
			}
			if d := do(t, c.nodes[1], req); d.Allowed || d.Name != "of-team" {
				t.Fatalf("repeated take = %+v, want of-team to deny", d)
			}
			if got := used(t, c.nodes[2], "user", user)["jobs"]; got != 1 {
				t.Fatalf("%d jobs after a repeated take was denied, want the first one's lease", got)
			}
			req.Token = "fedcba9876543210"
			do(t, c.nodes[2], req) // denied too, and makes no lease
			if got := used(t, c.nodes[2], "user", user)["jobs"]; got != 1 {
				t.Fatalf("%d jobs after another take was denied, want 1", got)
			}
		})
	}
}

const modes = `
apiVersion: limits/v1
namespace: test
limits:
  - {name: calls, key: [user], limit: 30, per: 1h, algorithm: fixed_window, on_unavailable: MODE}
`

// What a policy says for the time when nobody can be asked, as callers see it.
func TestPolicyWithoutItsOwner(t *testing.T) {
	for mode, want := range map[string]struct {
		allowed int // of 15
		source  bucketring.Source
		status  int // of the first denial
		retry   string
	}{
		"local": {1, bucketring.SourceFallbackShare, 429, "360"}, // nothing is known of the counter: one, then a third of the rate
		"allow": {15, bucketring.SourceFallbackOpen, 0, ""},
		"deny":  {0, bucketring.SourceFallbackClosed, 503, "1"},
	} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3)
				withPolicy(t, c, strings.Replace(modes, "MODE", mode, 1))
				user := find(t, c, "user", "n2")
				c.wires.set("n2", refuses)
				allowed, status, retry := 0, 0, ""
				for range 15 {
					d := do(t, c.nodes[0], callOf(bucketring.VerbTake, 1, "user", user))
					if d.Source != want.source || !d.Degraded {
						t.Fatalf("take = %+v, want a degraded answer by %v", d, want.source)
					}
					if d.Allowed {
						allowed++
						continue
					}
					status = d.Response.Status
					for _, h := range d.Response.Headers {
						if h.Name == "Retry-After" {
							retry = h.Value
						}
					}
				}
				if mode == "local" {
					retry = want.retry // until the window ends, wherever in it the test began
				}
				if allowed != want.allowed || status != want.status || retry != want.retry {
					t.Errorf("%d of 15 allowed, status %d, Retry-After %q, want %d, %d and %q",
						allowed, status, retry, want.allowed, want.status, want.retry)
				}
			})
		})
	}
}

// What a settlement shows does not depend on the node that is asked.
func TestSettleShowsItsResetEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c.wires.slow(3 * time.Millisecond)
		withPolicy(t, c, reported)
		midnight := epoch() + 24*60*60
		for i := range 3 {
			d := do(t, c.nodes[i], callOf(bucketring.VerbTake, 1, "user", "u"))
			settle := bucketring.Request{Verb: bucketring.VerbSettle, IDs: []string{d.Reservation}, Cost: 1}
			s := do(t, c.nodes[i], settle)
			if s.ResetAt != midnight || len(s.Limits) != 1 || s.Limits[0].ResetAt != midnight || s.Used != int64(i+1)*1000 {
				t.Errorf("settle at n%d = %+v, want %d used until %d", i+1, s, (i+1)*1000, midnight)
			}
		}
	})
}

const hiddenLevel = `
apiVersion: limits/v1
namespace: test
limits:
  - {name: stored, kind: level, key: [user], unit: bytes, limit: 100, headers: false}
`

// A level is described by calls about it, whether headers show it or not.
func TestLevelIsDescribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		withPolicy(t, c, hiddenLevel)
		for i, req := range []bucketring.Request{
			callOf(bucketring.VerbAdd, 70, "user", "u"), callOf(bucketring.VerbAdd, 31, "user", "u"),
			callOf(bucketring.VerbAdd, -20, "user", "u"), callOf(bucketring.VerbSet, 120, "user", "u"),
		} {
			d := do(t, c.nodes[i%3], req)
			want := []bucketring.LimitState{
				{Allowed: true, Used: 70, Remaining: 30, Window: 1}, {Used: 70, Remaining: 30, RetryAfter: bucketring.Never, Window: 1},
				{Allowed: true, Used: 50, Remaining: 50, Window: 1}, {Allowed: true, Used: 120, Window: 2},
			}[i]
			want.Name, want.Limit, want.Kind, want.Unit = "stored", 100, bucketring.KindLevel, "bytes"
			if d.LimitState != want {
				t.Errorf("call %d = %+v, want %+v", i+1, d.LimitState, want)
			}
		}
	})
}

// TestUsageWithoutItsOwner: what nobody here knows is not invented, whatever a take is answered
// meanwhile.
func TestUsageWithoutItsOwner(t *testing.T) {
	for _, mode := range []string{"local", "allow", "deny"} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 3)
			withPolicy(t, c, strings.Replace(modes, "MODE", mode, 1))
			user := find(t, c, "user", "n2")
			do(t, c.nodes[0], callOf(bucketring.VerbTake, 7, "user", user))
			usage := bucketring.Request{Verb: bucketring.VerbUsage, Namespace: "test", Attributes: map[string]string{"user": user}}
			if d := do(t, c.nodes[0], usage); d.Limits[0].Used != 7 || d.Degraded {
				t.Errorf("%s: usage = %+v, want 7 used, as the owner says", mode, d)
			}
			c.wires.set("n2", refuses)
			if d, err := c.nodes[0].Take(t.Context(), usage); !errors.Is(err, bucketring.ErrUnavailable) || !strings.Contains(err.Error(), "ask again") {
				t.Errorf("%s: usage without the owner = %+v, %v, want that it cannot be told", mode, d, err)
			}
		})
	}
}
