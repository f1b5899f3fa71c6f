package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

// owners has nodes that know who owns each key, and forward.
type owners struct {
	mu sync.Mutex
	of map[string]string // by key; guarded by mu
}

func (o *owners) set(key, node string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of[key] = node
}

// at is the node of that name.
func (o *owners) at(name string) decider {
	return func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		d := allow(req)
		d.Source, d.Node, d.Owner = bucketring.SourceOwner, name, o.of[keyOf(req)]
		return d, nil
	}
}

func keyOf(req bucketring.Request) string {
	return req.Key + req.Namespace + req.Attributes["user"]
}

// startOwners has keys 0, 1, 2 and so on lie at a, b, c, a and so on.
func startOwners(w *world, keys int) (o *owners, nodes []*fake) {
	o = &owners{of: map[string]string{}}
	for _, addr := range []string{"a", "b", "c"} {
		nodes = append(nodes, w.start(addr, o.at("node-"+addr)))
	}
	for i := range keys {
		o.set(fmt.Sprint(i), "node-"+string(rune('a'+i%3)))
	}
	return o, nodes
}

func mustTake(t *testing.T, c *client.Client, req bucketring.Request) bucketring.Decision {
	t.Helper()
	d, err := c.Take(t.Context(), req)
	if err != nil {
		t.Fatalf("Take(%+v) = %v", req, err)
	}
	return d
}

func keyed(i int) bucketring.Request {
	return bucketring.Request{Key: fmt.Sprint(i), Limits: perMinute, Cost: 1}
}

// TestGuideRemembers: of many keys hardly one is forgotten for another, and what was said last
// counts, also where there are more keys than places.
func TestGuideRemembers(t *testing.T) {
	const keys = 20_000
	g := client.NewGuide()
	for range 2 {
		for i := range keys {
			g.Learn(fmt.Sprint(i), i%3)
		}
	}
	kept := 0
	for i := range keys {
		if owner, ok := g.First(fmt.Sprint(i)); ok && owner == i%3 {
			kept++
		}
	}
	if kept < keys-keys/1000 {
		t.Errorf("%d of %d keys are remembered, want nearly all", kept, keys)
	}
	for i := range 50 * keys {
		key := fmt.Sprint(i)
		if g.Learn(key, (i+1)%3); i%100 > 0 {
			continue
		}
		if owner, ok := g.First(key); !ok || owner != (i+1)%3 {
			t.Fatalf("key %d was just said to be at %d, and %d is asked, %v", i, (i+1)%3, owner, ok)
		}
	}
}

// TestS14 is the promise that calls reach owners directly, before and after keys move.
func TestS14(t *testing.T) {
	const keys = 3000
	w := newWorld(t)
	o, nodes := startOwners(w, keys)
	c := w.dialed(false)
	direct := func(what string) {
		t.Helper()
		at := 0
		for i := range keys {
			if d := mustTake(t, c, keyed(i)); d.Node == d.Owner {
				at++
			}
		}
		t.Logf("%s: %d of %d calls", what, at, keys)
		if at < keys*95/100 {
			t.Errorf("%s: %d of %d calls reached their owner directly, want 95 %%", what, at, keys)
		}
	}
	for i := range keys {
		mustTake(t, c, keyed(i))
	}
	if got := nodes[0].times(); got < keys*9/10 {
		t.Fatalf("the first node was asked %d of %d times before answers named owners, want nearly all", got, keys)
	}
	direct("at rest")
	for i := range keys {
		o.set(fmt.Sprint(i), "node-"+string(rune('a'+(i+1)%3)))
	}
	for i := range keys {
		mustTake(t, c, keyed(i))
	}
	direct("after all have moved")
}

// TestOwnerThatFails is tried after a second, then after two, four and so on.
func TestOwnerThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o, nodes := startOwners(w, 3)
		c := w.dialed(false)
		for range 4 {
			for i := range 3 {
				mustTake(t, c, keyed(i))
			}
		}
		nodes[1].set(away)
		asked := nodes[1].times()
		for range 10 {
			mustTake(t, c, keyed(1))
		}
		if got := nodes[1].times() - asked; got != 1 {
			t.Errorf("an owner that is away was asked for %d of 10 calls, want the first only", got)
		}
		for range 70 { // seconds
			time.Sleep(client.PassedOver + time.Millisecond)
			mustTake(t, c, keyed(1))
			mustTake(t, c, keyed(1))
		}
		if got := nodes[1].times() - asked; got != 7 { // after 0, 1, 3, 7, 15, 31 and 61 s
			t.Errorf("an owner that is away was tried %d times in 70 s, want 7", got)
		}
		nodes[1].set(o.at("node-b"))
		time.Sleep(client.MaxPassedOver)
		for range 10 {
			if d := mustTake(t, c, keyed(1)); d.Node != "node-b" {
				t.Fatalf("asked %s, want the owner, which is back", d.Node)
			}
		}
		_ = c.Close()
	})
}

// TestOwnerThatHangsAfterAllHaveFailed: calls go on elsewhere, though nobody else has
// answered since.
func TestOwnerThatHangsAfterAllHaveFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o, nodes := startOwners(w, 1)
		c := w.dialed(false)
		for _, n := range nodes {
			n.set(away)
		}
		if _, err := c.Take(t.Context(), keyed(0)); !errors.Is(err, bucketring.ErrUnavailable) {
			t.Fatalf("Take = %v, want it unavailable", err)
		}
		for i, n := range nodes {
			n.set(o.at("node-" + string(rune('a'+i))))
		}
		time.Sleep(client.PassedOver)
		for range 3 {
			mustTake(t, c, keyed(0)) // a's
		}
		nodes[0].set(hang)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if d, err := c.Take(ctx, keyed(0)); err != nil || d.Node == "node-a" {
				t.Errorf("Take after that = %+v, %v, want another node's answer", d, err)
			}
			cancel()
		}
		_ = c.Close()
	})
}

// TestSticky asks one node for all.
func TestSticky(t *testing.T) {
	w := newWorld(t)
	_, nodes := startOwners(w, 30)
	c := w.client()
	for i := range 60 {
		mustTake(t, c, keyed(i%30))
	}
	want(t, "sticky", []int{60, 0, 0}, nodes...)
}

// TestGuideTellsCallsApart looks at what calls have that are decided together.
func TestGuideTellsCallsApart(t *testing.T) {
	w := newWorld(t)
	o, _ := startOwners(w, 0)
	o.set("shopalice", "node-b")
	o.set("shopbob", "node-c")
	c := w.dialed(false)
	of := func(user string) bucketring.Request {
		return bucketring.Request{Namespace: "shop", Attributes: map[string]string{"user": user, "route": "/pay", "plan": "free"}}
	}
	for range 5 {
		mustTake(t, c, of("alice"))
		mustTake(t, c, of("bob"))
	}
	for user, owner := range map[string]string{"alice": "node-b", "bob": "node-c"} {
		for range 20 { // attributes come in any order
			if d := mustTake(t, c, of(user)); d.Node != owner {
				t.Fatalf("a call of %s went to %s, want its owner %s", user, d.Node, owner)
			}
		}
	}
}

// TestGuideWhileNodesGo asks from many callers while nodes fail and keys move.
func TestGuideWhileNodesGo(t *testing.T) {
	w := newWorld(t)
	o, nodes := startOwners(w, 100)
	c := w.dialed(false)
	var all sync.WaitGroup
	for caller := range 8 {
		all.Go(func() {
			for i := range 500 {
				if _, err := c.Take(t.Context(), keyed((i+caller)%100)); err != nil && !errors.Is(err, bucketring.ErrUnavailable) {
					t.Errorf("Take = %v", err)
				}
			}
		})
	}
	for i := range 100 {
		o.set(fmt.Sprint(i), "node-"+string(rune('a'+(i+1)%3)))
		nodes[i%3].set(away)
		nodes[i%3].set(o.at("node-" + string(rune('a'+i%3))))
	}
	all.Wait()
}
