package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// prompt is what a door does at once.
type prompt interface {
	Now() int64
	TakeNow(now int64, req *bucketring.Request, d *bucketring.Decision) bool
}

// counter is told of decisions of steps.
type counter interface {
	Count(key string, d bucketring.Decision)
}

// takeNow takes at once through a door.
func takeNow(t *testing.T, door bucketring.Limiter, req bucketring.Request) {
	t.Helper()
	var d bucketring.Decision
	if p := door.(prompt); !p.TakeNow(p.Now(), &req, &d) {
		t.Fatalf("TakeNow(%q) = false, want a decision", req.Key)
	}
}

const hotPolicy = `
apiVersion: limits/v1
namespace: test
limits:
  - {name: calls, key: [user, ip], limit: 2, per: 1h}
`

// TestHotKeys: takes of every way count for their keys, and nothing else does.
func TestHotKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		withPolicy(t, c, hotPolicy)
		n := c.nodes[0]
		http, grpc := n.Door("http"), n.Door("grpc")
		l := limits(t, "3/h")
		for range 5 {
			mustTake(t, http, take("a", l))
		}
		for range 4 {
			takeNow(t, grpc, take("b", l))
		}
		for range 7 {
			do(t, n, callOf(bucketring.VerbTake, 1, "user", "u 1", "ip", "::1"))
		}
		for _, verb := range []bucketring.Verb{bucketring.VerbPeek, bucketring.VerbRefund, bucketring.VerbReset} {
			mustTake(t, http, bucketring.Request{Verb: verb, Key: "c", Limits: l, Cost: 1})
			do(t, n, callOf(verb, 1, "user", "u2", "ip", "::1"))
		}
		for i := range 2 { // which a step has made, and its door understands
			grpc.(counter).Count("d", bucketring.Decision{Allowed: i > 0, LimitState: bucketring.LimitState{Name: "steps"}})
		}
		time.Sleep(3 * time.Second)
		caller := `user="u 1" ip=::1`
		got := n.Hot(10)
		want := node.Hot{
			Within: 3 * time.Second,
			Taken: []node.HotKey{
				{Namespace: "test", Limit: "calls", Key: caller, Takes: 7, Denied: 5},
				{Limit: "inline", Key: "a", Takes: 5, Denied: 2}, {Limit: "inline", Key: "b", Takes: 4, Denied: 1},
				{Limit: "steps", Key: "d", Takes: 2, Denied: 1},
			},
			Denied: []node.HotKey{
				{Namespace: "test", Limit: "calls", Key: caller, Takes: 7, Denied: 5},
				{Limit: "inline", Key: "a", Takes: 5, Denied: 2}, {Limit: "inline", Key: "b", Takes: 4, Denied: 1},
				{Limit: "steps", Key: "d", Takes: 2, Denied: 1},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Hot (-want +got):\n%s", diff)
		}
		if got := n.Hot(1); len(got.Taken) != 1 || len(got.Denied) != 1 || got.Taken[0].Key != caller {
			t.Errorf("Hot(1) = %+v, want the first of each", got)
		}
	})
}

// TestHotForgets: what is told is of the last 10 to 20 s.
func TestHotForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newCluster(t, 1).nodes[0]
		door, l := n.Door("http"), limits(t, "100/h")
		keys := func() (all string) {
			for _, k := range n.Hot(10).Taken {
				all += fmt.Sprintf(" %s:%d", k.Key, k.Takes)
			}
			return all
		}
		check := func(within time.Duration, want string) {
			t.Helper()
			if got := keys(); got != want {
				t.Errorf("keys =%s, want%s", got, want)
			}
			if got := n.Hot(0).Within; got != within {
				t.Errorf("Within = %v, want %v", got, within)
			}
		}
		mustTake(t, door, take("a", l))
		time.Sleep(12 * time.Second)
		mustTake(t, door, take("b", l))
		mustTake(t, door, take("a", l))
		check(12*time.Second, " a:2 b:1")
		time.Sleep(10 * time.Second)
		check(10*time.Second, " a:1 b:1")
		time.Sleep(9 * time.Second)
		mustTake(t, door, take("c", l))
		check(19*time.Second, " a:1 b:1 c:1")
		time.Sleep(time.Minute)
		check(10*time.Second, "")
	})
}

// TestHotIsASample: of many takes a part is noted, which stands for all, whichever way they
// come and from however many callers.
func TestHotIsASample(t *testing.T) {
	const callers, each = 4, 100_000
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	l := limits(t, "1000/h")
	for name, take := range map[string]func(*testing.T, bucketring.Limiter, bucketring.Request){
		"at once": takeNow,
		"waiting": func(t *testing.T, door bucketring.Limiter, req bucketring.Request) { mustTake(t, door, req) },
	} {
		before := hotCount(n, name)
		if before != 0 {
			t.Fatalf("%s has %d takes, want none yet", name, before)
		}
		door := n.Door(name)
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(caller)))
				for range each {
					req := bucketring.Request{Key: name, Limits: l, Cost: 1}
					if random.IntN(2) == 0 {
						req.Key = fmt.Sprint("flood:", random.Int64())
					}
					take(t, door, req)
				}
			})
		}
		all.Wait()
		const want = callers * each / 2
		// A machine that stands still for 20 s in here has forgotten some.
		if got := hotCount(n, name); got > want*5/4 || got < want*3/4 && n.Hot(0).Within < 15*time.Second {
			t.Errorf("%s: %d takes, want about %d", name, got, want)
		}
	}
}

// hotCount returns what is told of a key.
func hotCount(n *node.Node, key string) (takes int64) {
	for _, k := range n.Hot(node.HotKeys).Taken {
		if k.Key == key {
			takes += k.Takes
		}
	}
	return takes
}

// TestSketchBounds: no count is too low, none is too high by more than it says, and every key
// with more than an even part is there.
func TestSketchBounds(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		zipf := rand.NewZipf(random, 1.01+random.Float64(), 1, 100_000)
		var s node.Sketch
		truth, total := map[string]int64{}, int64(0)
		room := make([]byte, 8) // which callers use again
		for range 20_000 {
			key := fmt.Sprintf("%08d", zipf.Uint64())
			weight := 1 + random.Int64N(31)
			truth[key] += weight
			total += weight
			copy(room, key)
			s.Add(unsafe.String(&room[0], len(room)), weight)
		}
		seen := map[string]bool{}
		for _, row := range s.Rows() {
			seen[row.Key] = true
			if is := truth[row.Key]; row.Takes < is || row.Takes-row.Over > is || row.Over > total/node.HotKeys {
				t.Errorf("seed %d: %q = %d, at most %d too high, want about %d", seed, row.Key, row.Takes, row.Over, is)
			}
		}
		for key, is := range truth {
			if is > total/node.HotKeys && !seen[key] {
				t.Errorf("seed %d: %q with %d of %d is not there", seed, key, is, total)
			}
		}
		if len(s.Rows()) > node.HotKeys || len(seen) != len(s.Rows()) {
			t.Errorf("seed %d: %d rows of %d keys, want at most %d and each once", seed, len(s.Rows()), len(seen), node.HotKeys)
		}
	}
}

// TestHotWithoutHotKeys: a flood of keys that come once is no list of hot keys.
func TestHotWithoutHotKeys(t *testing.T) {
	n := newCluster(t, 1).nodes[0]
	door, l := n.Door("http"), limits(t, "3/h")
	for i := range 3000 {
		mustTake(t, door, take(fmt.Sprint("k", i), l))
	}
	if got := n.Hot(10); len(got.Taken) > 0 || len(got.Denied) > 0 {
		t.Errorf("Hot = %+v, want no key", got)
	}
}

// TestCallersAreCalledAsConfigured: an operator may want to see them.
func TestCallersAreCalledAsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		c := newCluster(t, 1, func(cfg *node.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&text, nil))
			cfg.KeyName = func(key string) string { return "<" + key + ">" }
		})
		withPolicy(t, c, planned)
		do(t, c.nodes[0], callOf(bucketring.VerbTake, 1, "user", "alice"))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = c.nodes[0].Run(ctx) })
		time.Sleep(2 * time.Second)
		stop()
		running.Wait()
		if !strings.Contains(text.String(), `caller="<user=alice>"`) {
			t.Errorf("the log does not name the caller:\n%s", &text)
		}
	})
}
