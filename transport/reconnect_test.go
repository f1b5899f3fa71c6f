package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
)

// established makes a link that is old enough to be made again at once.
func established(t *testing.T, w *world) (*host, *transport.Pool) {
	t.Helper()
	h := w.host("n2").start()
	p := w.pool(h)
	mustTake(t, p, h, "first")
	time.Sleep(2 * time.Second)
	return h, p
}

// TestUnansweredCallsAreDecidedOnce loses the verdicts of calls that were
// decided, and a few calls that were not sent yet.
func TestUnansweredCallsAreDecidedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		const calls = 500
		h.freeze()
		var group sync.WaitGroup
		for i := range calls {
			group.Go(func() {
				d, err := take(p, h, fmt.Sprint(i))
				if err != nil || !d.Allowed {
					t.Errorf("Take(%d) = %+v, %v, want it allowed", i, d, err)
				}
			})
		}
		synctest.Wait()
		if got := h.owner.total(); got != calls+1 {
			t.Fatalf("%d calls decided before the break, want %d", got, calls+1)
		}
		h.cut()
		group.Wait()
		for i := range calls {
			if got := h.owner.times(fmt.Sprint(i)); got != 1 {
				t.Errorf("Take(%d) was decided %d times, want once", i, got)
			}
		}
		s, served := linkStats(t, p), h.server.Stats()
		if s.Reconnects != 1 || served.Repeated != calls || served.Decided != calls+1 {
			t.Errorf("link %+v, server %+v, want one break and %d repeated calls", s, served, calls)
		}
	})
}

// TestMoreUnansweredCallsThanMemory: the verdicts of the oldest are no longer
// known, so their callers get an error and nobody a second decision.
func TestMoreUnansweredCallsThanMemory(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		const calls = transport.Remembered + 100
		h.freeze()
		var mu sync.Mutex
		lost := 0
		var group sync.WaitGroup
		for i := range calls {
			group.Go(func() {
				if _, err := take(p, h, fmt.Sprint(i)); err != nil {
					wantUnavailable(t, fmt.Sprint(i), err)
					mu.Lock()
					lost++
					mu.Unlock()
				}
			})
		}
		synctest.Wait()
		h.cut()
		group.Wait()
		if lost != 100 || h.owner.total() != calls+1 {
			t.Errorf("%d calls lost and %d decided, want 100 and %d", lost, h.owner.total(), calls+1)
		}
	})
}

// TestCallThatIsBeingDecidedIsNotDecidedAgain breaks the link while the owner
// works on a call.
func TestCallThatIsBeingDecidedIsNotDecidedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		busy := make(chan struct{})
		h.owner.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			<-busy
			return allow(req), nil
		}
		failed := make(chan error)
		go func() {
			_, err := take(p, h, "slow")
			failed <- err
		}()
		synctest.Wait()
		h.cut()
		wantUnavailable(t, "slow", <-failed)
		close(busy)
		synctest.Wait()
		if got := h.owner.times("slow"); got != 1 {
			t.Errorf("decided %d times, want once", got)
		}
	})
}

func TestCallWithoutCallerIsNotSentAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		h.freeze()
		if _, err := takeWithin(p, h, "gone", 25*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Take from a silent peer = %v, want DeadlineExceeded", err)
		}
		before := linkStats(t, p).Items
		h.cut()
		synctest.Wait()
		mustTake(t, p, h, "next")
		if s := linkStats(t, p); s.Items != before+1 || h.server.Stats().Repeated != 0 {
			t.Errorf("%d calls were sent after the break, want only the next one", s.Items-before)
		}
	})
}

// TestQueuedCallWithoutCallerIsNotSent fills the link to a busy owner, so that
// calls queue, with callers that do not wait.
func TestQueuedCallWithoutCallerIsNotSent(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		busy := make(chan struct{})
		h.owner.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			<-busy
			return allow(req), nil
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		const calls = 5000
		for range calls {
			req := bucketring.Request{Key: strings.Repeat("k", bucketring.MaxKeyLen), Limits: perMinute, Cost: 1}
			if _, err := p.Peer(h.addr()).Take(gone, req); err == nil {
				t.Fatal("Take whose caller is gone brought a decision")
			}
		}
		synctest.Wait() // the link carries no more
		close(busy)
		mustTake(t, p, h, "next")
		if got := h.owner.total(); got > calls/2 {
			t.Errorf("%d of %d calls without callers were sent, want few", got, calls)
		}
	})
}

// TestBusyOwnerDoesNotDecideLate: what a caller waits for travels along, so a call
// that lay too long at the owner's door is not charged.
func TestBusyOwnerDoesNotDecideLate(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		h.owner.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			if req.Key == "busy" {
				time.Sleep(30 * time.Millisecond)
			}
			return allow(req), nil
		}
		go take(p, h, "busy")
		synctest.Wait()
		go take(p, h, "patient")
		_, err := takeWithin(p, h, "late", 25*time.Millisecond)
		wantUnavailable(t, "late", err)
		time.Sleep(time.Second)
		if late, patient := h.owner.times("late"), h.owner.times("patient"); late != 0 || patient != 1 {
			t.Errorf("decided the late call %d times and the patient one %d times, want 0 and 1", late, patient)
		}
		if got := h.server.Stats().Late; got != 1 {
			t.Errorf("Late = %d, want 1", got)
		}
	})
}

// flaky is a network that breaks every connection after some bytes.
type flaky struct {
	net.Conn
	left int
}

func (f *flaky) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if f.left -= n; f.left < 0 {
		f.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// TestNothingIsDecidedTwiceOnABadNetwork: whatever breaks when, a call has one
// decision at most, and exactly one if its caller got an answer.
func TestNothingIsDecidedTwiceOnABadNetwork(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		var dialed atomic.Int32 // a link may be made again while the test reads on
		p := transport.NewPool(transport.PeerConfig{
			Node: "n1", Boot: one, RingSettings: 7,
			Dial: func(ctx context.Context, addr string) (net.Conn, error) {
				conn, err := w.dial(ctx, addr)
				if err != nil {
					return nil, err
				}
				return &flaky{conn, 8000 + 777*int(dialed.Add(1))}, nil
			},
		})
		t.Cleanup(p.Close)
		p.Retain([]transport.Target{h.target()})
		answered := map[string]int{}
		var mu sync.Mutex
		var group sync.WaitGroup
		for caller := range 8 {
			group.Go(func() {
				for i := range 200 {
					key := fmt.Sprintf("%d-%d", caller, i)
					_, err := takeWithin(p, h, key, time.Second)
					if err == nil {
						mu.Lock()
						answered[key] = 1
						mu.Unlock()
					} else {
						wantUnavailable(t, key, err)
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		group.Wait()
		p.Close()
		synctest.Wait() // nothing is under way any more
		breaks := dialed.Load()
		for key, times := range h.owner.seen {
			if times != 1 {
				t.Errorf("Take(%q) was decided %d times, want once at most", key, times)
			}
		}
		got := map[string]int{}
		for key := range answered {
			got[key] = h.owner.times(key)
		}
		if diff := cmp.Diff(answered, got); diff != "" {
			t.Errorf("decisions of calls that were answered (-want +got):\n%s", diff)
		}
		if breaks < 3 || len(answered) < 400 {
			t.Errorf("%d links, %d calls answered: want a few breaks and most answered", breaks, len(answered))
		}
		t.Logf("%d links, %d of 1600 calls answered, %d repeated", breaks, len(answered), h.server.Stats().Repeated)
	})
}
