package resp_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

// A gate is a Limiter that decides at once, but for keys that begin with "far": those
// wait until the gate is opened for one.
type gate struct {
	mu   sync.Mutex
	done []string // verb, key and cost of each call, when it takes effect
	far  int      // calls that have begun and wait
	pass chan struct{}
}

func (g *gate) note(req *bucketring.Request, d *bucketring.Decision) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done = append(g.done, fmt.Sprintf("%v %s %d", req.Verb, req.Key, req.Cost))
	*d = bucketring.Decision{Allowed: true, LimitState: bucketring.LimitState{ResetAfter: 1}}
	if req.Verb == bucketring.VerbStep {
		d.Values = resp.CounterStep(&bucketring.Register{}, req.Args)
	}
}

func (g *gate) Now() int64 { return 0 }

func (g *gate) TakeNow(_ int64, req *bucketring.Request, d *bucketring.Decision) bool {
	if strings.HasPrefix(req.Key, "far") {
		return false
	}
	g.note(req, d)
	return true
}

func (g *gate) Take(ctx context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
	g.mu.Lock()
	g.far++
	g.mu.Unlock()
	select {
	case <-g.pass:
		g.note(&req, &d)
		return d, nil
	case <-ctx.Done():
		return d, ctx.Err()
	}
}

// close makes an open gate wait again, and forgets what was done.
func (g *gate) close() { g.pass, g.done, g.far = make(chan struct{}), nil, 0 }

func (g *gate) expect(t *testing.T, far int, done ...string) {
	t.Helper()
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if diff := cmp.Diff(done, g.done); diff != "" || g.far != far {
		t.Errorf("%d calls have begun that wait, want %d; (-want +got)\n%s", g.far, far, diff)
	}
	g.done = nil
}

// throttled is a call of CL.THROTTLE by whose reply it can be told apart: id stands for
// the limit.
func throttled(key string, id, quantity int) string {
	return wire("CL.THROTTLE", key, strconv.Itoa(id-1), "1", "1", strconv.Itoa(quantity))
}

// bubble runs test in virtual time against a door for a gate, with little haste.
func bubble(t *testing.T, test func(*testing.T, *gate, *door)) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{pass: make(chan struct{})}
		d := open(t, resp.Config{Limiter: g, ForwardWithin: time.Hour, IdleTimeout: -1})
		defer d.close()
		test(t, g, d)
	})
}

func TestRepliesWaitAndNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, d *door) {
		c := d.client()
		c.send(wire("PING") + throttled("far", 10, 1) + throttled("a", 11, 2) + wire("ECHO", "x") + throttled("far", 12, 3) +
			throttled("far2", 13, 4) + throttled("a", 14, 5) + wire("DEL", "b", "far", "a") + throttled("c", 15, 6))
		if got := c.reply(); got != "+PONG\r\n" {
			t.Errorf("the first reply is %q", got)
		}
		// All is done but what waits for the far keys, of which each has begun once.
		g.expect(t, 2, "take a 2", "take a 5", "peek b 0", "step b 0", "reset b 0",
			"peek a 0", "step a 0", "reset a 0", "take c 6")

		ids := make(chan string, 10)
		go func() {
			defer close(ids)
			for range 8 {
				text, err := readReply(c.r)
				if err != nil {
					return
				}
				ids <- text
			}
		}()
		synctest.Wait()
		if len(ids) != 0 {
			t.Errorf("got %q before its turn", <-ids)
		}
		for range 6 { // far 10, far2, far 12, and DEL's peek, step and reset of far
			g.pass <- struct{}{}
			synctest.Wait()
		}
		var got []string
		for text := range ids {
			got = append(got, text)
		}
		throttle := func(id int64) string { return numbers(0, id, 0, -1, 1) }
		if diff := cmp.Diff([]string{throttle(10), throttle(11), bulk("x"), throttle(12), throttle(13), throttle(14),
			":3\r\n", throttle(15)}, got); diff != "" {
			t.Errorf("replies (-want +got)\n%s", diff)
		}
		var far []string
		for _, call := range g.done {
			if strings.Contains(call, "far ") {
				far = append(far, call)
			}
		}
		if diff := cmp.Diff([]string{"take far 1", "take far 3", "peek far 0", "step far 0", "reset far 0"}, far); diff != "" {
			t.Errorf("calls on one key (-want +got)\n%s", diff)
		}
	})
}

// TestBoundInFlight sends more commands for other nodes than may be in flight.
func TestBoundInFlight(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, d *door) {
		c := d.client()
		const more = 100
		go func() {
			for i := range resp.MaxInFlight + more {
				if _, err := io.WriteString(c, throttled(fmt.Sprint("far", i), i+1, 1)); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if g.far != resp.MaxInFlight {
			t.Errorf("%d commands are in flight, want %d", g.far, resp.MaxInFlight)
		}
		close(g.pass)
		for i := range resp.MaxInFlight + more {
			if got, want := c.reply(), numbers(0, int64(i+1), 0, -1, 1); got != want {
				t.Fatalf("reply %d is %q, want %q", i, got, want)
			}
		}
	})
}

// TestBoundBehindOne counts those too that are done and wait behind another, and each
// of them only as long as it waits.
func TestBoundBehindOne(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, d *door) {
		c := d.client()
		for range 3 {
			g.close()
			go func() {
				_, _ = io.WriteString(c, throttled("far", 1, 1))
				for i := range 2 * resp.MaxInFlight {
					_, _ = io.WriteString(c, throttled(fmt.Sprint(i), i+1, 1))
				}
			}()
			synctest.Wait()
			if len(g.done) != resp.MaxInFlight-1 {
				t.Errorf("%d commands are done behind one, want %d", len(g.done), resp.MaxInFlight-1)
			}
			close(g.pass)
			for range 2*resp.MaxInFlight + 1 {
				c.reply()
			}
		}
	})
}

// TestBoundOfHeldReplies fills the place behind a command with large replies: that is
// no fault of the client, so it must wait and not be cut off.
func TestBoundOfHeldReplies(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, d *door) {
		c := d.client()
		const echoes = resp.MaxUnread >> 17 // half of what may be unread
		text := strings.Repeat("x", 1<<16)
		for range 3 {
			g.close()
			sent := 0
			go func() {
				_, _ = io.WriteString(c, throttled("far", 1, 1))
				for ; sent < echoes; sent++ {
					_, _ = io.WriteString(c, wire("ECHO", text))
				}
			}()
			synctest.Wait()
			if sent < 12 || sent > 24 {
				t.Errorf("%d replies of 64 KiB were made, want 1 MiB", sent)
			}
			close(g.pass)
			c.reply()
			for range echoes {
				if c.reply() != bulk(text) {
					t.Fatal("a reply is torn")
				}
			}
		}
	})
}

func TestBoundOfUnreadReplies(t *testing.T) {
	bubble(t, func(t *testing.T, _ *gate, d *door) {
		c := d.client()
		sent, text := 0, wire("ECHO", strings.Repeat("x", 1<<16))
		for {
			if n, err := io.WriteString(c, text); err != nil {
				break
			} else {
				sent += n
			}
		}
		if sent < resp.MaxUnread || sent > resp.MaxUnread+1<<20 {
			t.Errorf("cut off after %d bytes", sent)
		}
		synctest.Wait()
		if n := d.Stats().Connections; n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// TestRandomWaits lets a Limiter take its time with some calls, each on its own
// goroutine, and looks whether replies and effects are in order all the same.
func TestRandomWaits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := rapid.SliceOfN(rapid.IntRange(0, 23), 1, 60).Draw(rt, "plan") // key and slowness
		var mu sync.Mutex
		effects := map[string][]int64{}
		decide := func(req *bucketring.Request, d *bucketring.Decision) {
			mu.Lock()
			defer mu.Unlock()
			effects[req.Key] = append(effects[req.Key], req.Cost)
			d.Allowed = req.Limits[0].Burst == req.Cost // as throttled made them
		}
		d := open(t, resp.Config{Limiter: immediate{
			func(_ context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
				for range plan[req.Cost-1] {
					runtime.Gosched()
				}
				decide(&req, &d)
				return d, nil
			},
			func(req *bucketring.Request, d *bucketring.Decision) bool {
				if plan[req.Cost-1]/4%2 == 1 {
					return false
				}
				decide(req, d)
				return true
			},
		}})
		defer d.close()
		c, want, text := d.client(), map[string][]int64{}, ""
		for i, p := range plan {
			key := fmt.Sprint("key", p%4)
			want[key] = append(want[key], int64(i+1))
			text += throttled(key, i+1, i+1)
		}
		go func() { _, _ = io.WriteString(c, text) }()
		for i := range plan {
			if got := c.reply(); got != numbers(0, int64(i+1), 0, -1, 0) {
				rt.Fatalf("reply %d is %q", i, got)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(want, effects); diff != "" {
			rt.Fatalf("effects (-want +got)\n%s", diff)
		}
	})
}
