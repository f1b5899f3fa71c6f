package clients_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// cells are CL.THROTTLE calls of one key with what redis-cell answers while no time passes:
// limited, limit, left, seconds until it would pass, seconds until the bucket is full.
var cells = []struct {
	burst, count, period, quantity int64
	want                           string
}{
	{2, 3, 60, 1, "[0 3 2 -1 20]"},
	{2, 3, 60, 0, "[0 3 2 -1 20]"},
	{2, 3, 60, 2, "[0 3 0 -1 60]"},
	{2, 3, 60, 1, "[1 3 0 20 60]"},
	{2, 3, 60, 2, "[1 3 0 40 60]"},
	{2, 3, 60, 4, "[1 3 0 -1 60]"},
}

// near reports whether the answer of a real node is that of one where no time passes: its
// seconds may be a few less, as a machine is slow.
func near(got []int64, want string) bool {
	var w [5]int64
	if _, err := fmt.Sscanf(want, "[%d %d %d %d %d]", &w[0], &w[1], &w[2], &w[3], &w[4]); err != nil || len(got) != 5 {
		return false
	}
	for i := range w {
		late := i >= 3 && w[i] > 0 && got[i] > 0 && got[i] <= w[i] && got[i] > w[i]-15
		if got[i] != w[i] && !late {
			return false
		}
	}
	return true
}

// versions runs a test of a client in both versions of the protocol.
func versions(t *testing.T, test func(t *testing.T, addr string, protocol int)) {
	addr := startNode(t).doors["resp"]
	for protocol := 2; protocol <= 3; protocol++ {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) { test(t, addr, protocol) })
	}
}

func goRedis(t *testing.T, addr string, protocol int) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, Protocol: protocol})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// go-redis asks for buckets with Do.
func TestGoRedisBuckets(t *testing.T) {
	versions(t, func(t *testing.T, addr string, protocol int) {
		c, key := goRedis(t, addr, protocol), fmt.Sprint("cell", protocol)
		for i, call := range cells {
			got, err := c.Do(t.Context(), "CL.THROTTLE", key, call.burst, call.count, call.period, call.quantity).Int64Slice()
			if err != nil || !near(got, call.want) {
				t.Errorf("call %d: CL.THROTTLE %v = %v, %v, want %s", i+1, call, got, err, call.want)
			}
		}
		if err := c.Do(t.Context(), "CL.THROTTLE", key, 2, "many", 60).Err(); err == nil || !strings.HasPrefix(err.Error(), "Cell error") {
			t.Errorf("CL.THROTTLE with a word for a number = %v, want an error of redis-cell", err)
		}
		if err := c.Incr(t.Context(), key).Err(); err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE") {
			t.Errorf("INCR of a bucket = %v, want WRONGTYPE", err)
		}
	})
}

// go-redis has calls with types for counters.
func TestGoRedisCounters(t *testing.T) {
	versions(t, func(t *testing.T, addr string, protocol int) {
		c, ctx := goRedis(t, addr, protocol), t.Context()
		window := redis.IncrEXIntArgs{HasUBound: true, UBound: 2, ENX: true, Expiration: &redis.ExpirationOption{Mode: redis.EX, Value: 60}}
		for i, want := range []redis.IncrEXIntResult{{Value: 1, AppliedIncrement: 1}, {Value: 2, AppliedIncrement: 1}, {Value: 2}} {
			if got, err := c.IncrEXInt(ctx, "window", window).Result(); err != nil || got != want {
				t.Errorf("IncrEXInt %d = %+v, %v, want %+v", i+1, got, err, want)
			}
		}
		if left, err := c.TTL(ctx, "window").Result(); err != nil || left < 10*time.Second || left > time.Minute {
			t.Errorf("TTL = %v, %v, want a minute", left, err)
		}
		most := redis.IncrEXIntArgs{HasBy: true, By: 9, HasUBound: true, UBound: 7, HasLBound: true, LBound: -1, Saturate: true}
		if got, err := c.IncrEXInt(ctx, "window", most).Result(); err != nil || got != (redis.IncrEXIntResult{Value: 7, AppliedIncrement: 5}) {
			t.Errorf("IncrEXInt up to a bound = %+v, %v, want 7, of which 5 were added", got, err)
		}
		set, err := c.SetNX(ctx, "n", 5, time.Minute).Result()
		again, err2 := c.SetNX(ctx, "n", 6, time.Minute).Result()
		if !set || again || err != nil || err2 != nil {
			t.Errorf("SetNX = %v, %v, and again %v, %v", set, err, again, err2)
		}
		if old, err := c.SetArgs(ctx, "n", 7, redis.SetArgs{Get: true, KeepTTL: true}).Result(); err != nil || old != "5" {
			t.Errorf("SetArgs = %q, %v, want 5", old, err)
		}
		if got := pipelined(t, c); got != "10; true; [0 3 2 -1 20]; 3; 3" {
			t.Errorf("a pipeline = %s", got)
		}
		if err := c.Get(ctx, "n").Err(); !errors.Is(err, redis.Nil) {
			t.Errorf("Get of what is gone = %v, want redis.Nil", err)
		}
	})
}

// pipelined sends several commands at once and returns their replies.
func pipelined(t *testing.T, c *redis.Client) string {
	t.Helper()
	ctx := t.Context()
	replies, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.IncrBy(ctx, "n", 3)
		p.ExpireGT(ctx, "n", time.Hour)
		p.Do(ctx, "CL.THROTTLE", "bucket", 2, 3, 60)
		p.Exists(ctx, "n", "bucket", "window", "absent")
		p.Del(ctx, "n", "bucket", "window")
		return nil
	})
	if err != nil {
		t.Errorf("a pipeline: %v", err)
	}
	var said []string
	for _, r := range replies {
		said = append(said, strings.SplitN(r.String(), ": ", 2)[1])
	}
	return strings.Join(said, "; ")
}

// rueidis has a builder for CL.THROTTLE and for INCREX, and sends the calls of all callers
// over one connection.
func TestRueidis(t *testing.T) {
	versions(t, func(t *testing.T, addr string, protocol int) {
		c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, AlwaysRESP2: protocol == 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		ctx, key := t.Context(), fmt.Sprint("rueidis", protocol)
		for i, call := range cells {
			cmd := c.B().ClThrottle().Key(key).MaxBurst(call.burst).CountPerPeriod(call.count).Period(call.period).Quantity(call.quantity).Build()
			if got, err := c.Do(ctx, cmd).AsIntSlice(); err != nil || !near(got, call.want) {
				t.Errorf("call %d: CL.THROTTLE %v = %v, %v, want %s", i+1, call, got, err, call.want)
			}
		}
		for i, want := range []string{"[1 1]", "[2 1]", "[2 0]"} {
			cmd := c.B().Increx().Key(key + "/window").Ubound(2).ExSeconds(60).Enx().Build()
			if got, err := c.Do(ctx, cmd).AsIntSlice(); err != nil || fmt.Sprint(got) != want {
				t.Errorf("INCREX %d = %v, %v, want %s", i+1, got, err, want)
			}
		}
		if err := c.Do(ctx, c.B().Incr().Key(key).Build()).Error(); err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE") {
			t.Errorf("INCR of a bucket = %v, want WRONGTYPE", err)
		}
		if err := c.Do(ctx, c.B().Get().Key("absent").Build()).Error(); !rueidis.IsRedisNil(err) {
			t.Errorf("GET of what is not there = %v, want nil", err)
		}
		many(ctx, t, c, key)
	})
}

// Without DisableCache rueidis says what to change, and does not hang.
func TestRueidisCache(t *testing.T) {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{startNode(t).doors["resp"]}})
	if err == nil {
		c.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "TRACKING") && !errors.Is(err, rueidis.ErrNoCache) {
		t.Errorf("a client with a cache = %v, want an error about tracking", err)
	}
}

// many sends a pipeline in which each call must be counted, and answered in its place.
func many(ctx context.Context, t *testing.T, c rueidis.Client, key string) {
	t.Helper()
	const calls = 100
	var all rueidis.Commands
	for range calls {
		all = append(all, c.B().Incr().Key(key+"/many").Build())
	}
	for i, r := range c.DoMulti(ctx, all...) {
		if n, err := r.AsInt64(); err != nil || n != int64(i+1) {
			t.Fatalf("reply %d of a pipeline = %d, %v, want %d", i+1, n, err, i+1)
		}
	}
}
