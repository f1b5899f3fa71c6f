package clients_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// goldenFile has calls and what envoyproxy/ratelimit answered.
const goldenFile = house + "/internal/envoyrls/testdata/envoy-golden.json"

// attempts is how often the calls are played, each time in another domain. Counters of
// Envoy's calls have 10 ms to answer and their windows are hours of the clock, so on a slow
// machine, or as an hour ends, an answer may differ for a good reason. A wrong answer is
// wrong each time.
const attempts = 3

// A vector is a call and what was answered.
type vector struct {
	Case     string
	Step     int
	Profile  string
	Setup    []json.RawMessage
	Request  json.RawMessage
	HTTP     int
	Response json.RawMessage
}

// Envoy's own messages, sent to three nodes in turn, are answered as envoyproxy/ratelimit
// does.
func TestEnvoyGolden(t *testing.T) {
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Config  []string
		Vectors []vector
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Vectors) < 35 {
		t.Fatalf("there are %d vectors, want 35 or more", len(golden.Vectors))
	}
	dir := t.TempDir()
	for i := range attempts {
		config := strings.Replace(strings.Join(golden.Config, "\n"), "domain: golden", "domain: "+domain(i), 1)
		writeFile(t, filepath.Join(dir, domain(i)+".yaml"), config)
	}
	p := player{t: t}
	for _, n := range startCluster(t, 3, "--policies", dir, "--envoy-response-headers", "on", "--envoy-dynamic-metadata") {
		p.clients = append(p.clients, rls.NewRateLimitServiceClient(n.dial(t)))
	}
	for i := range attempts {
		wrong := p.play(golden.Vectors, domain(i))
		if len(wrong) == 0 {
			return
		}
		report := t.Logf
		if i == attempts-1 {
			report = t.Errorf
		}
		report("attempt %d:\n%s", i+1, strings.Join(wrong, "\n"))
	}
}

func domain(attempt int) string { return fmt.Sprint("golden-", attempt+1) }

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A player plays calls, each with the next of its clients.
type player struct {
	t       *testing.T
	clients []rls.RateLimitServiceClient
	calls   int
}

// play plays vectors in order and returns what was answered otherwise.
func (p *player) play(vectors []vector, domain string) (wrong []string) {
	for _, v := range vectors {
		for _, request := range v.Setup {
			_, _ = p.ask(request, domain)
		}
		if v.Profile != "" {
			continue // another version of the dialect
		}
		resp, err := p.ask(v.Request, domain)
		if diff := p.judge(&v, resp, err, domain); diff != "" {
			wrong = append(wrong, fmt.Sprintf("%s %d: %s", v.Case, v.Step, diff))
		}
	}
	return wrong
}

// ask sends a request in JSON.
func (p *player) ask(request json.RawMessage, domain string) (*rls.RateLimitResponse, error) {
	p.t.Helper()
	text := strings.ReplaceAll(string(request), `"golden"`, fmt.Sprintf("%q", domain))
	var req rls.RateLimitRequest
	if err := protojson.Unmarshal([]byte(text), &req); err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	p.calls++
	return p.clients[p.calls%len(p.clients)].ShouldRateLimit(p.t.Context(), &req)
}

// judge returns how an answer differs from what was recorded, "" if it does not.
func (p *player) judge(v *vector, resp *rls.RateLimitResponse, err error, domain string) string {
	p.t.Helper()
	if v.HTTP == 400 {
		if status.Code(err) != codes.InvalidArgument {
			return fmt.Sprintf("%v, want INVALID_ARGUMENT", err)
		}
		return ""
	}
	if err != nil {
		return err.Error()
	}
	if over := resp.GetOverallCode() == rls.RateLimitResponse_OVER_LIMIT; over != (v.HTTP == 429) {
		return fmt.Sprintf("overall %v, want the code of %d", resp.GetOverallCode(), v.HTTP)
	}
	text, err := protojson.Marshal(resp)
	if err != nil {
		p.t.Fatal(err)
	}
	var want, got map[string]any
	recorded := strings.ReplaceAll(string(v.Response), `"golden"`, fmt.Sprintf("%q", domain))
	if json.Unmarshal([]byte(recorded), &want) != nil || json.Unmarshal(text, &got) != nil {
		p.t.Fatalf("no JSON object in %s or %s", recorded, text)
	}
	tidy(want)
	tidy(got)
	return compare(want, got, "answer")
}

// A limit can come with a descriptor. Its unit has no week: number 7, which is a week in
// answers, is refused by name and changes nothing.
func TestEnvoyOverride(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "edge.yaml"), "domain: edge\ndescriptors:\n  - key: leaf\n    rate_limit: {unit: year, requests_per_unit: 1}\n")
	client := rls.NewRateLimitServiceClient(startNode(t, "--policies", dir).dial(t))
	ask := func(unit typev3.RateLimitUnit, multiplier *wrapperspb.UInt32Value) (*rls.RateLimitResponse, error) {
		return client.ShouldRateLimit(t.Context(), &rls.RateLimitRequest{Domain: "edge", Descriptors: []*ratelimit.RateLimitDescriptor{{
			Entries:    []*ratelimit.RateLimitDescriptor_Entry{{Key: "leaf", Value: "a"}},
			Limit:      &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 2, Unit: unit, UnitMultiplier: multiplier},
			HitsAddend: wrapperspb.UInt64(1),
		}}})
	}
	if resp, err := ask(7, nil); status.Code(err) != codes.InvalidArgument || !strings.Contains(status.Convert(err).Message(), "descriptors[0].limit.unit") {
		t.Errorf("an override of the unit 7 = %v, %v, want INVALID_ARGUMENT with the name of the field", resp, err)
	}
	for i, want := range []rls.RateLimitResponse_Code{rls.RateLimitResponse_OK, rls.RateLimitResponse_OK, rls.RateLimitResponse_OVER_LIMIT} {
		resp, err := ask(typev3.RateLimitUnit_YEAR, wrapperspb.UInt32(50))
		if err != nil || resp.GetOverallCode() != want || len(resp.GetStatuses()) != 1 {
			t.Fatalf("call %d = %v, %v, want %v", i+1, resp, err, want)
		}
		limit := resp.GetStatuses()[0].GetCurrentLimit()
		if limit.GetRequestsPerUnit() != 2 || limit.GetUnit() != rls.RateLimitResponse_RateLimit_YEAR || limit.GetUnitMultiplier().GetValue() != 50 {
			t.Errorf("call %d is held to %v, want 2 in 50 years", i+1, limit)
		}
	}
}

// A policy answers with its own headers and body, which arrive in Envoy's messages.
func TestEnvoyPolicy(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "shop.yaml"), `apiVersion: limits/v1
namespace: shop
limits: [{name: orders, key: [user], limit: 1, per: 1w, algorithm: fixed_window}]
responses: {bodies: {no: {error: "no more than ${limit}"}}, deny: {body: no}}
`)
	client := rls.NewRateLimitServiceClient(startNode(t, "--policies", dir).dial(t))
	req := &rls.RateLimitRequest{Domain: "shop", Descriptors: []*ratelimit.RateLimitDescriptor{{
		Entries: []*ratelimit.RateLimitDescriptor_Entry{{Key: "user", Value: "u1"}},
	}}}
	if resp, err := client.ShouldRateLimit(t.Context(), req); err != nil || resp.GetOverallCode() != rls.RateLimitResponse_OK {
		t.Fatalf("the first call = %v, %v, want OK", resp, err)
	}
	resp, err := client.ShouldRateLimit(t.Context(), req)
	if err != nil || resp.GetOverallCode() != rls.RateLimitResponse_OVER_LIMIT || !strings.Contains(string(resp.GetRawBody()), "no more than 1") {
		t.Fatalf("the second call = %v, %v, want OVER_LIMIT with the policy's body", resp, err)
	}
	headers := map[string]string{}
	for _, h := range resp.GetResponseHeadersToAdd() {
		headers[strings.ToLower(h.GetKey())] = h.GetValue()
	}
	if headers["retry-after"] == "" || headers["content-type"] == "" {
		t.Errorf("headers = %v, want Retry-After and Content-Type among them", headers)
	}
	if unit := resp.GetStatuses()[0].GetCurrentLimit().GetUnit(); unit != rls.RateLimitResponse_RateLimit_WEEK {
		t.Errorf("the unit is %v, want WEEK", unit)
	}
}
