package member

import (
	"context"
	"fmt"
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
	rings := uint64(0)
	heard := func(node string, fingerprint uint64, s int) {
		rings++
		a.heard(node, word{7, rings, fingerprint}, at(s))
	}
	want := func(s int, want time.Duration) {
		t.Helper()
		if got := a.lasts(at(s)); got != want {
			t.Errorf("after %d s the disagreement lasts %v, want %v", s, got, want)
		}
	}
	heard("b", two.Fingerprint, 0) // before this node has a ring
	want(100, 0)
	a.follow(two, at(100))
	want(200, 0)
	a.follow(three, at(200)) // b does not know c yet
	want(210, 0)
	want(211, 11*time.Second)
	heard("c", three.Fingerprint, 220) // another one's agreement changes nothing
	want(230, 30*time.Second)
	a.heard("b", word{7, 0, three.Fingerprint}, at(235)) // an earlier word that was overtaken
	want(240, 40*time.Second)
	heard("b", three.Fingerprint, 250)
	want(300, 0)
	heard("x", two.Fingerprint, 300) // no member
	want(400, 0)
	heard("c", two.Fingerprint, 400)
	want(420, 20*time.Second)
	a.follow(two, at(430)) // c has gone
	heard("b", two.Fingerprint, 431)
	want(500, 0)
	a.follow(three, at(500)) // it is back, and has not told since
	want(502, 0)
	heard("b", three.Fingerprint, 503)
	want(600, 0)
	heard("b", two.Fingerprint, 600)
	want(700, 100*time.Second)
	a.heard("b", word{8, 0, 0}, at(700)) // it has started again as an older version, which tells none
	want(800, 0)
}

// TestStrangersAreForgotten: what nodes say that are no members takes little memory.
func TestStrangersAreForgotten(t *testing.T) {
	r, err := ring.NewBuilder(ring.Placer{}, "a").Build([]ring.Member{{Name: "a", Addr: "a"}, {Name: "b", Addr: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	var a agreement
	a.follow(r, time.Unix(0, 0))
	a.heard("b", word{1, 1, 42}, time.Unix(0, 0))
	for i := range 3 * maxStrangers {
		a.heard(fmt.Sprint("x", i), word{1, 1, 1}, time.Unix(900, 0))
	}
	if n := len(a.theirs); n > maxStrangers+3 {
		t.Errorf("%d words are remembered, of two members and of strangers", n)
	}
	if a.theirs["b"].fingerprint != 42 {
		t.Errorf("the word of a member was forgotten for strangers")
	}
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
		return b.rings.theirs["a"].fingerprint != 0 && !b.rings.since.IsZero()
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
		return b.rings.theirs["a"].fingerprint == b.Node().Ring().Fingerprint
	}
	await("agreement", agreed)
	if agrees, told := b.RingOf("a"); !agrees || !told {
		t.Errorf("RingOf(a) = %v, %v, want agreement that was told", agrees, told)
	}
	if agrees, told := b.RingOf("x"); agrees || told {
		t.Errorf("RingOf a stranger = %v, %v, want nothing", agrees, told)
	}
	a.view.follow(42)
	await("disagreement", differs)
	if agrees, told := b.RingOf("a"); agrees || !told {
		t.Errorf("RingOf(a) = %v, %v, want disagreement that was told", agrees, told)
	}
	a.view.follow(a.Node().Ring().Fingerprint)
	await("agreement again", agreed)
}
