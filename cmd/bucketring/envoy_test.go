package main

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring/internal/envoyrls/rlspb"
)

// gateway is a file as envoyproxy/ratelimit has them, and shop a policy of ours.
const (
	gateway = `domain: gateway
descriptors:
  - key: account
    rate_limit: {unit: year, requests_per_unit: 100, name: per-account}
`
	shop = `apiVersion: limits/v1
namespace: shop
limits: [{name: orders, key: [user], limit: 2, per: 1d, algorithm: fixed_window}]
responses: {bodies: {no: {error: "no more than ${limit}"}}, deny: {body: no}}
`
)

func filesIn(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		writePolicy(t, dir, name, text)
	}
	return dir
}

func descriptor(pairs ...string) *rlspb.RateLimitDescriptor {
	d := &rlspb.RateLimitDescriptor{}
	for i := 0; i < len(pairs); i += 2 {
		d.Entries = append(d.Entries, &rlspb.RateLimitDescriptor_Entry{Key: pairs[i], Value: pairs[i+1]})
	}
	return d
}

func askEnvoy(t *testing.T, conn *grpc.ClientConn, domain string, all ...*rlspb.RateLimitDescriptor) *rlspb.RateLimitResponse {
	t.Helper()
	resp, err := rlspb.NewRateLimitServiceClient(conn).ShouldRateLimit(t.Context(), &rlspb.RateLimitRequest{Domain: domain, Descriptors: all})
	if err != nil || len(resp.GetStatuses()) != len(all) {
		t.Fatalf("ShouldRateLimit = %v, %v, want a status for each descriptor", resp, err)
	}
	return resp
}

// Envoy asks any node, by a file of envoyproxy/ratelimit and by a policy.
func TestEnvoy(t *testing.T) {
	t.Parallel()
	nodes, _ := startCluster(t, 3, "--policies", filesIn(t, map[string]string{"gateway.yaml": gateway, "shop.yaml": shop}), "--envoy-metrics")
	var passed atomic.Int64
	var group sync.WaitGroup
	for _, n := range nodes {
		conn := dialGRPC(t, n.at("grpc"))
		group.Go(func() {
			for range 60 {
				if askEnvoy(t, conn, "gateway", descriptor("account", "a1")).GetOverallCode() == rlspb.RateLimitResponse_OK {
					passed.Add(1)
				}
			}
		})
	}
	group.Wait()
	var alone float64 // decided without the owner, which may have counted them a moment later: the machine may be busy
	for _, n := range nodes {
		alone += metric(t, n, "bucketring_envoy_degraded_total")
	}
	if off := float64(passed.Load() - 100); off > alone || -off > alone {
		t.Errorf("%d of 180 calls at three nodes passed, want the 100 of the limit; %v were decided without its owner", passed.Load(), alone)
	}
	conn := dialGRPC(t, nodes[0].at("grpc"))
	over := askEnvoy(t, conn, "gateway", descriptor("account", "a1"), descriptor("account", "a2")).GetStatuses()
	if over[0].GetCode() != rlspb.RateLimitResponse_OVER_LIMIT || over[0].GetCurrentLimit().GetName() != "per-account" || over[1].GetLimitRemaining() != 99 {
		t.Errorf("statuses = %v, want one over the limit per-account, and one with 99 left", over)
	}
	for _, want := range []rlspb.RateLimitResponse_Code{rlspb.RateLimitResponse_OK, rlspb.RateLimitResponse_OK, rlspb.RateLimitResponse_OVER_LIMIT} {
		resp := askEnvoy(t, conn, "shop", descriptor("user", "u1"))
		if resp.GetOverallCode() != want || want == rlspb.RateLimitResponse_OVER_LIMIT && !strings.Contains(string(resp.GetRawBody()), "no more than 2") {
			t.Errorf("a call by the policy = %v, want %v", resp, want)
		}
	}
	if got := metric(t, nodes[0], "ratelimit_service_rate_limit_total_hits", `domain="gateway"`, `key1="account"`); got < 60 {
		t.Errorf("%v hits are counted at the first node, want its 60 and more", got)
	}
	if got := metric(t, nodes[0], "bucketring_decisions_total", `door="envoy"`); got < 63 {
		t.Errorf("%v decisions of the door are counted, want 60 of the dialect and 3 of the policy", got)
	}
}

// A file in the dialect that is put in a folder holds within a moment, and a bad one
// changes nothing.
func TestEnvoyFilesChange(t *testing.T) {
	t.Parallel()
	dir := filesIn(t, map[string]string{"gateway.yaml": gateway})
	n := startNode(t, "n1", "--policies", dir, "--envoy-metrics")
	conn := dialGRPC(t, n.at("grpc"))
	write := func(text string) { writePolicy(t, dir, "gateway.yaml", text) }
	limitIs := func(want uint32) {
		t.Helper()
		for deadline := time.Now().Add(slack); ; time.Sleep(20 * time.Millisecond) {
			got := askEnvoy(t, conn, "gateway", descriptor("account", "a1")).GetStatuses()[0].GetCurrentLimit().GetRequestsPerUnit()
			if got == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the limit is %d after %v, want %d", got, slack, want)
			}
		}
	}
	limitIs(100)
	write(strings.Replace(gateway, "100", "7", 1))
	limitIs(7)
	write(strings.Replace(gateway, "year", "fortnight", 1))
	for deadline := time.Now().Add(slack); metric(t, n, "ratelimit_service_config_load_error") == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a bad file is not counted")
		}
	}
	limitIs(7)
}

// Probes of Envoy's rate limit service find it, and reflection is there for who asks for it.
func TestEnvoyIsFound(t *testing.T) {
	t.Parallel()
	n := startNode(t, "n1", "--grpc-reflection")
	conn := dialGRPC(t, n.at("grpc"))
	for _, service := range []string{"", "envoy.service.ratelimit.v3.RateLimitService", "ratelimit", "pb.gubernator.V1", "bucketring.v1.Limiter"} {
		got, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health of %q = %v, %v, want SERVING", service, got, err)
		}
	}
	stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil || !strings.Contains(answer.String(), "envoy.service.ratelimit.v3.RateLimitService") {
		t.Errorf("reflection = %v, %v, want Envoy's service in it", answer, err)
	}
	_, err = rlspb.NewRateLimitServiceClient(conn).ShouldRateLimit(t.Context(), &rlspb.RateLimitRequest{Domain: "gateway", Descriptors: []*rlspb.RateLimitDescriptor{descriptor("a", "b")}})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a call without any policy = %v, want UNAVAILABLE", err)
	}
}
