package transport_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
)

func TestRetain(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		stays, goes := w.host("n2").start(), w.host("n3").start()
		p := w.pool(stays, goes)
		mustTake(t, p, stays, "k")
		mustTake(t, p, goes, "k")
		goes.freeze()
		stays.freeze()
		failed := make(chan error)
		go func() {
			_, err := take(p, goes, "pending")
			failed <- err
		}()
		answered := make(chan error)
		go func() {
			_, err := take(p, stays, "pending")
			answered <- err
		}()
		synctest.Wait()
		begin := time.Now()
		p.Retain([]transport.Target{stays.target()})
		wantUnavailable(t, "pending", <-failed)
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("call on a link that goes failed after %v, want 5s", took)
		}
		_, err := take(p, goes, "k")
		wantUnavailable(t, "k", err)
		stays.thaw()
		if err := <-answered; err != nil {
			t.Errorf("Take on a link that stays = %v, want a decision", err)
		}
		if s := linkStats(t, p); s.Peer != "n2" || s.Answered != 2 || stays.dialed() != 1 {
			t.Errorf("Stats() = %+v after %d dials, want the old link to n2", s, stays.dialed())
		}
	})
}

// TestPeerThatComesBackGetsNoOldVerdicts: the peer remembers the verdicts of
// the link before, so calls on the new one must not look like those.
func TestPeerThatComesBackGetsNoOldVerdicts(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		h.owner.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			d := allow(req)
			d.Allowed = req.Key[:3] == "old"
			return d, nil
		}
		p := w.pool(h)
		for i := range 20 {
			mustTake(t, p, h, fmt.Sprint("old ", i))
		}
		p.Retain(nil)
		p.Retain([]transport.Target{h.target()})
		for i := range 20 {
			key := fmt.Sprint("new ", i)
			if d := mustTake(t, p, h, key); d.Allowed || h.owner.times(key) != 1 {
				t.Fatalf("Take(%q) = %+v, decided %d times, want it decided and denied", key, d, h.owner.times(key))
			}
		}
	})
}

// TestPeerWithAnotherNameAtTheAddress: the name decides whether a link is the same.
func TestPeerWithAnotherNameAtTheAddress(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		p := w.pool(h)
		mustTake(t, p, h, "k")
		p.Retain([]transport.Target{{Name: "n9", Addr: h.addr()}})
		_, err := take(p, h, "k")
		wantUnavailable(t, "k", err)
	})
}

func TestNoLink(t *testing.T) {
	p := transport.NewPool(transport.PeerConfig{Node: "n1"})
	_, err := p.Peer("10.0.0.9:7755").Take(t.Context(), bucketring.Request{Key: "k", Limits: perMinute, Cost: 1})
	wantUnavailable(t, "k", err)
	p.Close()
	p.Close()
	p.Retain([]transport.Target{{Name: "n2", Addr: "10.0.0.9:7755"}})
	if got := p.Stats(); len(got) != 0 {
		t.Errorf("Stats() of a closed pool = %v, want no links", got)
	}
}

// TestCloseEndsEverything: in each state of a link Close returns at once, calls
// end, and the bubble finds no goroutine left.
func TestCloseEndsEverything(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		linked, down, silent := w.host("n2").start(), w.host("n3"), w.host("n4").start()
		unreachable := &host{w: w, cfg: transport.PeerConfig{Node: "nowhere"}}
		p := w.pool(linked, down, silent, unreachable)
		mustTake(t, p, linked, "k")
		mustTake(t, p, silent, "k")
		silent.freeze()
		var group sync.WaitGroup
		for _, h := range []*host{silent, unreachable, down} {
			group.Go(func() {
				_, err := take(p, h, "pending")
				wantUnavailable(t, "pending", err)
			})
		}
		synctest.Wait()
		held := p.Peer(linked.addr())
		begin := time.Now()
		p.Close()
		group.Wait()
		if took := time.Since(begin); took != 0 {
			t.Errorf("Close took %v, want 0", took)
		}
		_, err := held.Take(t.Context(), bucketring.Request{Key: "k", Limits: perMinute, Cost: 1})
		wantUnavailable(t, "k", err)
		if linked.owner.times("k") != 1 {
			t.Errorf("a call went out after Close")
		}
	})
}

// TestChangesWhileCallsRun is for the race detector and for calls that hang.
func TestChangesWhileCallsRun(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a, b := w.host("n2").start(), w.host("n3").start()
		p := w.pool(a, b)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				for ctx.Err() == nil {
					h := []*host{a, b}[i%2]
					_, err := takeWithin(p, h, "k", 25*time.Millisecond)
					if err != nil && !errors.Is(err, bucketring.ErrUnavailable) {
						t.Errorf("Take = %v, want a decision or ErrUnavailable", err)
					}
					p.Stats()
					time.Sleep(time.Millisecond)
				}
			})
		}
		for i := range 300 {
			switch i % 4 {
			case 0:
				p.Retain([]transport.Target{a.target()})
			case 1:
				p.Retain([]transport.Target{a.target(), b.target()})
			case 2:
				b.cut()
			case 3:
				a.cut()
			}
			time.Sleep(7 * time.Millisecond)
		}
		p.Close()
		cancel()
		group.Wait()
	})
}
