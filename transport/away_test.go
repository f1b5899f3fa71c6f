package transport_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring/transport"
)

func TestRefusedPeerFailsAtOnceAndRecovers(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2")
		p := w.pool(h)
		for range 100 { // for many attempts to dial
			begin := time.Now()
			_, err := take(p, h, "alice")
			wantUnavailable(t, "alice", err)
			if took := time.Since(begin); took != 0 {
				t.Fatalf("Take from a peer that refuses took %v, want 0", took)
			}
			time.Sleep(37 * time.Millisecond)
		}
		if got := h.dialed(); got < 4 || got > 20 {
			t.Errorf("%d dials in 3.7 s, want 4 to 20: waits double up to a second", got)
		}
		h.start()
		begin := time.Now()
		for {
			if _, err := take(p, h, "alice"); err == nil {
				break
			}
			if time.Since(begin) > 1600*time.Millisecond {
				t.Fatal("the peer is back for 1.6 s, Take still fails")
			}
			time.Sleep(10 * time.Millisecond)
		}
		if s := linkStats(t, p); !s.Up {
			t.Errorf("Stats() = %+v, want it up", s)
		}
	})
}

// TestPeerThatDiesFailsAllCalls: calls under way do not wait for one that is gone.
func TestPeerThatDiesFailsAllCalls(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		h.freeze()
		failed := make(chan error)
		go func() {
			_, err := take(p, h, "alice")
			failed <- err
		}()
		synctest.Wait()
		begin := time.Now()
		h.stop()
		wantUnavailable(t, "alice", <-failed)
		_, err := take(p, h, "bob")
		wantUnavailable(t, "bob", err)
		if took := time.Since(begin); took != 0 {
			t.Errorf("calls failed after %v, want 0", took)
		}
		if s := linkStats(t, p); s.Up || s.Reconnects != 1 || s.Failed != 2 || s.Answered != 1 {
			t.Errorf("Stats() = %+v, want it down, 1 reconnect, 1 answered, 2 failed", s)
		}
	})
}

func TestUnreachablePeer(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := &host{w: w, cfg: transport.PeerConfig{Node: "nowhere"}} // dialing brings no answer at all
		p := w.pool(h)
		begin := time.Now()
		_, err := takeWithin(p, h, "alice", 25*time.Millisecond)
		wantUnavailable(t, "alice", err)
		if took := time.Since(begin); took != 25*time.Millisecond {
			t.Errorf("Take took %v, want its 25ms", took)
		}
		_, err = take(p, h, "bob") // waits until the attempt is given up
		wantUnavailable(t, "bob", err)
		if took := time.Since(begin); took > 1100*time.Millisecond {
			t.Errorf("Take without a deadline took %v, want about a second", took)
		}
	})
}

func TestSilentPeer(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		h.freeze()
		begin := time.Now()
		_, err := takeWithin(p, h, "1", 25*time.Millisecond)
		if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took != 25*time.Millisecond {
			t.Errorf("Take from a peer just silent = %v after %v, want its deadline after 25ms", err, took)
		}
		wantUnavailable(t, "1", err)
		time.Sleep(transport.Silence)
		begin = time.Now()
		_, err = takeWithin(p, h, "2", 25*time.Millisecond)
		wantUnavailable(t, "2", err)
		if took := time.Since(begin); took != 0 {
			t.Errorf("Take from a peer silent for long took %v, want 0", took)
		}
		if s := linkStats(t, p); s.Up {
			t.Errorf("Stats() = %+v, want it down", s)
		}
		h.thaw()
		time.Sleep(51 * time.Millisecond) // a ping
		if _, err := takeWithin(p, h, "3", 25*time.Millisecond); err != nil {
			t.Errorf("Take after frames flow again = %v, want a decision", err)
		}
		if s := linkStats(t, p); !s.Up || s.Reconnects != 0 || h.owner.times("2") != 0 {
			t.Errorf("Stats() = %+v, want the same link up", s)
		}
	})
}

// TestConnectionThatIsDeadEnds: a call without a deadline does not hang for ever
// on a peer that fell silent for good.
func TestConnectionThatIsDeadEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		h.freeze()
		begin := time.Now()
		mustTake(t, p, h, "alice")
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("Take took %v, want the connection given up in 20s", took)
		}
		if s := linkStats(t, p); s.Reconnects != 1 || h.owner.times("alice") != 1 {
			t.Errorf("Stats() = %+v, decided %d times, want a new link and one decision", s, h.owner.times("alice"))
		}
	})
}

// TestPeerThatIsNotTheOneMeant: whoever answers must be the one that was meant.
func TestPeerThatIsNotTheOneMeant(t *testing.T) {
	for name, cfg := range map[string]transport.PeerConfig{
		"other name":     {Node: "n3", RingSettings: 7},
		"other settings": {Node: "n2", RingSettings: 8},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				h := w.host("n2")
				h.server = transport.NewPeerServer(cfg, h.owner)
				h.start()
				p := w.pool(h)
				_, err := take(p, h, "alice")
				wantUnavailable(t, "alice", err)
				if h.owner.total() != 0 {
					t.Errorf("it was asked, want no call before the greeting")
				}
			})
		})
	}
}

// TestPauseOfThisNode: after a pause of its own a node has read nothing either.
// That is no silence of the peer.
func TestPauseOfThisNode(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		synctest.Wait() // no frame is on its way
		p.Age(h.addr(), time.Second, false)
		_, err := take(p, h, "alice")
		wantUnavailable(t, "alice", err)
		time.Sleep(time.Second) // frames come again
		mustTake(t, p, h, "alice")
		p.Age(h.addr(), time.Second, true)
		mustTake(t, p, h, "alice")
	})
}

// TestLinkAtRest says little, notices a peer that is gone nevertheless, and wakes at once.
func TestLinkAtRest(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		mustTake(t, p, h, "alice")
		p.Rest(true)
		time.Sleep(10 * time.Second)
		before := h.stats.received()
		time.Sleep(10 * time.Second)
		if got := h.stats.received() - before; got < 9 || got > 11 {
			t.Errorf("%d frames came in 10 s of rest, want 10", got)
		}
		time.Sleep(500 * time.Millisecond) // half-way between two pings
		h.freeze()
		begin := time.Now()
		for no := 0; ; no++ {
			if _, err := takeWithin(p, h, fmt.Sprint(no), 25*time.Millisecond); err == nil {
				t.Fatal("a frozen peer has decided")
			} else if !errors.Is(err, context.DeadlineExceeded) {
				break
			}
		}
		if took := time.Since(begin); took > transport.Silence {
			t.Errorf("a link that was at rest was noticed to be silent after %v of use, want %v at most", took, transport.Silence)
		}
		h.thaw()
		time.Sleep(10 * time.Second)
		if s := linkStats(t, p); !s.Up {
			t.Errorf("Stats() = %+v of a link at rest, want it up", s)
		}
		h.freeze()
		time.Sleep(1300 * time.Millisecond)
		if s := linkStats(t, p); s.Up {
			t.Errorf("Stats() = %+v of a link at rest whose peer is frozen for 1.3 s, want it down", s)
		}
		h.thaw()
		time.Sleep(time.Second)
		before = h.stats.received()
		p.Rest(false) // something happens elsewhere on this node
		time.Sleep(time.Second)
		if got := h.stats.received() - before; got < 19 {
			t.Errorf("%d frames came in 1 s after a rest, want 20", got)
		}
	})
}
