// ratelimit_test.go runs envoyproxy/ratelimit itself, with nodes as its Redis.

package clients_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

var withRatelimit = flag.Bool("ratelimit", false, "compile envoyproxy/ratelimit, for a minute or more, and let it count in nodes")

// Two of its servers, each with another node as its Redis, admit together what the limit
// allows and nothing more.
func TestRatelimitServer(t *testing.T) {
	if !*withRatelimit {
		t.Skip("skipped: compiles envoyproxy/ratelimit: give -ratelimit, or make ratelimit-server")
	}
	const limit, callers, calls = 60, 4, 25
	nodes := startCluster(t, 3)
	var admitted atomic.Int64
	var asking sync.WaitGroup
	for _, n := range nodes[:2] {
		client := startRatelimit(t, n.doors["resp"], limit)
		for range callers {
			asking.Go(func() {
				for range calls {
					resp, err := client.ShouldRateLimit(t.Context(), accountOf("a"))
					if err != nil {
						t.Errorf("ShouldRateLimit: %v", err)
					} else if resp.GetOverallCode() == rls.RateLimitResponse_OK {
						admitted.Add(1)
					}
				}
			})
		}
	}
	asking.Wait()
	if admitted.Load() != limit {
		t.Errorf("%d of %d calls were admitted, want %d", admitted.Load(), 2*callers*calls, limit)
	}
}

func accountOf(name string) *rls.RateLimitRequest {
	entry := &ratelimit.RateLimitDescriptor_Entry{Key: "account", Value: name}
	return &rls.RateLimitRequest{Domain: "edge", Descriptors: []*ratelimit.RateLimitDescriptor{{Entries: []*ratelimit.RateLimitDescriptor_Entry{entry}}}}
}

// startRatelimit runs a server that counts at addr until the test ends.
func startRatelimit(t *testing.T, addr string, limit int) rls.RateLimitServiceClient {
	t.Helper()
	out, err := exec.Command("go", "tool", "-modfile=ratelimit.mod", "-n", "service_cmd").CombinedOutput()
	if err != nil {
		t.Fatalf("go tool: %v:\n%s", err, out)
	}
	dir, ports := t.TempDir(), freePorts(t, 3)
	if err := os.MkdirAll(filepath.Join(dir, "config"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "config", "edge.yaml"),
		fmt.Sprintf("domain: edge\ndescriptors:\n  - key: account\n    rate_limit: {unit: year, requests_per_unit: %d}\n", limit))
	cmd := exec.Command(strings.TrimSpace(string(out)))
	cmd.Env = append(os.Environ(), "REDIS_SOCKET_TYPE=tcp", "REDIS_URL="+addr, "REDIS_POOL_SIZE=4", "USE_STATSD=false", "LOG_LEVEL=warn",
		"RUNTIME_ROOT="+dir, "RUNTIME_SUBDIRECTORY=", "RUNTIME_WATCH_ROOT=false", "HOST=127.0.0.1", "GRPC_HOST=127.0.0.1", "DEBUG_HOST=127.0.0.1",
		"PORT="+ports[0], "GRPC_PORT="+ports[1], "DEBUG_PORT="+ports[2])
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the log of ratelimit:\n%s", log.String())
		}
	})
	conn, err := grpc.NewClient("127.0.0.1:"+ports[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := rls.NewRateLimitServiceClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), slack)
	defer cancel()
	for { // counts for nobody, until the server has read its file
		resp, err := client.ShouldRateLimit(ctx, accountOf("nobody"), grpc.WaitForReady(true))
		if all := resp.GetStatuses(); len(all) == 1 && all[0].GetCurrentLimit() != nil {
			return client
		}
		if ctx.Err() != nil {
			t.Fatalf("ratelimit does not know its limit after %v: %v, %v", slack, resp, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// freePorts returns ports of loopback that were free a moment ago: the server cannot be
// asked which it has got.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}
