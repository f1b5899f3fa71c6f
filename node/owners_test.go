// owners_test.go: what calls whose limits live at several nodes must not lose, and
// must not give, when answers are lost, owners are away or calls are repeated.

package node_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// next carries a call on to where it was going.
type next func() (bucketring.Decision, error)

// A hook stands before a node and decides what becomes of calls to it.
type hook struct {
	under bucketring.Limiter
	f     func(context.Context, bucketring.Request, next) (bucketring.Decision, error)
}

func (h hook) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return h.f(ctx, req, func() (bucketring.Decision, error) { return h.under.Take(ctx, req) })
}

// find returns a value of an attribute whose only limit lives at a node, asked from n1.
func find(t *testing.T, c *cluster, attr, want string) string {
	for i := range 1000 {
		v := fmt.Sprintf("%s%d", attr, i)
		c.wires.asked()
		do(t, c.nodes[0], callOf(bucketring.VerbUsage, 0, attr, v))
		asks := c.wires.asked()
		if want == "n1" && len(asks) == 0 || len(asks) == 1 && asks[0] == "n1>"+want {
			return v
		}
	}
	t.Fatal("none")
	return ""
}

// policed runs a test in a bubble, on nodes with a policy of these limits.
func policed(t *testing.T, nodes int, limits string, f func(t *testing.T, c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nodes)
		withPolicy(t, c, "apiVersion: limits/v1\nnamespace: test\n"+limits)
		f(t, c)
	})
}

const take1 = bucketring.VerbTake

const fixedPlaces = `
limits:
  - {name: of-user, key: [user], limit: 10, per: 1h, algorithm: fixed_window}
  - {name: of-team, key: [team], limit: 15, per: 1h, algorithm: fixed_window}
`

// A refund whose answer was lost is tried again, and counts once.
func TestLostRefundCountsOnce(t *testing.T) {
	policed(t, 3, fixedPlaces, func(t *testing.T, c *cluster) {
		user, team := find(t, c, "user", "n2"), find(t, c, "team", "n3")
		for range 10 {
			do(t, c.nodes[0], callOf(take1, 1, "user", user))
		}
		for i := range 14 {
			do(t, c.nodes[0], callOf(take1, 1, "team", team, "user", fmt.Sprint("x", i)))
		}
		var lose atomic.Bool
		lose.Store(true)
		c.wires.put("n3", hook{c.nodes[2].Local(), func(ctx context.Context, req bucketring.Request, next next) (bucketring.Decision, error) {
			d, err := next()
			if req.Verb == bucketring.VerbRefund && lose.Load() {
				<-ctx.Done()
				return d, fmt.Errorf("%w: %w", bucketring.ErrUnavailable, ctx.Err())
			}
			return d, err
		}})
		ctx, cancel := context.WithCancel(t.Context())
		go c.nodes[0].Run(ctx)
		do(t, c.nodes[0], callOf(take1, 1, "user", user, "team", team))
		time.Sleep(2 * time.Second)
		lose.Store(false)
		time.Sleep(time.Second)
		cancel()
		if got := used(t, c.nodes[0], "team", team)["of-team"]; got != 14 {
			t.Errorf("team used %d after one undone take, want 14", got)
		}
	})
}

// A refund that comes when the bucket has refilled by itself gives nothing.
func TestLateRefundOfRefilledBucket(t *testing.T) {
	policed(t, 3, `
limits:
  - {name: of-user, key: [user], limit: 1, per: 1h}
  - {name: of-team, key: [team], limit: 50, per: 10s}
`, func(t *testing.T, c *cluster) {
		user, team := find(t, c, "user", "n2"), find(t, c, "team", "n3")
		do(t, c.nodes[0], callOf(take1, 1, "user", user))
		down := true
		c.wires.put("n3", hook{c.nodes[2].Local(), func(ctx context.Context, req bucketring.Request, next next) (bucketring.Decision, error) {
			if req.Verb == bucketring.VerbRefund && down {
				return bucketring.Decision{}, bucketring.ErrUnavailable
			}
			return next()
		}})
		for range 40 {
			do(t, c.nodes[0], callOf(take1, 1, "user", user, "team", team))
		}
		time.Sleep(30 * time.Second) // the bucket is full long since
		n := 0
		for do(t, c.nodes[0], callOf(take1, 1, "team", team, "user", fmt.Sprint("x", n))).Allowed {
			n++
		}
		down = false
		c.nodes[0].SettleOwed(t.Context())
		for do(t, c.nodes[0], callOf(take1, 1, "team", team, "user", fmt.Sprint("x", n))).Allowed {
			n++
		}
		if n > 50 {
			t.Errorf("%d admitted at one moment, want at most the burst of 50", n)
		}
	})
}

// A token's repetition that is denied elsewhere leaves what the first take holds.
func TestDeniedRepeatKeepsWhatTheFirstTook(t *testing.T) {
	for name, limit := range map[string]string{
		"lease":       "{name: x, kind: concurrency, key: [user], limit: 100, lease: {ttl: 10m}}",
		"reservation": "{name: x, key: [user], limit: 100, per: 1d, algorithm: fixed_window, cost: {from: report, reserve: attr, attr: estimate}}",
	} {
		for _, charge := range []string{"all_or_nothing", "each"} {
			t.Run(name+" "+charge, func(t *testing.T) {
				policed(t, 3, "charge: "+charge+"\nlimits:\n  - "+limit+"\n  - {name: of-team, key: [team], limit: 1, per: 1h}\n", func(t *testing.T, c *cluster) {
					user, team := find(t, c, "user", "n2"), find(t, c, "team", "n3")
					req := callOf(take1, 1, "user", user, "team", team, "estimate", "60")
					req.Token = "0123456789abcdef"
					do(t, c.nodes[0], req)
					before := used(t, c.nodes[0], "user", user)["x"]
					do(t, c.nodes[0], req)
					if got := used(t, c.nodes[0], "user", user)["x"]; got != before {
						t.Errorf("used %d, want %d of the first take", got, before)
					}
				})
			})
		}
	}
}

const jobs3 = `
limits:
  - {name: jobs, kind: concurrency, key: [user], limit: 3, lease: {ttl: 10m}}
  - {name: of-team, key: [team], limit: 1, per: 1h}
`

// A lease that was taken while its owner is away is kept by who gave it.
func TestLeaseOfAShareIsRenewedAndReleased(t *testing.T) {
	policed(t, 3, jobs3, func(t *testing.T, c *cluster) {
		user := find(t, c, "user", "n2")
		c.wires.set("n2", refuses)
		d := do(t, c.nodes[0], callOf(take1, 1, "user", user, "team", "a"))
		for _, v := range []bucketring.Verb{bucketring.VerbRenew, bucketring.VerbRelease} {
			if r, err := c.nodes[0].Take(t.Context(), bucketring.Request{Verb: v, IDs: d.Leases}); err != nil || !r.Allowed {
				t.Errorf("%v of the share's lease = %v, %v", v, r.Leases, err)
			}
		}
		if d := do(t, c.nodes[0], callOf(take1, 1, "user", user, "team", "b")); !d.Allowed {
			t.Errorf("take after the release = %+v, want it allowed", d)
		}
	})
}

// A denied call leaves no lease behind in the share of an owner that is away.
func TestDeniedCallLeavesNoLeaseInTheShare(t *testing.T) {
	policed(t, 3, jobs3, func(t *testing.T, c *cluster) {
		user, team := find(t, c, "user", "n2"), find(t, c, "team", "n3")
		do(t, c.nodes[0], callOf(take1, 1, "team", team))
		c.wires.set("n2", refuses)
		if do(t, c.nodes[0], callOf(take1, 1, "user", user, "team", team)).Allowed {
			t.Fatal("allowed")
		}
		if d := do(t, c.nodes[0], callOf(take1, 1, "user", user)); !d.Allowed {
			t.Errorf("a denied call holds the share's only slot for its ttl; nobody has its id")
		}
	})
}

// The owner makes the lease, and its answer is lost or the caller has gone: nobody could release it.
func TestLeaseOfALostAnswerEnds(t *testing.T) {
	for _, how := range []string{"cancel", "timeout"} {
		t.Run(how, func(t *testing.T) {
			policed(t, 3, "limits:\n  - {name: jobs, kind: concurrency, key: [user], limit: 1, lease: {ttl: 10m}, on_unavailable: deny}\n", func(t *testing.T, c *cluster) {
				user := find(t, c, "user", "n2")
				c.wires.set("n2", loses)
				ctx, cancel := context.WithCancel(t.Context())
				if how == "cancel" {
					time.AfterFunc(5*time.Millisecond, cancel)
				}
				d, err := c.nodes[0].Take(ctx, callOf(take1, 1, "user", user))
				cancel()
				c.wires.set("n2", works)
				run, stop := context.WithCancel(t.Context())
				go c.nodes[0].Run(run)
				time.Sleep(5 * time.Second)
				stop()
				if got := used(t, c.nodes[0], "user", user)["jobs"]; got != 0 {
					t.Errorf("%d job for 10 minutes after allowed=%v err=%v: nobody holds it", got, d.Allowed, err)
				}
			})
		})
	}
}

// One owner that is away does not keep the leases at others from being renewed.
func TestOneAbsentOwnerStopsNoRenewal(t *testing.T) {
	policed(t, 3, "limits:\n  - {name: jobs, kind: concurrency, key: [user], limit: 10, lease: {ttl: 10s, max: 1h}}\n", func(t *testing.T, c *cluster) {
		u2, u3 := find(t, c, "user", "n2"), find(t, c, "user", "n3")
		a, b := do(t, c.nodes[0], callOf(take1, 1, "user", u2)), do(t, c.nodes[0], callOf(take1, 1, "user", u3))
		c.wires.set("n2", refuses)
		time.Sleep(6 * time.Second)
		d, err := c.nodes[0].Take(t.Context(), bucketring.Request{Verb: bucketring.VerbRenew, IDs: append(a.Leases, b.Leases...)})
		time.Sleep(6 * time.Second)
		if got := used(t, c.nodes[0], "user", u3)["jobs"]; got != 1 {
			t.Errorf("the lease at n3, renewed in time, ended since n2 was away: %v %v", d.Leases, err)
		}
	})
}

// A settlement that no counter can hold is an error, not a success.
func TestSettlementThatDoesNotFitIsRefused(t *testing.T) {
	policed(t, 1, reported[len("\napiVersion: limits/v1\nnamespace: test\n"):], func(t *testing.T, c *cluster) {
		d := do(t, c.nodes[0], callOf(take1, 1, "user", "u"))
		settle := bucketring.Request{Verb: bucketring.VerbSettle, IDs: []string{d.Reservation}, Cost: 1 << 61}
		if s, err := c.nodes[0].Take(t.Context(), settle); err == nil {
			t.Errorf("settle of 2^61 with 3 decimals: allowed %v, used %d, want ErrInvalid", s.Allowed, s.Used)
		}
	})
}

// A settlement gives back only what its take still holds.
func TestSettleAfterRefillOrReset(t *testing.T) {
	for _, how := range []string{"refill", "reset"} {
		t.Run(how, func(t *testing.T) {
			per := "limits:\n  - {name: tok, key: [user], limit: 100, per: 1m, cost: {from: report, reserve: attr, attr: estimate}}\n"
			policed(t, 1, per, func(t *testing.T, c *cluster) {
				req := callOf(take1, 1, "user", "u", "estimate", "100")
				d := do(t, c.nodes[0], req)
				if how == "reset" {
					do(t, c.nodes[0], callOf(bucketring.VerbReset, 0, "user", "u"))
				} else {
					time.Sleep(time.Minute)
				}
				do(t, c.nodes[0], req)
				do(t, c.nodes[0], bucketring.Request{Verb: bucketring.VerbSettle, IDs: []string{d.Reservation}})
				if do(t, c.nodes[0], req).Allowed {
					t.Errorf("200 at one moment with a burst of 100: the old reservation gave 100 of the new take back")
				}
			})
		})
	}
}

// A bucket that two plans or two nodes hold to different amounts in turn does not fill by that.
func TestAmountsThatAlternateGiveNothing(t *testing.T) {
	t.Run("plans", func(t *testing.T) {
		policed(t, 1, "limits:\n  - {name: calls, key: [org], per: 1h, limit: {by: plan, values: {small: 10, large: 1000}}}\n", func(t *testing.T, c *cluster) {
			n := 0
			for range 20 {
				for do(t, c.nodes[0], callOf(take1, 90, "org", "o", "plan", "large")).Allowed {
					n += 90
				}
				do(t, c.nodes[0], callOf(bucketring.VerbPeek, 1, "org", "o", "plan", "small"))
			}
			if n > 1000 {
				t.Errorf("%d admitted at one moment, want at most 1000", n)
			}
		})
	})
	t.Run("nodes", func(t *testing.T) {
		policed(t, 2, "limits:\n  - {name: calls, key: [org], per: 1h, limit: 1000}\n", func(t *testing.T, c *cluster) {
			old := *c
			old.nodes = c.nodes[1:]
			withPolicy(t, &old, "apiVersion: limits/v1\nnamespace: test\nlimits:\n  - {name: calls, key: [org], per: 1h, limit: 10}\n")
			n := 0
			for range 20 {
				for do(t, c.nodes[0], callOf(take1, 90, "org", "o")).Allowed {
					n += 90
				}
				do(t, c.nodes[1], callOf(bucketring.VerbPeek, 1, "org", "o"))
			}
			if n > 1000 {
				t.Errorf("%d admitted at one moment, want at most 1000", n)
			}
		})
	})
}

// What is added to several levels is added to all or none.
func TestAddToSeveralLevelsIsAllOrNothing(t *testing.T) {
	policed(t, 1, "limits:\n  - {name: files, kind: level, key: [user], limit: 100}\n  - {name: few, kind: level, key: [user], limit: 5}\n", func(t *testing.T, c *cluster) {
		d := do(t, c.nodes[0], callOf(bucketring.VerbAdd, 10, "user", "u"))
		if got := used(t, c.nodes[0], "user", "u")["files"]; !d.Allowed && got != 0 {
			t.Errorf("denied add left files at %d, want 0", got)
		}
	})
}

// A lease that a node counts for itself is found through every other one.
func TestLeaseOfANodeIsFoundThroughOthers(t *testing.T) {
	policed(t, 3, "limits:\n  - {name: jobs, kind: concurrency, scope: node, key: [user], limit: 1, lease: {ttl: 10m}}\n", func(t *testing.T, c *cluster) {
		for i := range 3 {
			d := do(t, c.nodes[i], callOf(take1, 1, "user", "u"))
			if r := do(t, c.nodes[(i+1)%3], bucketring.Request{Verb: bucketring.VerbRelease, IDs: d.Leases}); !r.Allowed {
				t.Errorf("lease of n%d not found through n%d", i+1, (i+1)%3+1)
			}
		}
	})
}

// A repeated take with a reservation and another limit is answered as the first.
func TestRepeatedTakeOfSeveralLimits(t *testing.T) {
	policed(t, 1, `
limits:
  - {name: minutes, key: [user], limit: 100, per: 1d, algorithm: fixed_window, cost: {from: report, reserve: attr, attr: estimate}}
  - {name: jobs, kind: concurrency, key: [user], limit: 5, lease: {ttl: 10m}}
`, func(t *testing.T, c *cluster) {
		req := callOf(take1, 1, "user", "u", "estimate", "100")
		req.Token = "0123456789abcdef"
		if a, b := do(t, c.nodes[0], req), do(t, c.nodes[0], req); !b.Allowed {
			t.Errorf("take %v, repeated %v", a.Allowed, b.Allowed)
		}
	})
}

// An error at the second of two own places gives back what the first charged.
func TestRingChangeInTheMiddleOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *cluster
		armed := 0
		c = newCluster(t, 2, func(cfg *node.Config) {
			if cfg.Name == "n1" {
				cfg.Now = func() time.Time {
					if armed > 0 {
						if armed--; armed == 0 {
							c.nodes[0].SetRing(c.ring("n1", "n2")) // between two parts
						}
					}
					return time.Now()
				}
			}
		})
		withPolicy(t, c, "apiVersion: limits/v1\nnamespace: test\n"+fixedPlaces)
		user, team := find(t, c, "user", "n1"), find(t, c, "team", "n1")
		c.wires.set("n2", hangs)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Millisecond, cancel)
		armed = 2
		_, err := c.nodes[0].Take(ctx, callOf(take1, 1, "user", user, "team", team))
		c.nodes[0].SetRing(c.ring("n1", "n1", "n2"))
		if got := used(t, c.nodes[0], "user", user)["of-user"]; err != nil && got != 0 {
			t.Errorf("used %d after %v, want 0", got, err)
		}
	})
}

// However many values callers send, the sets of labels are bounded.
func TestLabelSetsAreBounded(t *testing.T) {
	c := newCluster(t, 1)
	withPolicy(t, c, "apiVersion: limits/v1\nnamespace: test\nmetrics: {labels: [a, b]}\nlimits:\n  - {name: calls, key: [user], limit: 1000000, per: 1h}\n")
	for i := range 200 {
		for j := range 200 {
			do(t, c.nodes[0], callOf(take1, 1, "user", "u", "a", fmt.Sprint(i), "b", fmt.Sprint(j)))
		}
	}
	if n := len(c.nodes[0].Stats().Policies.Labelled); n > 10_002 { // and one for the others of each result
		t.Errorf("%d label sets kept after 40000 calls", n)
	}
}

// A denial comes within the deadline of its caller, and refunds that wait do not hold up the upkeep.
func TestUndoKeepsTheDeadline(t *testing.T) {
	policed(t, 3, `
limits:
  - {name: a, key: [a], limit: 1, per: 1h}
  - {name: b, key: [b], limit: 10, per: 1h}
  - {name: c, key: [c], limit: 10, per: 1h}
  - {name: d, key: [d], limit: 10, per: 1h}
`, func(t *testing.T, c *cluster) {
		args := []string{"a", find(t, c, "a", "n2"), "b", find(t, c, "b", "n3"), "c", find(t, c, "c", "n3"), "d", find(t, c, "d", "n3")}
		do(t, c.nodes[0], callOf(take1, 1, args[:2]...))
		c.wires.put("n3", hook{c.nodes[2].Local(), func(ctx context.Context, req bucketring.Request, next next) (bucketring.Decision, error) {
			if req.Verb == bucketring.VerbRefund {
				<-ctx.Done()
				return bucketring.Decision{}, bucketring.ErrUnavailable
			}
			return next()
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, _ = c.nodes[0].Take(ctx, callOf(take1, 1, args...))
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("answered after %v, the caller waited 10 ms", took)
		}
		for range 60 {
			c.nodes[0].Take(t.Context(), callOf(take1, 1, args[0], args[1], "b", args[3]))
		}
		began = time.Now()
		c.nodes[0].SettleOwed(t.Context())
		if took := time.Since(began); took > 250*time.Millisecond {
			t.Errorf("one tick of Run lasts %v for its refunds alone, it has 250ms", took)
		}
	})
}

// Calls that another owner denies do not spend the share of one that is away.
func TestDeniedCallsSpendNoShare(t *testing.T) {
	policed(t, 3, fixedPlaces, func(t *testing.T, c *cluster) {
		user, team := find(t, c, "user", "n2"), find(t, c, "team", "n3")
		for i := range 15 {
			do(t, c.nodes[0], callOf(take1, 1, "team", team, "user", fmt.Sprint("x", i)))
		}
		do(t, c.nodes[0], callOf(take1, 1, "user", user))
		c.wires.set("n2", refuses)
		for range 5 {
			if do(t, c.nodes[0], callOf(take1, 1, "user", user, "team", team)).Allowed {
				t.Fatal("allowed")
			}
		}
		if d := do(t, c.nodes[0], callOf(take1, 1, "user", user)); !d.Allowed {
			t.Errorf("share of 3 spent by denied calls")
		}
	})
}

// A refund that is owed does not end what the same token has taken since.
func TestOwedRefundSparesTheNextTake(t *testing.T) {
	policed(t, 3, "limits:\n  - {name: jobs, kind: concurrency, key: [user], limit: 1, lease: {ttl: 10m}}\n  - {name: of-team, key: [team], limit: 1, per: 1s}\n", func(t *testing.T, c *cluster) {
		user, team := find(t, c, "user", "n2"), find(t, c, "team", "n3")
		do(t, c.nodes[0], callOf(take1, 1, "team", team, "user", "x"))
		down := true
		c.wires.put("n2", hook{c.nodes[1].Local(), func(ctx context.Context, req bucketring.Request, next next) (bucketring.Decision, error) {
			if req.Verb == bucketring.VerbRefund && down {
				return bucketring.Decision{}, bucketring.ErrUnavailable
			}
			return next()
		}})
		req := callOf(take1, 1, "user", user, "team", team)
		req.Token = "0123456789abcdef"
		if do(t, c.nodes[0], req).Allowed {
			t.Fatal("allowed")
		}
		down = false
		time.Sleep(time.Second)
		d := do(t, c.nodes[0], req) // tried again
		c.nodes[0].SettleOwed(t.Context())
		if got := used(t, c.nodes[0], "user", user)["jobs"]; d.Allowed && got != 1 {
			t.Errorf("used %d while the allowed repetition works, want 1", got)
		}
	})
}

// A panic while one of several owners is asked comes out at the caller, whose door
// counts it, and not in a goroutine of its own, which would end the process.
func TestPanicWhileOthersAreAsked(t *testing.T) {
	policed(t, 3, fixedPlaces, func(t *testing.T, c *cluster) {
		user, team := find(t, c, "user", "n2"), find(t, c, "team", "n3")
		for _, addr := range []string{"n2", "n3"} {
			c.wires.put(addr, panicking{})
		}
		defer func() {
			if cause := recover(); cause != "asked" {
				t.Errorf("recovered %v, want the panic of the owner", cause)
			}
		}()
		_, _ = c.nodes[0].Take(t.Context(), callOf(take1, 1, "user", user, "team", team))
	})
}
