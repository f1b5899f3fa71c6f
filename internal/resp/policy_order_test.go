package resp_test

import (
	"context"
	"fmt"
	"io"
	"math/big"
	"slices"
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

// A hall is a Limiter whose calls about a user "far", or an id, wait until they are let in.
type hall struct {
	mu   sync.Mutex
	done []string // guarded by mu
	pass chan struct{}
	size int // limits in a usage
}

func (h *hall) Take(ctx context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
	if req.Attributes["user"] == "far" || len(req.IDs) > 0 {
		select {
		case <-h.pass:
		case <-ctx.Done():
			return d, ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = append(h.done, fmt.Sprint(req.Verb, " ", req.Cost, strings.Join(req.IDs, " ")))
	d = bucketring.Decision{Allowed: true, LimitState: bucketring.LimitState{Name: "l", Limit: req.Cost}, Leases: req.IDs}
	if req.Verb == bucketring.VerbUsage {
		d.Limits = slices.Repeat([]bucketring.LimitState{{Name: strings.Repeat("n", 7000)}}, h.size)
	}
	return d, nil
}

func (h *hall) expect(t *testing.T, done ...string) {
	t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.Sort(h.done)
	if diff := cmp.Diff(done, h.done); diff != "" {
		t.Errorf("done so far (-want +got)\n%s", diff)
	}
	h.done = nil
}

func hallBubble(t *testing.T, size int, test func(*testing.T, *hall, *client)) {
	synctest.Test(t, func(t *testing.T) {
		h := &hall{pass: make(chan struct{}), size: size}
		d := open(t, resp.Config{Limiter: h, ForwardWithin: time.Hour, IdleTimeout: -1})
		defer d.close()
		test(t, h, d.client())
	})
}

// Calls about one caller, and about one lease, take effect in their order; others go on, and
// only their replies wait.
func TestPolicyOrder(t *testing.T) {
	hallBubble(t, 0, func(t *testing.T, h *hall, c *client) {
		once, again := []string{"RL.TAKE", "s", "user", "far"}, []string{"RL.PEEK", "s"} // the same in another order
		for i := range 20 {
			once = append(once, fmt.Sprint("a", i), "v")
			again = append(again, fmt.Sprint("a", 19-i), "v")
		}
		c.send(wire(append(once, "COST", "1")...) + wire("RL.TAKE", "s", "user", "near", "COST", "2") +
			wire(append(again, "user", "far", "COST", "3")...) + wire("PING") + wire("RL.TAKE", "s", "user", "near2", "COST", "4") +
			wire("RL.RENEW", leaseA, leaseB) + wire("RL.RELEASE", leaseA) + wire("RL.SETTLE", leaseA, "5") + wire("RL.TAKE", "s", "COST", "6"))
		h.expect(t, "take 2", "take 4", "take 6")
		replies := make(chan string, 9)
		go func() {
			for range cap(replies) {
				text, _ := readReply(c.r)
				replies <- text
			}
		}()
		synctest.Wait()
		if len(replies) != 0 {
			t.Errorf("%q came before its turn", <-replies)
		}
		// Three wait at the door, each the first about its subject. Whichever is let in, those
		// about one lease, or one caller, do not overtake.
		var all []string
		for range 6 {
			h.pass <- struct{}{}
			synctest.Wait()
			h.mu.Lock()
			all = append(all, h.done...)
			h.done = nil
			h.mu.Unlock()
		}
		for _, order := range [][]string{{"take 1", "peek 3"}, {"renew 0" + leaseA, "release 0" + leaseA, "settle 5" + leaseA}} {
			last := -1
			for _, call := range order {
				at := slices.Index(all, call)
				if at <= last {
					t.Errorf("%q is at %d of %q, want it after %d", call, at, all, last)
				}
				last = at
			}
		}
		for i, want := range []string{"limit :1", "limit :2", "limit :3", "+PONG", "limit :4", ":2", ":1", "+OK", "limit :6"} {
			if got := strings.ReplaceAll(<-replies, "\r\n", " "); !strings.Contains(got, want) {
				t.Errorf("reply %d is %q, want %q in it", i, got, want)
			}
		}
	})
}

// Replies that are made and wait behind one are bounded, without fault of the client, and
// each only as long as it waits.
func TestBoundOfHeldUsage(t *testing.T) {
	const size, calls = 10, 60 // 70 kB each, in all half of what may be unread
	hallBubble(t, size, func(t *testing.T, h *hall, c *client) {
		for range 2 {
			h.pass = make(chan struct{})
			c.send(wire("RL.TAKE", "s", "user", "far"))
			next, sent := make(chan int, calls), 0
			go func() {
				for i := range next {
					_, _ = io.WriteString(c, wire("RL.USAGE", "s", "user", fmt.Sprint(i)))
					sent++
				}
			}()
			for i := range calls {
				next <- i
				synctest.Wait() // for each reply before the next command
			}
			close(next)
			if sent < 10 || sent > 30 {
				t.Errorf("%d replies of 70 kB were made, want 1 MiB", sent)
			}
			close(h.pass)
			for range calls + 1 {
				c.reply()
			}
		}
	})
}

// A tenant is a Guard for tokens of one namespace, whose ids are others outside.
type tenant struct{ tokens }

func (g tenant) May(ctx context.Context, of bucketring.Scope, namespace string) error {
	if namespace != "shop" {
		return fmt.Errorf("%w: not for namespace %q", bucketring.ErrForbidden, namespace)
	}
	return g.tokens.May(ctx, of, namespace)
}

func (g tenant) Hide(ctx context.Context, leases []string, reservation string) ([]string, string) {
	if g.Known(ctx) != nil {
		return nil, ""
	}
	hidden := []string{}
	for _, id := range leases {
		hidden = append(hidden, strings.ToLower(id))
	}
	return hidden, strings.ToLower(reservation)
}

func (g tenant) Reveal(ctx context.Context, ids []string) ([]string, error) {
	var shown []string
	for _, id := range ids {
		shown = append(shown, strings.ToUpper(id))
	}
	return shown, g.May(ctx, bucketring.ScopeTake, "shop")
}

// A token for a namespace is good there and nowhere else, and what its holder is told of
// leases is its own.
func TestPolicyTenants(t *testing.T) {
	lower, upper := strings.Repeat("a", 24), strings.Repeat("A", 24)
	var asked []string
	door := open(t, resp.Config{
		Guard: tenant{tokens{"good": bucketring.ScopeTake, "reader": bucketring.ScopeRead}},
		Limiter: limiterFunc(func(_ context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
			asked = append(asked, req.IDs...)
			if d.Leases = req.IDs; req.Verb == bucketring.VerbTake {
				d = bucketring.Decision{Allowed: true, Leases: []string{upper}, Reservation: upper}
			}
			return d, nil
		}),
	})
	defer door.close()
	c := door.client()
	c.talk(
		said{"RL.TAKE shop", noAuth}, said{"AUTH good", ok},
		said{"RL.TAKE other", "-NOPERM bucketring: forbidden: not for namespace \"other\"\r\n"},
		said{"CL.THROTTLE k 1 1 1", "-NOPERM bucketring: forbidden: not for namespace \"\"\r\n"},
		said{"RL.RENEW " + lower, ":1\r\n"}, said{"RL.RELEASE " + lower + " " + lower, ":2\r\n"}, said{"RL.SETTLE " + lower + " 1", ok},
	)
	if got := c.do("RL.TAKE", "shop"); !strings.HasSuffix(got, spelled(2, "", "leases *1 "+lower+" reservation "+lower)) {
		t.Errorf("RL.TAKE = %q, want ids in small letters", got)
	}
	if diff := cmp.Diff([]string{upper, upper, upper, upper}, asked); diff != "" {
		t.Errorf("ids that the Limiter was asked for (-want +got)\n%s", diff)
	}
	c.talk(said{"AUTH reader", ok}, said{"RL.USAGE shop", "*0\r\n"})
	for _, command := range []string{"RL.TAKE shop", "RL.RENEW " + lower, "RL.SETTLE " + lower + " 1"} {
		if got := c.do(strings.Fields(command)...); !strings.HasPrefix(got, "-NOPERM ") {
			t.Errorf("%s with a token that reads = %q", command, got)
		}
	}
	c.talk(said{"AUTH good", ok})
	if got := c.do("RL.USAGE", "shop"); !strings.HasPrefix(got, "-NOPERM ") {
		t.Errorf("RL.USAGE with a token that takes = %q", got)
	}
}

// An amount is the least number of billionths that is not below the text.
func TestParseAmount(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`(0|[0-9]{1,3}|9223372036854775807)(\.[09]{0,12}[0-9]{1,3})?`).Draw(rt, "text")
		exact, _ := new(big.Rat).SetString(text)
		want := roundedUp(times(exact, fraction(1e9, 1)))
		units, nanos, ok := resp.ParseAmount([]byte(text))
		got := new(big.Int).Add(new(big.Int).Mul(big.NewInt(units), big.NewInt(1e9)), big.NewInt(int64(nanos)))
		if fits := new(big.Int).Quo(want, big.NewInt(1e9)).IsInt64(); ok != fits || ok && (got.Cmp(want) != 0 || nanos < 0 || nanos >= 1e9) {
			rt.Errorf("ParseAmount(%s) = %d, %d, %v, want %v billionths", text, units, nanos, ok, want)
		}
	})
	if units, nanos, ok := resp.ParseAmount([]byte("1.9999999999")); units != 2 || nanos != 0 || !ok {
		t.Errorf("ParseAmount(1.9999999999) = %d, %d, %v, want 2", units, nanos, ok)
	}
	for _, text := range []string{"9223372036854775807.9999999999", "", ".", "1.", ".5", "-1", "+1", "1e3", "0x1", " 1", "1 ", "1.5.2", "1.-5", "١", "NaN", "inf", "9223372036854775808"} {
		if units, nanos, ok := resp.ParseAmount([]byte(text)); ok {
			t.Errorf("ParseAmount(%q) = %d, %d, want no number", text, units, nanos)
		}
	}
}
