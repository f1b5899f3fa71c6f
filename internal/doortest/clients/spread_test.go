// spread_test.go asks by libraries that know several nodes, or believe they ask a cluster of
// Redis, and by one that has no commands but scripts.

package clients_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/mediocregopher/radix/v4"
	"github.com/redis/go-redis/v9"
)

// envoyproxy/ratelimit with Redis as its store counts so: by radix, in pipelines of INCRBY
// and EXPIRE over a few connections. Several of them, each with a node of its own, admit what
// the limit allows and nothing more.
func TestRadixCountsAsRatelimitDoes(t *testing.T) {
	const limit, pools, callers, calls = 100, 3, 4, 25
	var admitted atomic.Int64
	var asking sync.WaitGroup
	nodes := startCluster(t, pools)
	for _, n := range nodes {
		pool, err := radix.PoolConfig{Size: 2}.New(t.Context(), "tcp", n.doors["resp"])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = pool.Close() })
		for range callers {
			asking.Go(func() {
				for range calls {
					after, err := countBy(t.Context(), pool, "edge_account_1", "edge_path_1")
					if err != nil {
						t.Errorf("a pipeline: %v", err)
					} else if after <= limit {
						admitted.Add(1)
					}
				}
			})
		}
	}
	asking.Wait()
	if admitted.Load() != limit {
		t.Errorf("%d of %d calls were admitted, want %d", admitted.Load(), pools*callers*calls, limit)
	}
	c := goRedis(t, nodes[0].doors["resp"], 3)
	for key, want := range map[string]int{"edge_account_1": pools * callers * calls, "edge_path_1": 2 * pools * callers * calls} {
		if n, err := c.Get(t.Context(), key).Int(); err != nil || n != want {
			t.Errorf("GET %s = %d, %v, want %d", key, n, err, want)
		}
		if left, err := c.TTL(t.Context(), key).Result(); err != nil || left <= time.Hour-slack || left > time.Hour {
			t.Errorf("TTL %s = %v, %v, want an hour", key, left, err)
		}
	}
}

// countBy adds 1 to one key and 2 to another, and returns the first.
func countBy(ctx context.Context, pool radix.Client, one, two string) (after int64, err error) {
	p := radix.NewPipeline()
	p.Append(radix.FlatCmd(&after, "INCRBY", one, uint64(1)))
	p.Append(radix.FlatCmd(nil, "EXPIRE", one, int64(3600)))
	p.Append(radix.FlatCmd(nil, "INCRBY", two, uint64(2)))
	p.Append(radix.FlatCmd(nil, "EXPIRE", two, int64(3600)))
	err = pool.Do(ctx, p)
	return after, err
}

// What is not offered is an error that names it, at once, and no client hangs.
func TestRedisRefusals(t *testing.T) {
	addr := startNode(t).doors["resp"]
	ctx, cancel := context.WithTimeout(t.Context(), slack)
	defer cancel()
	const noCluster = "This instance has cluster support disabled"
	c := goRedis(t, addr, 3)
	for name, call := range map[string]struct {
		do   func() error
		want string
	}{
		"redis_rate, which sends a script": {func() error {
			_, err := redis_rate.NewLimiter(c).Allow(ctx, "k", redis_rate.PerMinute(3))
			return err
		}, "unknown command 'evalsha'"},
		"a transaction of go-redis": {func() error {
			_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Get(ctx, "k").Err() })
			return err
		}, "unknown command 'multi'"},
		"a subscription of go-redis": {func() error {
			sub := c.Subscribe(ctx, "news")
			defer sub.Close()
			_, err := sub.Receive(ctx)
			return err
		}, "unknown command 'subscribe'"},
		"go-redis for clusters": {func() error {
			u := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{addr}, IsClusterMode: true})
			defer u.Close()
			return u.Incr(ctx, "k").Err()
		}, noCluster},
		"go-redis for clusters that reads copies": {func() error {
			u := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}, ReadOnly: true})
			defer u.Close()
			return u.Get(ctx, "k").Err()
		}, noCluster},
		"radix for clusters": {func() error {
			_, err := radix.ClusterConfig{}.New(ctx, []string{addr})
			return err
		}, noCluster},
	} {
		if err := call.do(); err == nil || !strings.Contains(err.Error(), call.want) {
			t.Errorf("%s: %v, want %s", name, err, call.want)
		}
	}
	if ctx.Err() != nil {
		t.Errorf("a client did not give up within %v", slack)
	}
}

// A client of one address is a plain one. For several there is Ring, which goes by keys: each
// node answers for all of them.
func TestGoRedisWithSeveralNodes(t *testing.T) {
	nodes := startCluster(t, 3)
	addrs := map[string]string{}
	for i, n := range nodes {
		addrs[fmt.Sprint("n", i+1)] = n.doors["resp"]
	}
	ring := redis.NewRing(&redis.RingOptions{Addrs: addrs})
	defer ring.Close()
	one := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{nodes[0].doors["resp"]}})
	defer one.Close()
	for i := range 20 {
		key := fmt.Sprint("key", i)
		for step, c := range []redis.UniversalClient{ring, one, ring, one} {
			if n, err := c.Incr(t.Context(), key).Result(); err != nil || n != int64(step+1) {
				t.Errorf("INCR %s by %T = %d, %v, want %d", key, c, n, err, step+1)
			}
		}
	}
}
