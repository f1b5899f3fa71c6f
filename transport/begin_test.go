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

// A beginner can be asked without waiting.
type beginner interface {
	Begin(req *bucketring.Request, deadline time.Time, w bucketring.Waiter) (id uint64)
	GiveUp(id uint64)
}

// told is a Waiter that keeps what it is told.
type told struct {
	mu    sync.Mutex
	times int // guarded by mu
	d     bucketring.Decision
	err   error
	at    time.Time
}

func (w *told) Answered(d *bucketring.Decision, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times++
	w.d, w.err, w.at = *d, err, time.Now()
}

// now is what was told so far.
func (w *told) now() (times int, d bucketring.Decision, at time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.times, w.d, w.at, w.err
}

// begin asks without waiting.
func begin(p *transport.Pool, h *host, key string, within time.Duration) *told {
	w := &told{}
	req := &bucketring.Request{Key: key, Limits: perMinute, Cost: 1}
	p.Peer(h.addr()).(beginner).Begin(req, time.Now().Add(within), w)
	return w
}

// TestBegin has many calls decided, each told once, by no more frames than others need.
func TestBegin(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		p := w.pool(h)
		mustTake(t, p, h, "first")
		var all []*told
		for i := range 500 {
			all = append(all, begin(p, h, fmt.Sprint(i), 25*time.Millisecond))
		}
		synctest.Wait()
		time.Sleep(time.Second)
		for i, w := range all {
			if times, d, _, err := w.now(); times != 1 || err != nil || !d.Allowed || h.owner.times(fmt.Sprint(i)) != 1 {
				t.Fatalf("call %d was told %d times: %+v, %v, want one decision", i, times, d, err)
			}
		}
		if s := linkStats(t, p); s.Answered != 501 || s.Failed != 0 || s.Frames > 250 {
			t.Errorf("Stats() = %+v, want 501 answers to fewer frames", s)
		}
	})
}

// TestBeginEnds at the deadline of each call, or a millisecond later with others.
func TestBeginEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		h.freeze()
		began := time.Now()
		var all []*told
		within := func(i int) time.Duration { return time.Duration(30-7*(i%4)) * time.Millisecond }
		for i := range 20 {
			all = append(all, begin(p, h, fmt.Sprint(i), within(i)))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		for i, w := range all {
			want := time.Duration(i)*time.Millisecond + within(i)
			times, _, at, err := w.now()
			if took := at.Sub(began); times != 1 || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, bucketring.ErrUnavailable) || took < want || took > want+time.Millisecond {
				t.Errorf("call %d was told %d times, %v after %v, want its deadline after %v", i, times, err, took, want)
			}
		}
		h.thaw()
		time.Sleep(time.Second)
		for i, w := range all {
			if times, _, _, _ := w.now(); times != 1 {
				t.Errorf("call %d was told %d times after its late answer, want once", i, times)
			}
		}
		if s := linkStats(t, p); s.Failed != 20 {
			t.Errorf("Stats() = %+v, want 20 failed", s)
		}
	})
}

// TestGiveUp: a call that waits to be sent is not sent any more.
func TestGiveUp(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		open := h.shut()
		p := w.pool(h)
		w1 := &told{}
		peer := p.Peer(h.addr()).(beginner)
		id := peer.Begin(&bucketring.Request{Key: "gone", Limits: perMinute, Cost: 1}, time.Now().Add(time.Minute), w1)
		stays := begin(p, h, "stays", time.Minute)
		peer.GiveUp(id)
		open()
		synctest.Wait()
		time.Sleep(5 * time.Second)
		if times, _, _, _ := w1.now(); times != 0 || h.owner.times("gone") != 0 {
			t.Errorf("a call that was given up was decided %d times and told %d times, want neither", h.owner.times("gone"), times)
		}
		if times, _, _, err := stays.now(); times != 1 || err != nil {
			t.Errorf("the call behind it was told %d times, %v, want a decision", times, err)
		}
	})
}

// TestBeginWhereNobodyIs is told at once.
func TestBeginWhereNobodyIs(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, p := established(t, w)
		h.freeze()
		waits := begin(p, h, "waits", time.Minute)
		h.stop()
		synctest.Wait()
		time.Sleep(5 * time.Second)
		after := begin(p, h, "after", time.Minute)
		wrong := &told{}
		p.Peer(h.addr()).(beginner).Begin(&bucketring.Request{Key: "k", Limits: make([]bucketring.Limit, 65)}, time.Now().Add(time.Minute), wrong)
		for name, w := range map[string]*told{"under way": waits, "later": after, "wrong": wrong} {
			if times, _, _, err := w.now(); times != 1 || err == nil {
				t.Errorf("call %s was told %d times, %v, want one error", name, times, err)
			}
		}
	})
}

// A farOwner has what is not its own decided elsewhere, by one goroutine for all.
type farOwner struct {
	promptOwner
	begun chan func()
}

func (o *farOwner) Begin(budget time.Duration, req *bucketring.Request, w bucketring.Waiter) bool {
	if req.Key == "slow:itself" {
		return false
	}
	o.begun <- func() {
		d, err := o.Take(context.Background(), *req)
		w.Answered(&d, err)
	}
	return true
}

// TestForwardedCallsShareMessages: answers that come together leave together.
func TestForwardedCallsShareMessages(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const calls = 400
		owner := &farOwner{begun: make(chan func(), calls)}
		c, server := streamClient(w, owner)
		var group sync.WaitGroup
		for i := range calls {
			group.Go(func() {
				req := bucketring.Request{Key: fmt.Sprint("slow:", i), Limits: perMinute, Cost: 1}
				if i == 7 {
					req.Key = "slow:itself"
				}
				if d, err := c.Take(t.Context(), req); err != nil || !d.Allowed {
					t.Errorf("Take(%q) = %+v, %v, want it allowed", req.Key, d, err)
				}
			})
		}
		synctest.Wait()
		_, before := server.of.Load().count()
		for range calls - 1 {
			(<-owner.begun)()
		}
		group.Wait()
		if _, sent := server.of.Load().count(); sent-before > calls/10 {
			t.Errorf("%d answers left in %d messages, want far fewer", calls, sent-before)
		}
	})
}
