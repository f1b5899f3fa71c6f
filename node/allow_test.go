package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/ring"
)

// ask is a way to ask a node for a yes or a no about a key.
type ask func(ctx context.Context, cost int64) (bool, error)

// asks are all ways.
func asks(t *testing.T, n *node.Node, key string, l []bucketring.Limit) map[string]ask {
	t.Helper()
	p, err := n.Prepare(key, l)
	if err != nil {
		t.Fatalf("Prepare(%q, %v) = %v", key, l, err)
	}
	return map[string]ask{
		"Take": func(ctx context.Context, cost int64) (bool, error) {
			d, err := n.Take(ctx, bucketring.Request{Key: key, Limits: l, Cost: cost})
			return d.Allowed, err
		},
		"Allow":          func(ctx context.Context, cost int64) (bool, error) { return n.Allow(ctx, key, l, cost) },
		"Prepared.Allow": p.Allow,
		"Prepared.Take": func(ctx context.Context, cost int64) (bool, error) {
			d, err := p.Take(ctx, cost)
			return d.Allowed, err
		},
	}
}

// TestAllow: a yes or a no is what Take says, of all kinds of limits, here and elsewhere.
func TestAllow(t *testing.T) {
	for _, text := range []string{
		"5/h", "5/h accuracy=strict", "5/h algorithm=fixed_window", "5/h algorithm=sliding_window", "5/h burst=2", "0/h",
		"7/h, 5/d", "999983/s burst=5",
	} {
		synctest.Test(t, func(t *testing.T) {
			var said [][]string
			for _, way := range []string{"Take", "Allow", "Prepared.Allow", "Prepared.Take"} {
				c, heard := newCluster(t, 2), []string(nil)
				for i, n := range c.nodes { // one of them owns the key
					one := asks(t, n, "k", limits(t, text))[way]
					for _, cost := range []int64{1, 0, 2, 9, 1, 1, 1} {
						ok, err := one(t.Context(), cost)
						heard = append(heard, fmt.Sprint(i, " ", cost, " ", ok, " ", err))
						time.Sleep(time.Second)
					}
				}
				said = append(said, append(heard, fmt.Sprint(peek(t, c.nodes[0], "k", limits(t, text))[0].Remaining)))
			}
			for i, way := range []string{"Allow", "Prepared.Allow", "Prepared.Take"} {
				if got, want := strings.Join(said[i+1], "\n"), strings.Join(said[0], "\n"); got != want {
					t.Errorf("%s with %s says\n%s\nwant\n%s", way, text, got, want)
				}
			}
		})
	}
}

// TestAllowRefuses what Take would, and what hands out something to be given back.
func TestAllowRefuses(t *testing.T) {
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key, limits string
		cost        int64
		text        string
	}{
		{"", "1/h", 1, "key is missing"},
		{"k", "", 1, "limit is missing"},
		{"k", "1/h", -1, "cost is -1"},
		{"k", "1 concurrent", 1, "use Take"},
		{"k", "5/h, 1 concurrent", 1, "use Take"},
	} {
		var l []bucketring.Limit
		if tt.limits != "" {
			l = limits(t, tt.limits)
		}
		if ok, err := n.Allow(t.Context(), tt.key, l, tt.cost); ok || !errors.Is(err, bucketring.ErrInvalid) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("Allow(%q, %q, %d) = %v, %v, want an error with %q", tt.key, tt.limits, tt.cost, ok, err, tt.text)
		}
		p, err := n.Prepare(tt.key, l)
		if tt.cost < 0 {
			_, err = p.Allow(t.Context(), tt.cost)
		}
		if !errors.Is(err, bucketring.ErrInvalid) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("Prepare(%q, %q), cost %d: %v, want an error with %q", tt.key, tt.limits, tt.cost, err, tt.text)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for way, one := range asks(t, n, "k", limits(t, "1/h")) {
		if ok, err := one(ended, 1); ok || !errors.Is(err, context.Canceled) {
			t.Errorf("%s after its context = %v, %v, want that error", way, ok, err)
		}
	}
}

// TestPreparedFollows: callers that hold a counter get all together what its limit has, and
// ask its new owner once there is one.
func TestPreparedFollows(t *testing.T) {
	const amount, callers = 3000, 3
	c := newCluster(t, 2)
	l := limits(t, fmt.Sprint(amount, "/365d accuracy=strict"))
	p, err := c.nodes[0].Prepare("k", l)
	if err != nil {
		t.Fatal(err)
	}
	var admitted, asked atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range amount {
				ok, err := p.Allow(t.Context(), 1)
				if err != nil {
					t.Error(err)
					return
				}
				if asked.Add(1); ok {
					admitted.Add(1)
				}
			}
		})
	}
	all.Wait()
	if admitted.Load() != amount {
		t.Errorf("%d of %d calls are admitted, want %d", admitted.Load(), asked.Load(), amount)
	}
	after := "n1"
	if m, _ := c.nodes[0].Ring().Owner(ring.Partition(ring.Placer{Seed: c.seed}.Key("", "k"))); m.Name == "n1" {
		after = "n2"
	}
	for i, n := range c.nodes {
		n.SetRing(c.ring(nodeName(i), after))
	}
	if ok, err := p.Allow(t.Context(), 1); err != nil || !ok { // counters do not move here: it is a new one
		t.Errorf("Allow after the ring has changed = %v, %v, want the new owner's yes", ok, err)
	}
}

// TestAllowDoesNotAllocate where Take would not.
func TestAllowDoesNotAllocate(t *testing.T) {
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"1000000/h", "1/h", "1000000/h algorithm=fixed_window"} {
		for way, one := range asks(t, n, "k", limits(t, text)) {
			ctx := context.Background()
			_, _ = one(ctx, 1)
			if got := testing.AllocsPerRun(200, func() {
				if _, err := one(ctx, 1); err != nil {
					t.Error(err)
				}
			}); got != 0 {
				t.Errorf("%s with %s allocates %v times, want 0", way, text, got)
			}
		}
	}
}

// A caller that asks again and again for a yes or a no has its counter looked up once.
func ExampleNode_Prepare() {
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go n.Run(ctx) // keeps memory tidy

	messages, err := n.Prepare("connection:17", bucketring.MustParse("100/s burst=3"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		ok, err := messages.Allow(ctx, 1)
		fmt.Println(ok, err)
	}
	// Output:
	// true <nil>
	// true <nil>
	// true <nil>
	// false <nil>
}
