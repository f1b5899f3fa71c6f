// sim_durable_test.go crashes nodes under calls that are answered only once a second node
// knows of them.

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

const durablePolicy = `
apiVersion: limits/v1
namespace: durable
limits:
  - {name: stored, kind: level, key: [user], limit: 100000}
  - {name: calls, key: [user], limit: 100000, per: 1d, algorithm: fixed_window, durability: replica}
  - {name: jobs, kind: concurrency, key: [user], limit: 100000, lease: {ttl: 1h}, durability: replica}
`

// A durableBook is what came of a user's calls.
type durableBook struct {
	passed  int64 // and a second node knows
	unknown int64 // failed, degraded, or answered by a node that was dead by then
}

// A node crashes under load: what was answered before is not forgotten, not even what was
// counted a moment ago.
func TestSimDurable(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprint("silent=", silent), func(t *testing.T) {
			simulate(t, func(w *simWorld) { w.crashDurably(silent) })
		})
	}
}

// durableCluster starts three nodes with the policy.
func (w *simWorld) durableCluster() {
	w.Helper()
	w.cluster(3)
	w.setDurablePolicy()
}

func (w *simWorld) setDurablePolicy() {
	w.Helper()
	p, err := policy.Parse("durable.yaml", []byte(durablePolicy), policy.Options{})
	if err != nil {
		w.Fatal(err)
	}
	for _, n := range w.live() {
		n.s.node.SetPolicies((&policy.Set{}).WithPolicy(p))
	}
}

func (w *simWorld) crashDurably(silent bool) {
	w.durableCluster()
	users := keysOf("user:", 30)
	books := make(map[string]*durableBook, len(users))
	for _, user := range users {
		books[user] = &durableBook{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var calling sync.WaitGroup
	for i, user := range users {
		calling.Go(func() { w.callDurably(ctx, uint64(i), user, books[user]) })
	}
	time.Sleep(2*time.Second + time.Duration(w.rand.Int64N(int64(time.Second))))
	w.node(1 + w.rand.IntN(3)).crash(silent)
	time.Sleep(50 * time.Millisecond)
	cancel()
	calling.Wait()
	w.awaitRest(10 * time.Second)
	passed := int64(0)
	for _, user := range users {
		w.expectKnown(user, books[user])
		passed += books[user].passed
	}
	w.say("%d calls were answered", passed)
	if passed < 1000 {
		w.Errorf("%d calls were answered, want many more", passed)
	}
}

// callDurably takes, again and again, at nodes picked at random.
func (w *simWorld) callDurably(ctx context.Context, stream uint64, user string, b *durableBook) {
	r := rand.New(rand.NewPCG(uint64(w.seed), stream))
	for ctx.Err() == nil {
		nodes := w.live()
		n := nodes[r.IntN(len(nodes))]
		within, cancel := context.WithTimeout(ctx, time.Second)
		d, err := n.door.Take(within, bucketring.Request{Namespace: "durable", Attributes: map[string]string{"user": user}, Cost: 1})
		cancel()
		switch {
		case err != nil, d.Degraded, n.dead.Load():
			b.unknown++
		case d.Allowed:
			b.passed++
		default:
			w.Errorf("%v: a call of %s at %s = %+v, want room", w.now(), user, n.name, d)
		}
		time.Sleep(time.Duration(r.Int64N(int64(20 * time.Millisecond))))
	}
}

// expectKnown asks all nodes that are left what a user has used.
func (w *simWorld) expectKnown(user string, b *durableBook) {
	w.Helper()
	for _, n := range w.live() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		d, err := n.door.Take(ctx, bucketring.Request{Verb: bucketring.VerbUsage, Namespace: "durable", Attributes: map[string]string{"user": user}})
		cancel()
		if err != nil || len(d.Limits) != 3 {
			w.Errorf("usage of %s at %s = %+v, %v", user, n.name, d, err)
			continue
		}
		for _, s := range d.Limits {
			if s.Used < b.passed || s.Used > b.passed+b.unknown {
				w.Errorf("%s at %s has used %d of %s, want at least the %d that were answered and at most %d more", user, n.name, s.Used, s.Name, b.passed, b.unknown)
			}
		}
	}
}

// Two nodes do not hear each other: what one of them counts and cannot have the other know is
// refused, because levels are closed then, and is not counted.
func TestSimDurableCut(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.durableCluster()
		users := keysOf("user:", 30)
		w.net.cutOff(1, 2)
		w.net.cutOff(2, 1)
		refused, passed := 0, 0
		books := map[string]*durableBook{}
		for _, user := range users {
			books[user] = &durableBook{}
			n := w.node(1 + w.rand.IntN(3))
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			d, err := n.door.Take(ctx, bucketring.Request{Namespace: "durable", Attributes: map[string]string{"user": user}, Cost: 1})
			cancel()
			switch {
			case err != nil:
				w.Errorf("a call of %s at %s = %v", user, n.name, err)
			case d.Allowed && !d.Degraded:
				books[user].passed++
				passed++
			case d.Allowed || d.Source != bucketring.SourceFallbackClosed:
				w.Errorf("a call of %s at %s = %+v, want it refused, as nobody else knows of it", user, n.name, d)
			default:
				refused++
			}
		}
		w.say("%d calls passed, %d were refused", passed, refused)
		if passed == 0 || refused == 0 {
			w.Errorf("%d calls passed and %d were refused, want some of both", passed, refused)
		}
		w.net.healAll()
		w.awaitRest(30 * time.Second)
		time.Sleep(5 * time.Second) // until links are made again
		for _, user := range users {
			w.expectKnown(user, books[user])
		}
	})
}

// A partition is on its way to a new node, and the one that gives it dies before it has arrived:
// calls that were counted last are not answered as known.
func TestSimDurableMove(t *testing.T) {
	simulate(t, func(w *simWorld) {
		w.durableCluster()
		users, giver := keysOf("user:", 100), w.node(1)
		books := make(map[string]*durableBook, len(users))
		for _, user := range users {
			books[user] = &durableBook{}
		}
		given := giver.s.node.Stats().Moves.Frozen
		w.launch("n4", 4)
		ctx, cancel := context.WithCancel(context.Background())
		var calling sync.WaitGroup
		for _, user := range users {
			calling.Go(func() { giver.callAlone(ctx, user, books[user]) })
		}
		for giver.s.node.Stats().Moves.Frozen == given {
			if time.Sleep(100 * time.Microsecond); w.now() > time.Minute {
				w.Fatal("no partition is given away")
			}
		}
		w.net.cutOff(1, 4)
		time.Sleep(time.Duration(w.rand.Int64N(int64(15 * time.Millisecond))))
		giver.crash(true)
		cancel()
		calling.Wait()
		w.awaitRest(20 * time.Second)
		w.setDurablePolicy() // of the new one, too
		for _, user := range users {
			w.expectKnown(user, books[user])
		}
	})
}

// callAlone takes at one node, all the time.
func (n *simNode) callAlone(ctx context.Context, user string, b *durableBook) {
	for ctx.Err() == nil {
		within, cancel := context.WithTimeout(ctx, time.Second)
		d, err := n.door.Take(within, bucketring.Request{Namespace: "durable", Attributes: map[string]string{"user": user}, Cost: 1})
		cancel()
		if err != nil || d.Degraded || !d.Allowed || n.dead.Load() {
			b.unknown++
		} else {
			b.passed++
		}
		time.Sleep(time.Millisecond)
	}
}
