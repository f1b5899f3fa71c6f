// remote_test.go asks limiters that are processes of their own: bucketring through each
// of its doors, and what is built on Redis. What counts is the processor time of the
// server; callers need theirs too, and everything shares the machine.

package rivals_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/workload"
	"github.com/bucketring/bucketring/transport/limitpb"
	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// A remote takes tokens of keys and returns how many of the calls passed.
type remote func(ctx context.Context, keys []string) (passed int, err error)

// A server is what limits: one process or several.
type server struct{ cmds []*exec.Cmd }

// launch starts a process that ends with the benchmark.
func launch(tb testing.TB, log io.Writer, name string, args ...string) *server {
	tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &server{[]*exec.Cmd{cmd}}
}

// cpu returns the processor time that the server has used.
func (s *server) cpu(tb testing.TB) (used time.Duration) {
	tb.Helper()
	for _, cmd := range s.cmds {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		if err != nil {
			tb.Skipf("skipped: the processor time of another process cannot be read here: %v", err)
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		used += time.Duration(user+system) * time.Second / 100 // USER_HZ is 100 on Linux
	}
	return used
}

// startRedis runs Debian's redis-server without a disk.
func startRedis(tb testing.TB) (*server, *redis.Client) {
	tb.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Skip("skipped: there is no redis-server here; apt-get install redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	s := launch(tb, io.Discard, path, "--port", strconv.Itoa(addr.Port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", tb.TempDir())
	return s, dialRedis(tb, addr.String())
}

func dialRedis(tb testing.TB, addr string) *redis.Client {
	tb.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 256, DisableIdentity: true})
	tb.Cleanup(func() { _ = c.Close() })
	for begun := time.Now(); c.Ping(context.Background()).Err() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			tb.Fatalf("nobody answers at %s", addr)
		}
	}
	return c
}

// binary builds bucketring once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rivals")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "bucketring")
	if out, err := exec.Command("go", "-C", "../..", "build", "-o", path, "./cmd/bucketring").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

// startNodes runs nodes of one cluster and returns the addresses of their doors. One is
// alone.
func startNodes(tb testing.TB, count int) (all *server, doors []map[string]string) {
	tb.Helper()
	path, err := binary()
	if err != nil {
		tb.Fatal(err)
	}
	all = &server{}
	for i := range count {
		args := []string{"serve", "--node-name", fmt.Sprint("n", i+1), "--log-format", "json", "--forward-budget", "5s",
			"--listen-http=127.0.0.1:0", "--listen-admin=127.0.0.1:0", "--listen-grpc=127.0.0.1:0", "--listen-resp=127.0.0.1:0"}
		if count == 1 {
			args = append(args, "--listen-gossip=", "--listen-peer=")
		} else {
			args = append(args, "--listen-gossip=127.0.0.1:0", "--listen-peer=127.0.0.1:0", "--cluster-label=rivals")
		}
		if i > 0 {
			args = append(args, "--cluster-join", doors[0]["gossip"])
		}
		read, write := io.Pipe()
		one := launch(tb, write, path, args...)
		all.cmds = append(all.cmds, one.cmds...)
		doors = append(doors, listening(tb, read))
	}
	return all, doors
}

// listening reads a node's log until it is ready, and returns where its doors are.
func listening(tb testing.TB, log io.Reader) map[string]string {
	tb.Helper()
	addrs, ready := map[string]string{}, make(chan struct{})
	go func() {
		isReady := false
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var line struct{ Msg, Door, Addr string }
			if json.Unmarshal(lines.Bytes(), &line) != nil || isReady {
				continue
			}
			if line.Msg == "listening" {
				addrs[line.Door] = line.Addr
			}
			if isReady = line.Msg == "ready"; isReady {
				close(ready)
			}
		}
	}()
	select {
	case <-ready:
		return addrs
	case <-time.After(20 * time.Second):
		tb.Fatal("a node is not ready after 20 s")
		return nil
	}
}

// perKey is a bucket with room for all calls of a benchmark, whose owner is always asked.
var perKey = bucketring.MustParse("1000000000/1d accuracy=strict")

// asking are all who can be asked.
var asking = []struct {
	name  string
	start func(tb testing.TB) (*server, remote)
}{
	{"bucketring_stream", func(tb testing.TB) (*server, remote) { return overGRPC(tb, 1, false, false) }},
	{"bucketring_unary", func(tb testing.TB) (*server, remote) { return overGRPC(tb, 1, true, false) }},
	{"bucketring_3_nodes_stream", func(tb testing.TB) (*server, remote) { return overGRPC(tb, 3, false, true) }},
	{"bucketring_3_nodes_unary", func(tb testing.TB) (*server, remote) { return overGRPC(tb, 3, true, true) }},
	{"bucketring_3_nodes_stream_any", func(tb testing.TB) (*server, remote) { return overGRPC(tb, 3, false, false) }},
	{"bucketring_3_nodes_unary_any", func(tb testing.TB) (*server, remote) { return overGRPC(tb, 3, true, false) }},
	{"bucketring_batch", overBatch},
	{"bucketring_resp", overRESP},
	{"bucketring_http", overHTTP},
	{"floor_grpc", overBareGRPC},
	{"floor_grpc_3_servers", func(tb testing.TB) (*server, remote) { return overBares(tb, 3) }},
	{"floor_http", overBareHTTP},
	{"redis_rate", overRedisRate},
	{"redis_incr", overINCR},
}

// overGRPC asks the nodes of a cluster: with one client that knows all of them and learns
// who owns what, or any of them in turn, two thirds of whose calls are forwarded.
func overGRPC(tb testing.TB, nodes int, unary, together bool) (*server, remote) {
	s, doors := startNodes(tb, nodes)
	clients := nodeClients(tb, doors, unary, together)
	var next atomic.Uint32
	return s, func(ctx context.Context, keys []string) (passed int, err error) {
		for _, key := range keys {
			c := clients[int(next.Add(1))%len(clients)]
			d, err := c.Take(ctx, bucketring.Request{Key: key, Limits: perKey, Cost: 1})
			if err != nil {
				return passed, err
			}
			if d.Allowed && !d.Degraded {
				passed++
			}
		}
		return passed, nil
	}
}

// overBatch has all keys in one call.
func overBatch(tb testing.TB) (*server, remote) {
	s, doors := startNodes(tb, 1)
	api := dialGRPC(tb, doors[0]["grpc"])
	return s, func(ctx context.Context, keys []string) (passed int, err error) {
		all := &limitpb.TakeBatchRequest{}
		for _, key := range keys {
			all.Requests = append(all.Requests, &limitpb.TakeRequest{Key: key, Limit: "1000000000/1d"})
		}
		answers, err := api.TakeBatch(ctx, all)
		for _, a := range answers.GetAnswers() {
			if a.GetDecision().GetAllowed() {
				passed++
			}
		}
		return passed, err
	}
}

func overHTTP(tb testing.TB) (*server, remote) {
	s, doors := startNodes(tb, 1)
	return s, posting("http://"+doors[0]["http"]+"/v1/take", func(key string) string {
		return `{"key":"` + key + `","limit":"1000000000/1d"}`
	})
}

// posting sends each key by itself.
func posting(url string, body func(key string) string) remote {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	web := &http.Client{Transport: transport}
	return func(ctx context.Context, keys []string) (passed int, err error) {
		for _, key := range keys {
			resp, err := web.Post(url, "application/json", strings.NewReader(body(key)))
			if err != nil {
				return passed, err
			}
			if _, err = io.Copy(io.Discard, resp.Body); err != nil {
				return passed, err
			}
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				passed++
			}
		}
		return passed, nil
	}
}

func overRESP(tb testing.TB) (*server, remote) {
	s, doors := startNodes(tb, 1)
	c := dialRedis(tb, doors[0]["resp"])
	return s, func(ctx context.Context, keys []string) (passed int, err error) {
		replies, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range keys {
				p.Do(ctx, "CL.THROTTLE", key, 999_999_999, 1_000_000_000, 86400)
			}
			return nil
		})
		for _, reply := range replies {
			if five, err := reply.(*redis.Cmd).Int64Slice(); err == nil && len(five) == 5 && five[0] == 0 {
				passed++
			}
		}
		return passed, err
	}
}

func overRedisRate(tb testing.TB) (*server, remote) {
	s, c := startRedis(tb)
	limiter := redis_rate.NewLimiter(c)
	limit := redis_rate.Limit{Rate: 1_000_000_000, Burst: 1_000_000_000, Period: 24 * time.Hour}
	return s, func(ctx context.Context, keys []string) (passed int, err error) {
		for _, key := range keys {
			r, err := limiter.Allow(ctx, key, limit)
			if err != nil {
				return passed, err
			}
			passed += r.Allowed
		}
		return passed, nil
	}
}

// overINCR counts and never refuses: what Redis does at least.
func overINCR(tb testing.TB) (*server, remote) {
	s, c := startRedis(tb)
	return s, func(ctx context.Context, keys []string) (passed int, err error) {
		replies, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range keys {
				p.Incr(ctx, key)
			}
			return nil
		})
		for _, reply := range replies {
			if reply.Err() == nil {
				passed++
			}
		}
		return passed, err
	}
}

// BenchmarkRemote is 64 callers who each wait for their answer, some of whom share a
// stream with 256, and for those who can, 8 callers with many calls in a message.
func BenchmarkRemote(b *testing.B) {
	for _, load := range []struct {
		callers, batch int
		limiters       string // a part of their names
	}{
		{64, 1, ""}, {256, 1, "_stream"}, {64, 100, "bucketring_resp"}, {64, 100, "redis_incr"},
		{8, 100, "bucketring_batch"}, {8, 1000, "bucketring_batch"},
	} {
		for _, a := range asking {
			if !strings.Contains(a.name, load.limiters) || load.limiters == "" && a.name == "bucketring_batch" {
				continue
			}
			b.Run(fmt.Sprintf("keys=uniform/callers=%d/batch=%d/limiter=%s", load.callers, load.batch, a.name), func(b *testing.B) {
				s, take := a.start(b)
				askRemote(b, s, take, load.callers, load.batch)
			})
		}
	}
}

func askRemote(b *testing.B, s *server, take remote, callers, batch int) {
	keys := workload.Uniform(10_000, seed)
	var passed atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	used := s.cpu(b)
	b.ResetTimer()
	for caller := range callers {
		all.Go(func() {
			stream, asked := keys.StreamOf(caller, callers), make([]string, batch)
			for range b.N*(caller+1)/callers - b.N*caller/callers {
				for i := range asked {
					asked[i] = stream.Next()
				}
				n, err := take(context.Background(), asked)
				if passed.Add(int64(n)); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	decisions := int64(b.N * batch)
	if passed.Load() != decisions {
		b.Fatalf("%d of %d calls passed, want all", passed.Load(), decisions)
	}
	b.ReportMetric(float64(s.cpu(b)-used)/float64(decisions), "server-cpu-ns/decision")
	b.ReportMetric(float64(decisions)/b.Elapsed().Seconds(), "decisions/s")
}

// BenchmarkUnloaded is one caller: how long half of the calls take.
func BenchmarkUnloaded(b *testing.B) {
	for _, a := range asking {
		b.Run("keys=hot/limiter="+a.name, func(b *testing.B) {
			_, take := a.start(b)
			halfTake(b, func(int) error {
				passed, err := take(context.Background(), []string{"key"})
				if err == nil && passed != 1 {
					err = fmt.Errorf("%d calls passed, want 1", passed)
				}
				return err
			})
		})
	}
}
