package member

import (
	"context"
	"testing"
	"time"

	"github.com/bucketring/bucketring/ring"
)

// TestDisagreement: other members' rings count from the moment at which the first differs,
// once it has done so for more than 10 s.
func TestDisagreement(t *testing.T) {
	began := time.Unix(1_000_000, 0)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	build := func(names ...string) *ring.Ring {
		var all []ring.Member
		for _, name := range names {
			all = append(all, ring.Member{Name: name, Addr: name})
		}
		r, err := ring.NewBuilder(ring.Placer{}, "a").Build(all)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	two, three := build("a", "b"), build("a", "b", "c")
	var a agreement
	want := func(s int, want time.Duration) {
		t.Helper()
		if got := a.lasts(at(s)); got != want {
			t.Errorf("after %d s the disagreement lasts %v, want %v", s, got, want)
		}
	}
	a.heard("b", two.Fingerprint, at(0)) // before this node has a ring
	want(100, 0)
	a.follow(two, at(100))
	want(200, 0)
	a.follow(three, at(200)) // b does not know c yet
	want(210, 0)
	want(211, 11*time.Second)
	a.heard("c", three.Fingerprint, at(220)) // another one's agreement changes nothing
	want(230, 30*time.Second)
	a.heard("b", 0, at(240)) // an old node tells none
	want(240, 40*time.Second)
	a.heard("b", three.Fingerprint, at(250))
	want(300, 0)
	a.heard("x", two.Fingerprint, at(300)) // no member
	want(400, 0)
	a.heard("c", two.Fingerprint, at(400))
	want(420, 20*time.Second)
	a.follow(two, at(430)) // c has gone
	a.heard("b", two.Fingerprint, at(431))
	want(500, 0)
	a.follow(three, at(500)) // it is back, and has not told since
	want(502, 0)
	a.heard("b", three.Fingerprint, at(503))
	want(600, 0)
}

// TestOthersHearOfRings: what a node tells of its ring reaches the other over their link.
func TestOthersHearOfRings(t *testing.T) {
	start := func(name string, join ...string) *Member {
		m, err := Start(t.Context(), Config{Name: name, Gossip: "127.0.0.1:0", Join: join})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close(context.Background()) })
		return m
	}
	a := start("a")
	b := start("b", a.Cluster().Addr())
	differs := func() bool {
		b.rings.mu.Lock()
		defer b.rings.mu.Unlock()
		return b.rings.theirs["a"] != 0 && !b.rings.since.IsZero()
	}
	await := func(what string, there func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !there(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is still to come after 20 s", what)
			}
		}
	}
	agreed := func() bool {
		b.rings.mu.Lock()
		defer b.rings.mu.Unlock()
		return b.rings.theirs["a"] == b.Node().Ring().Fingerprint
	}
	await("agreement", agreed)
	a.view.follow(42)
	await("disagreement", differs)
	a.view.follow(a.Node().Ring().Fingerprint)
	await("agreement again", agreed)
}
