// envoy_test.go asks as Envoy does while a node stands still: Envoy gives up after 20 ms and
// lets everything pass.

package proctest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/bucketring/bucketring/internal/envoyrls/rlspb"
)

const edgeFile = `domain: edge
descriptors:
  - key: account
    rate_limit: {unit: hour, requests_per_unit: 1000000}
`

// TestEnvoyWhileANodeSleeps stops one of three nodes and asks the others, at an even rate,
// for keys of all three.
func TestEnvoyWhileANodeSleeps(t *testing.T) {
	repeat(t, func(t *testing.T, _ int) {
		file := filepath.Join(t.TempDir(), "edge.yaml")
		if err := os.WriteFile(file, []byte(edgeFile), 0o600); err != nil {
			t.Fatal(err)
		}
		c := startCluster(t, 3, "--policies", file)
		awake := c.serving()[:2]
		sleeper := c.serving()[2]
		conns := make([]*grpc.ClientConn, len(awake))
		for i, n := range awake {
			conns[i] = dialGRPC(t, n.doors()["grpc"])
		}
		before := askAsEnvoy(t, conns, time.Second)
		if err := sleeper.pause(); errors.Is(err, errors.ErrUnsupported) {
			t.Skip("skipped: no signals here that stop a process")
		} else if err != nil {
			t.Fatal(err)
		}
		during := askAsEnvoy(t, conns, length(4*time.Second, 20*time.Second))
		if err := sleeper.resume(); err != nil {
			t.Fatal(err)
		}
		quiet := quantile(before, 0.99)
		show(t, figure{"E1", "p99 of the Envoy door with a node asleep", "<= 15 ms", quantile(during, 0.99), "ms",
			fmt.Sprintf("of %d calls; %s ms before, worst %s ms", len(during), number(quiet), number(quantile(during, 1)))})
		if p99 := quantile(during, 0.99); *strict && p99 > 15 {
			t.Errorf("p99 is %s ms, want at most 15", number(p99))
		}
	})
}

func dialGRPC(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// askAsEnvoy asks 400 times a second, whatever the answers do, and returns how long each
// took from when it was due. Every call must be answered.
func askAsEnvoy(t *testing.T, conns []*grpc.ClientConn, during time.Duration) (took []time.Duration) {
	t.Helper()
	const rate = 400
	var mu sync.Mutex // guards took
	var calls sync.WaitGroup
	began := time.Now()
	for i := range int(during.Seconds() * rate) {
		due := began.Add(time.Duration(i) * time.Second / rate)
		time.Sleep(time.Until(due))
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), slack) // a caller that gave up would hide the answer
			defer cancel()
			account := &rlspb.RateLimitDescriptor{Entries: []*rlspb.RateLimitDescriptor_Entry{{Key: "account", Value: fmt.Sprint("a", i%500)}}}
			resp, err := rlspb.NewRateLimitServiceClient(conns[i%len(conns)]).ShouldRateLimit(ctx, &rlspb.RateLimitRequest{
				Domain: "edge", Descriptors: []*rlspb.RateLimitDescriptor{account},
			})
			if err != nil || len(resp.GetStatuses()) != 1 || resp.GetOverallCode() == rlspb.RateLimitResponse_UNKNOWN {
				t.Errorf("call %d = %v, %v, want an answer", i, resp, err)
			}
			mu.Lock()
			took = append(took, time.Since(due))
			mu.Unlock()
		})
	}
	calls.Wait()
	slices.Sort(took)
	return took
}

// quantile returns one of sorted durations, in ms.
func quantile(took []time.Duration, q float64) float64 {
	return ms(took[min(int(q*float64(len(took))), len(took)-1)])
}
