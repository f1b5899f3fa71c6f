package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

func rateLimits(t *testing.T, addr string, items ...*pb.RateLimitReq) []*pb.RateLimitResp {
	t.Helper()
	resp, err := pb.NewV1Client(dialGRPC(t, addr)).GetRateLimits(t.Context(), &pb.GetRateLimitsReq{Requests: items})
	if err != nil || len(resp.GetResponses()) != len(items) {
		t.Fatalf("GetRateLimits at %s = %v, %v, want %d answers", addr, resp, err, len(items))
	}
	return resp.GetResponses()
}

// Clients of Gubernator at three nodes spend one limit together, also with GLOBAL, and find
// the owner of a key as they always did: by who names none.
func TestGubernatorClients(t *testing.T) {
	t.Parallel()
	nodes, _ := startCluster(t, 3, exactly...)
	for name, behavior := range map[string]pb.Behavior{"plain": 0, "global": pb.Behavior_GLOBAL} {
		t.Run(name, func(t *testing.T) {
			var passed atomic.Int64
			var group sync.WaitGroup
			for _, n := range nodes {
				client := pb.NewV1Client(dialGRPC(t, n.at("grpc")))
				group.Go(func() {
					item := &pb.RateLimitReq{Name: name, UniqueKey: "account:1", Hits: 1, Limit: 100, Duration: time.Hour.Milliseconds(), Behavior: behavior}
					for range 100 {
						resp, err := client.GetRateLimits(t.Context(), &pb.GetRateLimitsReq{Requests: []*pb.RateLimitReq{item}})
						if err != nil || resp.GetResponses()[0].GetError() != "" {
							t.Errorf("hit at %s: %v, %v", n.name, resp, err)
						} else if resp.GetResponses()[0].GetStatus() == pb.Status_UNDER_LIMIT {
							passed.Add(1)
						}
					}
				})
			}
			group.Wait()
			if passed.Load() != 100 {
				t.Errorf("%d of 300 hits passed, want the 100 of the limit", passed.Load())
			}
		})
	}
	item := &pb.RateLimitReq{Name: "plain", UniqueKey: "account:1", Limit: 100, Duration: time.Hour.Milliseconds()}
	var owners []string
	for _, n := range nodes {
		got := rateLimits(t, n.at("grpc"), item)[0]
		if owner, named := got.GetMetadata()["owner"]; named {
			owners = append(owners, owner)
		} else {
			owners = append(owners, n.at("grpc"))
		}
		if got.GetRemaining() != 0 || got.GetStatus() != pb.Status_OVER_LIMIT {
			t.Errorf("a look at %s = %v, want nothing left", n.name, got)
		}
	}
	if slices.Sort(owners); owners[0] != owners[2] {
		t.Errorf("owners of one key as three nodes tell them: %v, want one address", owners)
	}
	if got := metric(t, nodes[0], "bucketring_decisions_total", `door="gubernator"`); got < 200 {
		t.Errorf("%v decisions of the door are counted at one node, want its 200 and a look", got)
	}
	health, err := pb.NewV1Client(dialGRPC(t, nodes[1].at("grpc"))).HealthCheck(t.Context(), &pb.HealthCheckReq{})
	if err != nil || health.GetPeerCount() != 3 || health.GetAdvertiseAddress() != nodes[1].at("grpc") {
		t.Errorf("HealthCheck = %v, %v, want three peers, and %s", health, err, nodes[1].at("grpc"))
	}
}

// The JSON of Gubernator is served beside ours.
func TestGubernatorJSON(t *testing.T) {
	t.Parallel()
	n := startNode(t, "n1", "--gubernator-retry-after")
	post := func(body string) (int, string) {
		t.Helper()
		resp, err := http.Post(n.web.base+"/v1/GetRateLimits", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text json.RawMessage
		if err := json.NewDecoder(resp.Body).Decode(&text); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	const item = `{"requests":[{"name":"json","uniqueKey":"k","hits":"1","limit":1,"duration":60000}]}`
	for i, want := range []string{`"UNDER_LIMIT"`, `"retry_after_ms"`} {
		if status, text := post(item); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("answer %d = %d %s, want %s", i+1, status, text, want)
		}
	}
	if status, text := post(`{"requests":[{"name":"a"}]}`); status != http.StatusOK || !strings.Contains(text, "field 'unique_key' cannot be empty") {
		t.Errorf("an item without a key = %d %s, want the error of that item", status, text)
	}
	for path, want := range map[string]int{"/v1/HealthCheck": 200, "/v1/LiveCheck": 200, "/v1/take?key=k&limit=3/m": 200, "/v1/GetRateLimits": 501} {
		if status, text := n.web.get(t, path); status != want {
			t.Errorf("GET %s = %d %s, want %d", path, status, text, want)
		}
	}
	if got := fmt.Sprint(rateLimits(t, n.at("grpc"), &pb.RateLimitReq{Name: "json", UniqueKey: "k", Limit: 1, Duration: 60000})[0].GetStatus()); got != "OVER_LIMIT" {
		t.Errorf("the key of JSON over gRPC is %s, want OVER_LIMIT", got)
	}
}
