package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/bucketring/bucketring"
)

// TestRedisClients: clients that know nothing of bucketring get what redis-cell answers.
func TestRedisClients(t *testing.T) {
	addr := startDev(t).at("resp")
	host, port, _ := strings.Cut(addr, ":")
	for _, c := range []struct {
		program string
		args    []string
		want    string
	}{
		{"redis-cli", []string{"-h", host, "-p", port, "CL.THROTTLE", "cli", "2", "3", "60"}, "0\n3\n2\n-1\n20"},
		{"redis-cli", []string{"-3", "-h", host, "-p", port, "CL.THROTTLE", "cli", "2", "3", "60", "2"}, "0\n3\n0\n-1\n60"},
		{"redis-cli", []string{"-h", host, "-p", port, "CL.THROTTLE", "cli", "2", "3", "60"}, "1\n3\n0\n20\n60"},
		{"redis-cli", []string{"-h", host, "-p", port, "DEL", "cli"}, "1"},
		{"/usr/bin/python3", []string{"-c", strings.ReplaceAll(redisPy, "PORT", port)}, "[0, 3, 2, -1, 20]\n[0, 3, 1, -1, 40]\n1\n0"},
	} {
		path, err := exec.LookPath(c.program)
		if err == nil && c.program != "redis-cli" {
			err = exec.Command(path, "-c", "import redis").Run()
		}
		if err != nil {
			t.Logf("skipped: %s, or what it needs, is not here: apt-get install redis-tools python3-redis", c.program)
			continue
		}
		out, err := exec.Command(path, c.args...).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%s %q = %q, %v, want %q", c.program, c.args, got, err, c.want)
		}
	}
}

const redisPy = `
import redis
r = redis.Redis(host="127.0.0.1", port=PORT)
p = r.pipeline(transaction=False)
p.execute_command("CL.THROTTLE", "py", 2, 3, 60)
p.execute_command("CL.THROTTLE", "py", 2, 3, 60)
for reply in p.execute(): print(reply)
print(r.delete("py"))
print(r.delete("py"))
`

// TestRedisDoorInACluster: one bucket, whichever node a Redis client asks, also by way of
// the bench command; HTTP has buckets of its own.
func TestRedisDoorInACluster(t *testing.T) {
	nodes, _ := startCluster(t, 3, "--listen-resp", "127.0.0.1:0", "--forward-budget", "5s", "--resp-forward-budget", "5s")
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.doors()["resp"])
	}
	limits := bucketring.MustParse("10/h")
	call, end, err := (&benchConfig{addrs: addrs, callers: 6}).openRESP(t.Context(), &limits[0])
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	for key := range 30 {
		passed := 0
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), slack)
			a, err := call(ctx, i%6, fmt.Sprint("redis:", key))
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if a.Allowed {
				passed++
			}
		}
		if passed != 10 {
			t.Errorf("%d of 20 calls of key %d passed at three nodes, want 10", passed, key)
		}
	}
	d, err := bothDoors(t, nodes...)[0].Take(t.Context(), takeOne("redis:0", "10/h"))
	if err != nil || !d.Allowed {
		t.Errorf("Take over another door = %+v, %v, want a bucket of its own", d, err)
	}
	if resp, err := http.Get("http://" + addrs[0] + "/"); err == nil {
		t.Errorf("GET of the Redis door = %v, want no answer to a browser", resp.Status)
	}
}
