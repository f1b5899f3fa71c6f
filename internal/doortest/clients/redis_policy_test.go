package clients_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const jobs = `apiVersion: limits/v1
namespace: jobs
limits:
  - {name: calls, key: [user], limit: 10, per: 1d, algorithm: fixed_window, align: first_request}
  - {name: running, kind: concurrency, when: {attr: {op: run}}, key: [user], limit: 2, lease: {ttl: 1h, renewable: true}}
  - {name: minutes, when: {attr: {op: run}}, key: [user], limit: 60, per: 1d, algorithm: fixed_window, align: first_request, precision: 1, cost: {from: report}}
`

// decision sends a command and returns its map, which in RESP2 is a list.
func decision(ctx context.Context, t *testing.T, c *redis.Client, words ...any) map[any]any {
	t.Helper()
	said, err := c.Do(ctx, words...).Result()
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	return asMap(t, said)
}

func asMap(t *testing.T, said any) map[any]any {
	t.Helper()
	if all, ok := said.(map[any]any); ok {
		return all
	}
	list, _ := said.([]any)
	all := map[any]any{}
	for i := 0; i+1 < len(list); i += 2 {
		all[list[i]] = list[i+1]
	}
	if len(all) == 0 {
		t.Fatalf("%v is neither a map nor a list of pairs", said)
	}
	return all
}

// go-redis asks for policies with Do, at either node of a cluster.
func TestGoRedisPolicies(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jobs.yaml"), []byte(jobs), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes := startCluster(t, 2, "--policies", dir)
	for protocol := 2; protocol <= 3; protocol++ {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) {
			a, b := goRedis(t, nodes[0].doors["resp"], protocol), goRedis(t, nodes[1].doors["resp"], protocol)
			shared(t, a, b, fmt.Sprint("user", protocol))
			for user := range 4 { // some of them live at the other node
				handedOut(t, a, b, fmt.Sprint("holder", protocol, user))
			}
			if err := a.Do(t.Context(), "RL.TAKE", "jbs").Err(); err == nil || err.Error() != `ERR unknown namespace 'jbs': did you mean "jobs"?` {
				t.Errorf("RL.TAKE of a namespace that is not there = %v", err)
			}
		})
	}
}

// shared pipelines more calls of each user than may pass, half of them at each node.
func shared(t *testing.T, a, b *redis.Client, user string) {
	t.Helper()
	ctx, passed := t.Context(), map[int]int{}
	const users, calls = 8, 6 // at each node, of 10 that may pass
	for _, c := range []*redis.Client{a, b} {
		replies, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range users * calls {
				p.Do(ctx, "RL.TAKE", "jobs", "user", fmt.Sprint(user, "/", i%users))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range replies {
			if d := asMap(t, r.(*redis.Cmd).Val()); d["allowed"] == int64(1) {
				passed[i%users]++
			} else if d["policy"] != "calls" || d["limit"] != int64(10) || d["degraded"] != int64(0) {
				t.Errorf("a denial = %v", d)
			}
		}
	}
	for i := range users {
		if passed[i] != 10 {
			t.Errorf("%d of %d calls of user %d have passed at two nodes, want 10", passed[i], 2*calls, i)
		}
	}
}

// handedOut has one node end what the other has handed out.
func handedOut(t *testing.T, a, b *redis.Client, user string) {
	t.Helper()
	ctx := t.Context()
	d := decision(ctx, t, a, "RL.TAKE", "jobs", "user", user, "op", "run", "COST", 1.5)
	leases, _ := d["leases"].([]any)
	if d["allowed"] != int64(1) || len(leases) != 1 {
		t.Fatalf("RL.TAKE = %v, want a lease", d)
	}
	renewed, err := b.Do(ctx, "RL.RENEW", leases[0]).Int()
	settled, err2 := b.Do(ctx, "RL.SETTLE", d["reservation"], 7.25).Text()
	released, err3 := b.Do(ctx, "RL.RELEASE", leases[0], leases[0]).Int()
	if renewed != 1 || settled != "OK" || released != 1 || err != nil || err2 != nil || err3 != nil {
		t.Errorf("renewed %d, settled %q, released %d, want 1, OK and 1: %v, %v, %v", renewed, settled, released, err, err2, err3)
	}
	usage, err := b.Do(ctx, "RL.USAGE", "jobs", "user", user, "op", "run").Slice()
	var used []string
	for _, u := range usage {
		limit := asMap(t, u)
		used = append(used, fmt.Sprint(limit["name"], ": ", limit["used"]))
	}
	if got := strings.Join(used, ", "); err != nil || got != "calls: 2, running: 0, minutes: 7.3" {
		t.Errorf("RL.USAGE = %s, %v", got, err)
	}
}
