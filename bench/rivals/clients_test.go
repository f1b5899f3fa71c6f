package rivals_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestGoRedis uses our door as an application would that knows nothing of it, in both
// versions of the protocol.
func TestGoRedis(t *testing.T) {
	_, doors := startNodes(t, 1)
	for protocol := 2; protocol <= 3; protocol++ {
		c := redis.NewClient(&redis.Options{Addr: doors[0]["resp"], Protocol: protocol})
		t.Cleanup(func() { _ = c.Close() })
		ctx := t.Context()
		window := redis.IncrEXIntArgs{HasUBound: true, UBound: 2, ENX: true, Expiration: &redis.ExpirationOption{Mode: redis.EX, Value: 60}}
		for i, want := range []redis.IncrEXIntResult{{Value: 1, AppliedIncrement: 1}, {Value: 2, AppliedIncrement: 1}, {Value: 2}} {
			if got, err := c.IncrEXInt(ctx, "window", window).Result(); err != nil || got != want {
				t.Errorf("RESP%d: IncrEXInt %d = %+v, %v, want %+v", protocol, i, got, err, want)
			}
		}
		if left, err := c.TTL(ctx, "window").Result(); err != nil || left < 30*time.Second || left > time.Minute {
			t.Errorf("RESP%d: TTL = %v, %v, want a minute", protocol, left, err)
		}
		set, err := c.SetNX(ctx, "n", 5, time.Minute).Result()
		again, err2 := c.SetNX(ctx, "n", 6, time.Minute).Result()
		if !set || again || err != nil || err2 != nil {
			t.Errorf("RESP%d: SetNX = %v, %v, and again %v, %v", protocol, set, err, again, err2)
		}
		if old, err := c.SetArgs(ctx, "n", 7, redis.SetArgs{Get: true, KeepTTL: true}).Result(); err != nil || old != "5" {
			t.Errorf("RESP%d: SetArgs = %q, %v, want 5", protocol, old, err)
		}
		replies, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.IncrBy(ctx, "n", 3)
			p.ExpireGT(ctx, "n", time.Hour)
			p.Do(ctx, "CL.THROTTLE", "bucket", 2, 3, 60)
			p.Exists(ctx, "n", "bucket", "window", "absent")
			p.Del(ctx, "n", "bucket", "window")
			return nil
		})
		var said []string
		for _, r := range replies {
			said = append(said, strings.SplitN(r.String(), ": ", 2)[1])
		}
		if got := strings.Join(said, "; "); err != nil || got != "10; true; [0 3 2 -1 20]; 3; 3" {
			t.Errorf("RESP%d: a pipeline = %s, %v", protocol, got, err)
		}
		if err := c.Get(ctx, "n").Err(); !errors.Is(err, redis.Nil) {
			t.Errorf("RESP%d: Get of what is gone = %v, want redis.Nil", protocol, err)
		}
	}
}
