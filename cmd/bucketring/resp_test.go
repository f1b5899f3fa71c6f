package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
		{"redis-cli", []string{"-h", host, "-p", port, "INCR", "cli"}, "WRONGTYPE Operation against a key holding the wrong kind of value"},
		{"redis-cli", []string{"-h", host, "-p", port, "DEL", "cli"}, "1"},
		{"redis-cli", []string{"-h", host, "-p", port, "INCREX", "cli", "UBOUND", "2", "EX", "60", "ENX"}, "1\n1"},
		{"redis-cli", []string{"-3", "-h", host, "-p", port, "-r", "2", "INCREX", "cli", "UBOUND", "2", "EX", "60", "ENX"}, "2\n1\n2\n0"},
		{"redis-cli", []string{"-3", "-h", host, "-p", port, "TTL", "cli"}, "60"},
		{"redis-cli", []string{"-h", host, "-p", port, "CL.THROTTLE", "cli", "2", "3", "60"}, "WRONGTYPE Operation against a key holding the wrong kind of value"},
		{"redis-cli", []string{"-h", host, "-p", port, "SET", "cli", "7", "GET", "EX", "5"}, "2"},
		{"redis-cli", []string{"-3", "-h", host, "-p", port, "GET", "cli"}, "7"},
		{"/usr/bin/python3", []string{"-c", strings.ReplaceAll(redisPy, "PORT", port)}, "[0, 3, 2, -1, 20]\n[0, 3, 1, -1, 40]\n1\n0\n" +
			"True None b'5' 6 8 7 1\n[True, 1, False, 2, [10, 8], True, 60]\nvalue is not an integer or out of range"},
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
print(r.set("n", 5, nx=True, ex=60), r.set("n", 9, nx=True), r.get("n"), r.incr("n"), r.incrby("n", 2), r.decr("n"), r.exists("n"))
p = r.pipeline(transaction=False)
p.set("w", 0).incr("w").expire("w", 60, gt=True).incr("w").execute_command("INCREX", "w", "BYINT", 9, "UBOUND", 10, "SATURATE").expire("w", 60).ttl("w")
print(p.execute())
try: r.set("n", "text")
except redis.ResponseError as e: print(e)
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
	// Windows in one command, at three nodes at once.
	var passed [10]atomic.Int64
	var callers sync.WaitGroup
	for _, addr := range addrs {
		c := dialRedis(t, "tcp", addr)
		callers.Go(func() {
			for i := range 100 {
				if got := c.do("INCREX", fmt.Sprint("window:", i%10), "UBOUND", "7", "EX", "600", "ENX"); strings.HasSuffix(got, ":1\r\n") {
					passed[i%10].Add(1)
				} else if got != "*2\r\n:7\r\n:0\r\n" {
					t.Errorf("INCREX at %s = %q", addr, got)
				}
			}
		})
	}
	callers.Wait()
	for i := range passed {
		if n := passed[i].Load(); n != 7 {
			t.Errorf("%d of 30 calls have passed window %d at three nodes, want 7", n, i)
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

// A redisConn speaks the Redis protocol and returns replies as they are.
type redisConn struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// dialRedis waits until somebody listens.
func dialRedis(t *testing.T, network, addr string) *redisConn {
	var conn net.Conn
	await(t, slack, func() (err error) {
		conn, err = net.Dial(network, addr)
		return err
	})
	t.Cleanup(func() { _ = conn.Close() })
	return &redisConn{t, conn, bufio.NewReader(conn)}
}

func (c *redisConn) do(words ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(c.conn, text.String()); err != nil {
		c.t.Error(err)
	}
	return c.reply()
}

func (c *redisConn) reply() string {
	text, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Error(err)
		return text
	}
	n, _ := strconv.Atoi(strings.TrimSpace(text[1:]))
	switch {
	case text[0] == '$' && n >= 0:
		value := make([]byte, n+2)
		_, _ = io.ReadFull(c.r, value)
		text += string(value)
	case text[0] == '*':
		for range n {
			text += c.reply()
		}
	}
	return text
}

// TestSameAsRedis says the same to Redis itself: what is no INCREX it knows as well.
func TestSameAsRedis(t *testing.T) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("skipped: there is no redis-server here; apt-get install redis-server")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	theirs, ours := dialRedis(t, "unix", socket), dialRedis(t, "tcp", startDev(t).at("resp"))
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 5000 {
		words := redisCommand(random)
		want, got := theirs.do(words...), ours.do(words...)
		if !sameReply(words[0], want, got) {
			t.Fatalf("%q = %q, and Redis says %q (seed %d)", words, got, want, seed)
		}
	}
}

// redisCommand is a command on a counter with any words behind it, most of which are wrong.
// Of GT with LT Redis has an error of its own.
func redisCommand(random *rand.Rand) []string {
	pick := func(all string) string {
		words := strings.Fields(all)
		return words[random.IntN(len(words))]
	}
	more := "NX XX GT EX PX EXAT PXAT KEEPTTL GET 500000 -1 0 600000 99999999 4000000000 5000000000000 9223372036854775807 -9223372036854775808 " +
		"9223372036854775 9223372036854776 x 05 +3 -0 1.5 9223372036854775808"
	words := []string{pick("GET SET SET SET INCR DECR INCRBY DECRBY EXPIRE PEXPIRE TTL PTTL DEL EXISTS"), pick("a b")}
	for range random.IntN(5) {
		words = append(words, pick(more))
	}
	switch {
	case words[0] == "SET" && len(words) > 2:
		words[2] = pick("5 -7 0 12 9223372036854775807 -9223372036854775808") // Redis keeps any text
	case strings.HasSuffix(words[0], "EXPIRE") && random.IntN(4) == 0:
		words = append(words[:2:2], pick("500000 600000 -9223372036854775808"), pick("LT lt"), pick("LT XX"))
	}
	return words
}

// sameReply allows for the time between two calls.
func sameReply(command, want, got string) bool {
	a, errA := strconv.ParseInt(strings.TrimSpace(want[1:]), 10, 64)
	b, errB := strconv.ParseInt(strings.TrimSpace(got[1:]), 10, 64)
	if strings.HasSuffix(command, "TTL") && errA == nil && errB == nil && a > 0 && b > 0 {
		return max(a, b)-min(a, b) < slack.Milliseconds()
	}
	return want == got
}
