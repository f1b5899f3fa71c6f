// limits_test.go holds limits against three processes at once.

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

// exactly makes a verdict of the owner the only outcome. With the default budget
// of 25 ms, a machine that stands still for a moment would turn a call into a
// fallback, which is right but not what these tests are about.
var exactly = []string{"--forward-budget", "5s"}

// newRand returns a generator and logs its seed, which BUCKETRING_SEED sets.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("BUCKETRING_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("BUCKETRING_SEED: %v", err)
		}
	}
	t.Logf("again with: BUCKETRING_SEED=%d go test -run '^%s$' ./cmd/bucketring", seed, t.Name())
	return rand.New(rand.NewPCG(seed, 0))
}

// A count is what came of many takes.
type count struct {
	mu        sync.Mutex
	takes     int
	admitted  map[string]int  // by key
	away      map[string]bool // keys of which a take was not decided by the owner
	forwarded int             // decided by another node than the one asked
	failed    error           // one of the errors
}

func (c *count) add(key string, d bucketring.Decision, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.takes++
	if err != nil {
		c.failed = err
		return
	}
	if d.Degraded || d.Source != bucketring.SourceOwner && d.Source != bucketring.SourceDeniedCache {
		c.away[key] = true
	}
	if d.Node != d.Owner {
		c.forwarded++
	}
	if d.Allowed {
		c.admitted[key]++
	}
}

// together makes calls several at a time and counts their takes.
func together(t *testing.T, calls int, call func(ctx context.Context, no int, c *count)) *count {
	t.Helper()
	const callers = 12
	c := &count{admitted: map[string]int{}, away: map[string]bool{}}
	work := make(chan int)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := range work {
				ctx, cancel := context.WithTimeout(t.Context(), slack)
				call(ctx, i, c)
				cancel()
			}
		})
	}
	began := time.Now()
	for i := range calls {
		work <- i
	}
	close(work)
	all.Wait()
	t.Logf("%d takes in %v, %d of them forwarded", c.takes, time.Since(began).Round(time.Millisecond), c.forwarded)
	if c.failed != nil {
		t.Errorf("a take failed: %v", c.failed)
	}
	return c
}

// One limit holds over all nodes and both doors, to the token.
func TestLimitsHoldAcrossNodes(t *testing.T) {
	nodes, _ := startCluster(t, 3, exactly...)
	t.Run("one key", func(t *testing.T) { oneKey(t, nodes) })
	t.Run("many keys", func(t *testing.T) { manyKeys(t, nodes) })
}

func oneKey(t *testing.T, nodes []*testNode) {
	const takes, limit = 300, 100
	doors := bothDoors(t, nodes...)
	for try := range 5 {
		key := fmt.Sprint("alice", try)
		c := together(t, takes, func(ctx context.Context, no int, c *count) {
			d, err := doors[no%len(doors)].Take(ctx, takeOne(key, "100/h"))
			c.add(key, d, err)
		})
		if c.away[key] {
			t.Log("the machine stood still: once more with another key")
			continue
		}
		if c.admitted[key] != limit {
			t.Errorf("admitted %d of %d, want %d", c.admitted[key], takes, limit)
		}
		if want := takes * 2 / 3; c.forwarded != want {
			t.Errorf("%d takes forwarded, want %d: two of three nodes do not own the key", c.forwarded, want)
		}
		return
	}
	t.Error("the owner was away in every try")
}

func manyKeys(t *testing.T, nodes []*testNode) {
	const names, each, limit, inBatch = 1000, 20, 10, 50
	random := newRand(t)
	var keys []string
	for range names {
		key := fmt.Sprintf("user:%x", random.Uint64())
		for range each {
			keys = append(keys, key)
		}
	}
	random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	var doors []batchDoor
	for _, n := range nodes {
		doors = append(doors, n.web, n.grpcBatch(t))
	}
	c := together(t, len(keys)/inBatch, func(ctx context.Context, no int, c *count) {
		batch := keys[no*inBatch : (no+1)*inBatch]
		decisions, err := doors[no%len(doors)].takeBatch(ctx, batch, fmt.Sprintf("%d/h", limit))
		if err == nil && len(decisions) != len(batch) {
			err = fmt.Errorf("%d decisions for %d takes", len(decisions), len(batch))
		}
		for i := range batch {
			if err != nil {
				c.add(batch[i], bucketring.Decision{}, err)
				continue
			}
			c.add(batch[i], decisions[i], nil)
		}
	})
	checkManyKeys(t, c, names, limit)
}

// checkManyKeys wants exactly the limit of every key, all decided by owners: the
// budget of these nodes is longer than any stall of the machine.
func checkManyKeys(t *testing.T, c *count, names, limit int) {
	t.Helper()
	if len(c.admitted) != names {
		t.Errorf("%d keys were admitted at all, want %d", len(c.admitted), names)
	}
	for key, n := range c.admitted {
		if n != limit {
			t.Errorf("admitted %d of key %q, want %d", n, key, limit)
		}
	}
	if len(c.away) > 0 {
		t.Errorf("the owner of %d keys was away, want 0", len(c.away))
	}
}
