package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A curl runs grpcurl against a node.
type curl struct {
	path string
	node node
}

func newCurl(t *testing.T, n node) curl { return curl{tool(t, "grpcurl"), n} }

// run returns what it prints.
func (c curl) run(t *testing.T, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slack)
	defer cancel()
	// Flags come before the address, symbols behind it.
	split := 0
	for split < len(args) && strings.HasPrefix(args[split], "-") {
		split += 2 // each with its value
	}
	line := append([]string{"-plaintext"}, args[:split]...)
	line = append(append(line, c.node.doors["grpc"]), args[split:]...)
	cmd := exec.CommandContext(ctx, c.path, line...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Errorf("grpcurl %q: %v:\n%s%s", line, err, out.String(), errs.String())
	}
	return out.String()
}

// reads reads the JSON messages that grpcurl prints.
func reads(t *testing.T, out string) (all []map[string]any) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var one map[string]any
		if err := d.Decode(&one); err != nil {
			t.Fatalf("%v in:\n%s", err, out)
		}
		all = append(all, one)
	}
	return all
}

// expect compares fields of a message, each named by its path.
func expect(t *testing.T, message map[string]any, fields map[string]any) {
	t.Helper()
	for path, want := range fields {
		var at any = message
		for part := range strings.SplitSeq(path, ".") {
			if list, ok := at.([]any); ok && len(list) > 0 {
				at = list[0]
			}
			in, _ := at.(map[string]any)
			at = in[part]
		}
		if !reflect.DeepEqual(at, want) {
			t.Errorf("%s = %v, want %v, in %v", path, at, want, message)
		}
	}
}

const gateway = `domain: gateway
descriptors:
  - key: account
    rate_limit: {unit: year, requests_per_unit: 100, name: per-account}
`

// A node that may be asked what it serves can be explored and called with nothing at hand.
func TestGrpcurlByReflection(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "gateway.yaml"), gateway)
	c := newCurl(t, startNode(t, "--grpc-reflection", "--policies", dir))

	services := strings.Fields(c.run(t, "", "list"))
	for _, want := range []string{"bucketring.v1.Limiter", "envoy.service.ratelimit.v3.RateLimitService", "pb.gubernator.V1", "grpc.health.v1.Health"} {
		if !strings.Contains(fmt.Sprint(services), want) {
			t.Errorf("list = %v, want %s in it", services, want)
		}
		if text := c.run(t, "", "describe", want); !strings.Contains(text, want+" is a service:") || !strings.Contains(text, "rpc ") {
			t.Errorf("describe %s = %s", want, text)
		}
	}
	for message, want := range map[string]string{
		"bucketring.v1.TakeRequest": "optional int64 cost = 3;", "envoy.service.ratelimit.v3.RateLimitRequest": "uint32 hits_addend = 3;",
		"pb.gubernator.RateLimitReq": "string unique_key = 2;",
	} {
		if text := c.run(t, "", "describe", message); !strings.Contains(text, want) {
			t.Errorf("describe %s = %s, want %s in it", message, text, want)
		}
	}
	calls(t, c)

	envoy := `{"domain": "gateway", "descriptors": [{"entries": [{"key": "account", "value": "a1"}]}]}`
	for _, left := range []float64{99, 98} {
		got := reads(t, c.run(t, "", "-d", envoy, "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"))
		expect(t, only(t, got), map[string]any{"overallCode": "OK", "statuses.limitRemaining": left, "statuses.currentLimit.name": "per-account"})
	}
	items := `{"requests": [{"name": "n", "unique_key": "k", "hits": 3, "limit": 10, "duration": 3600000}]}`
	for _, left := range []string{"7", "4"} {
		got := reads(t, c.run(t, "", "-d", items, "pb.gubernator.V1/GetRateLimits"))
		one := map[string]any{"responses.remaining": left, "responses.limit": "10", "responses.error": nil}
		expect(t, only(t, got), one)
	}
	expect(t, only(t, reads(t, c.run(t, "", "grpc.health.v1.Health/Check"))), map[string]any{"status": "SERVING"})
}

// A node as it is can be called with the files that describe it.
func TestGrpcurlByFile(t *testing.T) {
	c := newCurl(t, startNode(t))
	calls(t, c, "-import-path", filepath.Join(house, "transport/limitpb"), "-proto", "limit.proto")
}

// calls calls Take and TakeStream.
func calls(t *testing.T, c curl, flags ...string) {
	t.Helper()
	call := func(method, input string) []map[string]any {
		t.Helper()
		return reads(t, c.run(t, input, append(flags, "-d", "@", "bucketring.v1.Limiter/"+method)...))
	}
	take := `{"key": "k", "limit": "5/h", "cost": 3}`
	expect(t, only(t, call("Take", take)), map[string]any{"allowed": true, "remaining": "2", "limit": "5", "node": "n1"})
	refused := only(t, call("Take", take))
	expect(t, refused, map[string]any{"allowed": nil, "remaining": "2", "degraded": nil})
	if refused["retryAfter"] == nil {
		t.Errorf("a refusal without retryAfter: %v", refused)
	}
	answers := call("TakeStream", `{"id": 1, "request": {"key": "k", "limit": "5/h", "cost": 2}}
		{"id": 2, "verb": "PEEK", "request": {"key": "other", "limit": "5/h"}}
		{"id": 3, "request": {"key": "other", "limit": "no limit"}}`)
	if len(answers) != 3 {
		t.Fatalf("a stream of 3 requests has the answers %v", answers)
	}
	seen := map[any]map[string]any{}
	for _, a := range answers {
		seen[a["id"]] = a
	}
	expect(t, seen["1"], map[string]any{"answer.decision.allowed": true, "answer.decision.limit": "5", "answer.decision.remaining": nil})
	expect(t, seen["2"], map[string]any{"answer.decision.allowed": true, "answer.decision.remaining": "4"}) // as a take would
	expect(t, seen["3"], map[string]any{"answer.error.code": 3.0, "answer.decision": nil})                  // INVALID_ARGUMENT
	expect(t, only(t, call("Take", `{"key": "other", "limit": "5/h"}`)), map[string]any{"remaining": "4"})
}

func only(t *testing.T, all []map[string]any) map[string]any {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("%d messages, want one: %v", len(all), all)
	}
	return all[0]
}
