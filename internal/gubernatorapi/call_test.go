package gubernatorapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// a limiter is one made of a function.
type limiter func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error)

func (l limiter) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return l(ctx, req)
}

// itemErrors are the errors of items that clients can see, whole.
var itemErrors = []struct {
	name string
	item pb.RateLimitReq
	err  error // of the Limiter
	full bool
	want string
}{
	{name: "no key, no name", want: "field 'unique_key' cannot be empty"},
	{name: "no name", item: pb.RateLimitReq{UniqueKey: "k"}, want: "field 'namespace' cannot be empty"},
	{
		name: "algorithm", item: pb.RateLimitReq{Name: "n", UniqueKey: "k", Algorithm: 7, Duration: 9, Behavior: 4},
		want: "Error while apply rate limit for 'n_k': during workerPool.GetRateLimit: Invalid rate limit algorithm '7'",
	},
	{
		name: "token interval", item: pb.RateLimitReq{Name: "n", UniqueKey: "k", Duration: 6, Behavior: 4},
		want: "Error while apply rate limit for 'n_k': during workerPool.GetRateLimit: Error in tokenBucket: " +
			"behavior DURATION_IS_GREGORIAN is set; but `Duration` is not a valid gregorian interval",
	},
	{
		name: "leaky interval", item: pb.RateLimitReq{Name: "n", UniqueKey: "k", Duration: -1, Behavior: 4 | 64, Algorithm: 1},
		want: "Error while apply rate limit for 'n_k': during workerPool.GetRateLimit: Error in leakyBucket: " +
			"behavior DURATION_IS_GREGORIAN is set; but `Duration` is not a valid gregorian interval",
	},
	{
		name: "unavailable", item: pb.RateLimitReq{Name: "n", UniqueKey: "k"}, err: fmt.Errorf("%w: b is silent", bucketring.ErrUnavailable),
		want: "while fetching rate limit 'n_k' from peer: bucketring: unavailable: b is silent",
	},
	{
		name: "time is up", item: pb.RateLimitReq{Name: "n", UniqueKey: "k"}, err: context.DeadlineExceeded,
		want: "while fetching rate limit 'n_k' from peer: context deadline exceeded",
	},
	{
		name: "invalid", item: pb.RateLimitReq{Name: "n", UniqueKey: "k"}, err: bucketring.Invalidf("no such step"),
		want: "Error while apply rate limit for 'n_k': during workerPool.GetRateLimit: no such step",
	},
	{
		name: "no room", item: pb.RateLimitReq{Name: "n", UniqueKey: "k"}, full: true,
		want: "Error while apply rate limit for 'n_k': during workerPool.GetRateLimit: " +
			"the owner has no room for another counter: try again later, or have the operator give it more memory",
	},
	{
		name: "another version", item: pb.RateLimitReq{Name: "n", UniqueKey: "k"},
		want: "while fetching rate limit 'n_k' from peer: the owner's answer is not understood: it runs another version",
	},
}

func TestItemErrors(t *testing.T) {
	for i := range itemErrors {
		c := &itemErrors[i]
		s := server(gubernatorapi.Config{RetryAfter: true, Limiter: limiter(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			return bucketring.Decision{Allowed: !c.full, Node: "a", Owner: "b", Values: []int64{1}}, c.err
		})})
		c.item.Limit, c.item.Hits = 10, 1
		got := ask(t, s, &c.item)[0]
		if got.GetError() != c.want || got.GetLimit() != 0 || got.GetStatus() != 0 || len(got.GetMetadata()) != 0 {
			t.Errorf("%s: %v, want only the error %q", c.name, got, c.want)
		}
		if counted := s.Stats(); counted.Bad+counted.Unavailable+counted.Full != 1 || (counted.Full == 1) != c.full {
			t.Errorf("%s is counted as %+v, want it once", c.name, counted)
		}
	}
}

func TestCallerGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := server(gubernatorapi.Config{Limiter: limiter(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
		cancel() // while the first one is decided
		return bucketring.Decision{Allowed: true, Values: []int64{0, 1, 2, 0}}, nil
	})})
	resp, err := s.GetRateLimits(ctx, &pb.GetRateLimitsReq{Requests: []*pb.RateLimitReq{item("k"), item("k")}})
	if err != nil || resp.Responses[0].Error != "" || resp.Responses[1].Error != "Error while iterating request items: context canceled" {
		t.Errorf("items of a caller who goes = %v, %v, want the second not begun", resp, err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	s = server(gubernatorapi.Config{Limiter: immediate{&fake{newWorld(), "a"}}})
	resp, err = s.GetRateLimits(ctx, &pb.GetRateLimitsReq{Requests: []*pb.RateLimitReq{item("k"), {}}})
	if err != nil || resp.Responses[0].Error != "Error while iterating request items: context deadline exceeded" ||
		resp.Responses[1].Error != "field 'unique_key' cannot be empty" {
		t.Errorf("items of a caller who is gone = %v, %v, want none begun", resp, err)
	}
}

func TestNumberOfItems(t *testing.T) {
	s := server(standard())
	if got := ask(t, s); len(got) != 0 {
		t.Errorf("no items = %v, want no answers", got)
	}
	many := make([]*pb.RateLimitReq, 1001)
	for i := range many {
		many[i] = item("k")
		many[i].Limit = 2000
	}
	_, err := s.GetRateLimits(t.Context(), &pb.GetRateLimitsReq{Requests: many})
	if status.Code(err) != codes.OutOfRange || status.Convert(err).Message() != "Requests.RateLimits list too large; max size is '1000'" {
		t.Errorf("1001 items: %v, want OutOfRange", err)
	}
	if got := ask(t, s, many[:1000]...)[999]; got.GetRemaining() != 1000 {
		t.Errorf("the last of 1000 items = %v, want 1000 remaining: of the 1001 none counted", got)
	}
}

func TestOneTimeForACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.owner = func(string) string { return "b" }
		slow := limiter(func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
			time.Sleep(100 * time.Millisecond)
			return (&fake{w, "a"}).Take(ctx, req)
		})
		cfg := standard()
		cfg.Limiter = slow
		late, zero, end := item("b"), int64(0), time.Now().UnixMilli()+60_000
		late.CreatedAt = &zero
		for i, got := range ask(t, server(cfg), item("a"), late, item("a"), late) {
			if got.GetResetTime() != end {
				t.Errorf("item %d ends at %d, want %d", i, got.GetResetTime(), end)
			}
		}
	})
}

func TestOwnerIsTold(t *testing.T) {
	w := newWorld()
	w.owner = func(key string) string { return strings.Trim(key[len(key)-1:], "?") }
	cfg := standard()
	cfg.Limiter = immediate{&fake{w, "a"}}
	cfg.Address = func(member string) string {
		return map[string]string{"a": "10.0.0.1:7751", "b": "10.0.0.2:7751"}[member]
	}
	asked := item("b")
	asked.Metadata = map[string]string{"traceparent": "x", "owner": "y"}
	got := ask(t, server(cfg), item("a"), asked, item("c"), item("nobody?"))
	want := []map[string]string{nil, {"owner": "10.0.0.2:7751"}, {"owner": "c"}, nil}
	for i := range want {
		if diff := cmp.Diff(want[i], got[i].GetMetadata()); diff != "" || got[i].GetRemaining() != 9 {
			t.Errorf("metadata of item %d = %v (-want +got)\n%s", i, got[i], diff)
		}
	}
}

// TestUnknownBehavior has bits that nobody knows, and those that say how nodes forward.
func TestUnknownBehavior(t *testing.T) {
	s := server(standard())
	for i, b := range []pb.Behavior{0, 1, 2, 64, 128 | 1 | 2, -1 << 31} {
		r := item("k")
		r.Behavior = b
		if got := ask(t, s, r)[0]; got.GetRemaining() != int64(9-i) {
			t.Errorf("behavior %d = %v, want %d remaining", b, got, 9-i)
		}
	}
}

func TestPanicCostsOneItem(t *testing.T) {
	for _, name := range []string{"now", "later"} {
		w := newWorld()
		w.fail = func(key string) error {
			if strings.HasSuffix(key, "bad") {
				panic("a secret")
			}
			return nil
		}
		var log bytes.Buffer
		cfg := standard()
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg.Limiter = &fake{w, "a"}
		if name == "now" {
			cfg.Limiter = immediate{&fake{w, "a"}}
		}
		s := server(cfg)
		got := ask(t, s, item("a"), item("bad"), item("b"), item("bad"))
		want := "Error while apply rate limit for 'n_bad': during workerPool.GetRateLimit: it ended in a panic, which was counted"
		if got[0].GetRemaining() != 9 || got[2].GetRemaining() != 9 || got[1].GetError() != want || got[3].GetError() != want {
			t.Errorf("%s: %v, want two answers beside two panics", name, got)
		}
		if lines := strings.Count(log.String(), "item panicked"); s.Stats().Panics != 2 || lines < 1 || strings.Contains(log.String(), "secret") {
			t.Errorf("%s: %d panics are counted and %d told, want 2 and one a second, without their text\n%s", name, s.Stats().Panics, lines, log.String())
		}
	}
}

// TestPanicLeavesNoHalfAnAnswer has the address of the owner panic, which is asked for last.
func TestPanicLeavesNoHalfAnAnswer(t *testing.T) {
	w := newWorld()
	w.owner = func(string) string { return "b" }
	cfg := standard()
	cfg.Limiter, cfg.Address = &fake{w, "a"}, func(string) string { panic("no address") }
	got := ask(t, server(cfg), item("k"))[0]
	if got.GetError() == "" || got.GetRemaining() != 0 || got.GetLimit() != 0 || got.GetResetTime() != 0 {
		t.Errorf("an item that panicked = %v, want an error alone", got)
	}
}

// moving is a fake that becomes the owner of a key between two items of a call.
type moving struct {
	*fake
	asked *int
}

func (m moving) Now() int64 { return 1 }

func (m moving) TakeNow(_ int64, req *bucketring.Request, d *bucketring.Decision) bool {
	*m.asked++
	return *m.asked > 1 && immediate{m.fake}.TakeNow(0, req, d)
}

func TestD13OrderWhileAKeyMoves(t *testing.T) {
	cfg := standard()
	cfg.Limiter = moving{&fake{newWorld(), "a"}, new(int)}
	for i, got := range ask(t, server(cfg), item("k"), item("k"), item("other"), item("k")) {
		if want := []int64{9, 8, 9, 7}[i]; got.GetRemaining() != want {
			t.Errorf("item %d has %d left, want %d", i, got.GetRemaining(), want)
		}
	}
}

func TestNegativeLimitIsTold(t *testing.T) {
	r := item("k")
	r.Limit = -5
	if got := ask(t, server(standard()), r)[0]; got.GetLimit() != 0 || got.GetStatus() != pb.Status_OVER_LIMIT {
		t.Errorf("limit -5 = %v, want the limit 0", got)
	}
}

// TestItemsWaitTogether needs several items to be asked for at once, and bounds how many.
func TestItemsWaitTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waiting, most atomic.Int64
		s := server(gubernatorapi.Config{Limiter: limiter(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			for now := waiting.Add(1); ; {
				if had := most.Load(); now <= had || most.CompareAndSwap(had, now) {
					break
				}
			}
			time.Sleep(time.Millisecond)
			waiting.Add(-1)
			return bucketring.Decision{}, errors.New("no")
		})})
		items := make([]*pb.RateLimitReq, 1000)
		for i := range items {
			items[i] = item(fmt.Sprint(i))
		}
		start := time.Now()
		ask(t, s, items...)
		if took := time.Since(start); most.Load() != 64 || took != 16*time.Millisecond {
			t.Errorf("%d items waited together, and all took %v, want 64 and 16ms", most.Load(), took)
		}
	})
}

// counting is a fake that is told what was decided.
type counting struct {
	*fake
	allowed, denied *int
	keys            map[string]int // with the name before
}

func (c counting) Count(key string, d bucketring.Decision) {
	c.keys[d.Name+" "+key]++
	if d.Allowed {
		*c.allowed++
	} else {
		*c.denied++
	}
}

func TestDecisionsAreCounted(t *testing.T) {
	w, allowed, denied, keys := newWorld(), 0, 0, map[string]int{}
	w.fail = func(key string) error {
		if strings.HasSuffix(key, "bad") {
			return bucketring.ErrUnavailable
		}
		return nil
	}
	cfg := standard()
	cfg.Limiter = counting{&fake{w, "a"}, &allowed, &denied, keys}
	s, full := server(cfg), item("k")
	full.Hits = 10
	ask(t, s, full, item("k"), item("k"), item("bad"), &pb.RateLimitReq{})
	if allowed != 1 || denied != 2 {
		t.Errorf("%d allowed and %d denied are counted, want 1 and 2", allowed, denied)
	}
	if name := item("k").GetName(); len(keys) != 1 || keys[name+" k"] != 3 {
		t.Errorf("keys %v are counted, want k of %s 3 times", keys, name)
	}
	if got, want := s.Stats(), (gubernatorapi.Stats{Bad: 1, Unavailable: 1}); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

func TestNewNeedsALimiter(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New without a Limiter did not panic")
		}
	}()
	gubernatorapi.New(gubernatorapi.Config{})
}
