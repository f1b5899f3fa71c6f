// scopes_test.go asks every call of every door with a token of every scope.

package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/access"
	"github.com/bucketring/bucketring/internal/envoyrls/rlspb"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// scoped are tokens by what they are good for: a scope, a scope in another namespace than
// that of the calls, or nothing that is known.
type scoped map[string]string

// newTokens makes a file with a token of each scope, and one of all of them in another
// namespace.
func newTokens(t *testing.T) (path string, of scoped) {
	t.Helper()
	path, of = filepath.Join(t.TempDir(), "tokens.yaml"), scoped{"nobody": "", "stranger": "no such token"}
	var all bucketring.Scope
	for _, name := range bucketring.ScopeNames() {
		scope, err := bucketring.ParseScope(name)
		if err != nil {
			t.Fatal(err)
		}
		all |= scope
		of[name] = addToken(t, path, access.Grant{ID: name, Scopes: scope})
	}
	of["elsewhere"] = addToken(t, path, access.Grant{ID: "elsewhere", Scopes: all, Namespaces: []string{"elsewhere"}})
	return path, of
}

func addToken(t *testing.T, path string, g access.Grant) string {
	t.Helper()
	token, err := access.Add(path, g)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A want is what becomes of calls with a token.
type want int

const (
	passes want = iota
	isForbidden
	isUnknown
)

// wanted is what becomes of a call that needs scopes, "" for none, with a token.
func wanted(needs, token string) want {
	switch {
	case needs == "":
		return passes
	case token == "nobody" || token == "stranger":
		return isUnknown
	case strings.Contains(needs, token):
		return passes
	}
	return isForbidden
}

// A webCall is a call over HTTP as it is asked here. An id that is shown to the wrong tenant is
// unknown, so calls about ids are let through. A call that would end the node, or
// change its policies, is malformed: who may make it is told so.
type webCall struct{ needs, body, query string }

const (
	inline  = `{"key":"k","limit":"10/m"}`
	ofShop  = `{"namespace":"shop","attributes":{"user":"u"}}`
	someID  = "AAAAAAAAAAAAAAAAAAAAAAAA"
	shopper = "?namespace=shop&user=u"
)

// webCalls are those of openapi.yaml, and Gubernator's.
var webCalls = map[string]webCall{
	"POST /v1/take":                              {needs: "take", body: inline},
	"GET /v1/take":                               {needs: "take", query: "?key=k&limit=10/m"},
	"POST /v1/take/batch":                        {needs: "take adjust read admin", body: `{"requests":[` + inline + `]}`}, // each item for itself
	"POST /v1/peek":                              {needs: "take read", body: ofShop},
	"GET /v1/peek":                               {needs: "take read", query: shopper},
	"POST /v1/refund":                            {needs: "adjust", body: inline},
	"POST /v1/reset":                             {needs: "adjust", body: ofShop},
	"POST /v1/renew":                             {needs: "take elsewhere", body: `{"leases":["` + someID + `"]}`},
	"POST /v1/release":                           {needs: "take elsewhere", body: `{"leases":["` + someID + `"]}`},
	"POST /v1/settle":                            {needs: "take elsewhere", body: `{"reservation":"` + someID + `","cost":1}`},
	"POST /v1/level":                             {needs: "take", body: `{"namespace":"shop","attributes":{"user":"u"},"add":1}`},
	"GET /v1/usage":                              {needs: "read", query: shopper},
	"GET /v1/forward-auth":                       {needs: "take", query: "?namespace=shop"},
	"GET /v1/members":                            {needs: "read"},
	"GET /v1/ring":                               {needs: "read"},
	"GET /v1/explain":                            {needs: "read", query: "?key=k"},
	"GET /openapi.yaml":                          {},
	"GET /livez":                                 {},
	"GET /readyz":                                {},
	"POST /v1/admin/reload":                      {needs: "admin", body: "x"},
	"POST /v1/admin/drain":                       {needs: "admin", body: "x"},
	"GET /v1/admin/drain":                        {needs: "admin"},
	"POST /v1/admin/leave":                       {needs: "admin", body: "x"},
	"GET /v1/admin/top":                          {needs: "admin"},
	"POST /v1/admin/members/{name}/forget":       {needs: "admin"},
	"GET /v1/admin/policies":                     {needs: "admin"},
	"PUT /v1/admin/policies/{namespace}":         {needs: "admin", body: "x"},
	"PUT /v1/admin/overrides/{namespace}":        {needs: "admin", body: "x"},
	"PUT /v1/admin/tables/{namespace}/{table}":   {needs: "admin", body: "x"},
	"PATCH /v1/admin/tables/{namespace}/{table}": {needs: "admin", body: "x"},
	"GET /metrics":                               {needs: "read admin"},
	"GET /debug/pprof/":                          {needs: "admin"},
	"GET /debug/pprof/cmdline":                   {needs: "admin"},
	"GET /debug/pprof/profile":                   {needs: "admin", query: "?seconds=1"},
	"GET /debug/pprof/symbol":                    {needs: "admin"},
	"GET /debug/pprof/trace":                     {needs: "admin", query: "?seconds=0.001"},
	"POST /v1/GetRateLimits":                     {needs: "take adjust read admin", body: `{"requests":[{"name":"n","unique_key":"k","hits":"1","limit":"10","duration":"60000"}]}`},
	"GET /v1/HealthCheck":                        {needs: "read"},
	"GET /v1/LiveCheck":                          {},
}

// describedCalls are those of openapi.yaml.
func describedCalls(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../../internal/httpapi/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := ""
	for _, m := range regexp.MustCompile(`(?m)^  (/\S*):$|^    (get|put|post|patch|delete|head|options):$`).FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			path = m[1]
		} else {
			all = append(all, strings.ToUpper(m[2])+" "+path)
		}
	}
	if len(all) < 20 {
		t.Fatalf("openapi.yaml has the calls %v, want at least 20", all)
	}
	return all
}

// An rpc is a call over gRPC; its error is that of its item, where it has any.
type rpc struct {
	needs string
	call  func(context.Context, *grpc.ClientConn) error
}

// rpcs are all methods of the gRPC listener but health's, and what of one method needs
// another scope.
func rpcs() map[string]rpc {
	api := func(f func(context.Context, limitpb.LimiterClient) error) func(context.Context, *grpc.ClientConn) error {
		return func(ctx context.Context, conn *grpc.ClientConn) error { return f(ctx, limitpb.NewLimiterClient(conn)) }
	}
	take := &limitpb.TakeRequest{Key: "k", Limit: "10/m"}
	leases := &limitpb.LeasesRequest{Leases: []string{someID}}
	level := func(change *limitpb.LevelRequest) func(context.Context, *grpc.ClientConn) error {
		change.Namespace, change.Attributes = "shop", map[string]string{"user": "u"}
		return api(func(ctx context.Context, c limitpb.LimiterClient) error {
			_, err := c.SetLevel(ctx, change)
			return err
		})
	}
	return map[string]rpc{
		"Limiter/Take":      {"take", api(func(ctx context.Context, c limitpb.LimiterClient) error { _, err := c.Take(ctx, take); return err })},
		"Limiter/Peek":      {"take read", api(func(ctx context.Context, c limitpb.LimiterClient) error { _, err := c.Peek(ctx, take); return err })},
		"Limiter/Refund":    {"adjust", api(func(ctx context.Context, c limitpb.LimiterClient) error { _, err := c.Refund(ctx, take); return err })},
		"Limiter/Reset":     {"adjust", api(func(ctx context.Context, c limitpb.LimiterClient) error { _, err := c.Reset(ctx, take); return err })},
		"Limiter/TakeBatch": {"take", api(takeOneInABatch)},
		"Limiter/TakeStream": {"take", api(func(ctx context.Context, c limitpb.LimiterClient) error {
			return takeOneOnAStream(ctx, c, limitpb.Verb_TAKE)
		})},
		"Limiter/TakeStream refund": {"adjust", api(func(ctx context.Context, c limitpb.LimiterClient) error {
			return takeOneOnAStream(ctx, c, limitpb.Verb_REFUND)
		})},
		"Limiter/Renew":   {"take elsewhere", api(func(ctx context.Context, c limitpb.LimiterClient) error { _, err := c.Renew(ctx, leases); return err })},
		"Limiter/Release": {"take elsewhere", api(func(ctx context.Context, c limitpb.LimiterClient) error { _, err := c.Release(ctx, leases); return err })},
		"Limiter/Settle": {"take elsewhere", api(func(ctx context.Context, c limitpb.LimiterClient) error {
			_, err := c.Settle(ctx, &limitpb.SettleRequest{Reservation: someID})
			return err
		})},
		"Limiter/SetLevel":       {"adjust", level(&limitpb.LevelRequest{Change: &limitpb.LevelRequest_Set{Set: 1}})},
		"Limiter/SetLevel add":   {"take", level(&limitpb.LevelRequest{Change: &limitpb.LevelRequest_Add{Add: 1}})},
		"Limiter/SetLevel lower": {"adjust", level(&limitpb.LevelRequest{Change: &limitpb.LevelRequest_Add{Add: -1}})},
		"Limiter/Usage": {"read", api(func(ctx context.Context, c limitpb.LimiterClient) error {
			_, err := c.Usage(ctx, &limitpb.UsageRequest{Namespace: "shop", Attributes: map[string]string{"user": "u"}})
			return err
		})},
		"RateLimitService/ShouldRateLimit":      {"take", envoyCall(false)},
		"RateLimitService/ShouldRateLimit back": {"adjust", envoyCall(true)},
		"V1/GetRateLimits":                      {"take", gubernatorCall(1, 0)},
		"V1/GetRateLimits back":                 {"adjust", gubernatorCall(-1, 0)},
		"V1/GetRateLimits reset":                {"adjust", gubernatorCall(0, pb.Behavior_RESET_REMAINING)},
		"V1/GetRateLimits look":                 {"take", gubernatorCall(0, 0)},
		"V1/HealthCheck": {"read", func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := pb.NewV1Client(conn).HealthCheck(ctx, &pb.HealthCheckReq{})
			return err
		}},
		"V1/LiveCheck": {"", func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := pb.NewV1Client(conn).LiveCheck(ctx, &pb.LiveCheckReq{})
			return err
		}},
	}
}

func takeOneInABatch(ctx context.Context, c limitpb.LimiterClient) error {
	m, err := c.TakeBatch(ctx, &limitpb.TakeBatchRequest{Requests: []*limitpb.TakeRequest{{Key: "k", Limit: "10/m"}}})
	if err == nil && m.GetAnswers()[0].GetError() != nil {
		err = status.Error(codes.Code(m.GetAnswers()[0].GetError().GetCode()), m.GetAnswers()[0].GetError().GetDetail())
	}
	return err
}

func takeOneOnAStream(ctx context.Context, c limitpb.LimiterClient, verb limitpb.Verb) error {
	stream, err := c.TakeStream(ctx)
	if err != nil {
		return err
	}
	defer stream.CloseSend()
	_ = stream.Send(&limitpb.StreamRequest{Id: 1, Verb: verb, Request: &limitpb.TakeRequest{Key: "k", Limit: "10/m"}}) // Recv says why it fails
	m, err := stream.Recv()
	if err == nil && m.GetAnswer().GetError() != nil {
		err = status.Error(codes.Code(m.GetAnswer().GetError().GetCode()), m.GetAnswer().GetError().GetDetail())
	}
	return err
}

func envoyCall(back bool) func(context.Context, *grpc.ClientConn) error {
	return func(ctx context.Context, conn *grpc.ClientConn) error {
		d := descriptor("user", "u")
		d.IsNegativeHits = back
		_, err := rlspb.NewRateLimitServiceClient(conn).ShouldRateLimit(ctx, &rlspb.RateLimitRequest{Domain: "shop", Descriptors: []*rlspb.RateLimitDescriptor{d}})
		return err
	}
}

func gubernatorCall(hits int64, behavior pb.Behavior) func(context.Context, *grpc.ClientConn) error {
	return func(ctx context.Context, conn *grpc.ClientConn) error {
		m, err := pb.NewV1Client(conn).GetRateLimits(ctx, &pb.GetRateLimitsReq{Requests: []*pb.RateLimitReq{
			{Name: "n", UniqueKey: "k", Hits: hits, Limit: 10, Duration: 60_000, Behavior: behavior},
		}})
		if err == nil && m.GetResponses()[0].GetError() != "" { // an item has no code
			err = status.Error(codes.PermissionDenied, m.GetResponses()[0].GetError())
		}
		return err
	}
}

// methods are those of all services that callers have, as rpcs names them.
func methods() (all []string) {
	for _, s := range []grpc.ServiceDesc{limitpb.Limiter_ServiceDesc, rlspb.RateLimitService_ServiceDesc, pb.V1_ServiceDesc} {
		name := s.ServiceName[strings.LastIndexByte(s.ServiceName, '.')+1:] + "/"
		for _, m := range s.Methods {
			all = append(all, name+m.MethodName)
		}
		for _, m := range s.Streams {
			all = append(all, name+m.StreamName)
		}
	}
	return all
}

// redisCommands are those of Redis clients that are about policies, and one that is about a
// key. What each of the others needs is tested in internal/resp.
var redisCommands = map[string]string{
	"RL.TAKE shop user u":          "take",
	"RL.TAKE shop user u COST 0.5": "take",
	"RL.PEEK shop user u":          "take read",
	"RL.USAGE shop user u":         "read",
	"RL.RENEW " + someID:           "take elsewhere",
	"RL.RELEASE " + someID:         "take elsewhere",
	"RL.SETTLE " + someID + " 1":   "take elsewhere",
	"INCR k":                       "take",
}

// checkRedis sends a command on a connection of its own and looks whether it is let through.
func checkRedis(t *testing.T, n *testNode, command, needs, name, token string) {
	t.Helper()
	c := dialRedis(t, "tcp", n.at("resp"))
	if name != "nobody" {
		c.do("AUTH", token)
	}
	got := c.do(strings.Fields(command)...)
	expected := map[want]string{isForbidden: "-NOPERM ", isUnknown: "-NOAUTH "}[wanted(needs, name)]
	if !strings.HasPrefix(got, expected) || expected == "" && (strings.HasPrefix(got, "-NO") || strings.HasPrefix(got, "-UNAVAILABLE")) {
		t.Errorf("%s as %s: %q, want it to begin with %q (nothing is let through)", command, name, got, expected)
	}
}

// TestScopes: every call with a token of every scope, of another namespace, an unknown one,
// and none.
func TestScopes(t *testing.T) {
	t.Parallel()
	path, tokens := newTokens(t)
	n := startNode(t, "n1", "--tokens-file", path, "--policies", filesIn(t, map[string]string{"shop.yaml": shop}), "--listen-resp", "127.0.0.1:0")
	t.Run("http", func(t *testing.T) {
		for _, call := range describedCalls(t) {
			if _, known := webCalls[call]; !known {
				t.Errorf("nothing says which scope %s needs", call)
			}
		}
		for call, c := range webCalls {
			for name, token := range tokens {
				checkWeb(t, n, call, c, name, token)
			}
		}
	})
	t.Run("redis", func(t *testing.T) {
		for command, needs := range redisCommands {
			for name, token := range tokens {
				checkRedis(t, n, command, needs, name, token)
			}
		}
	})
	t.Run("grpc", func(t *testing.T) {
		conn, all := dialGRPC(t, n.at("grpc")), rpcs()
		for _, method := range methods() {
			if _, known := all[method]; !known {
				t.Errorf("nothing says which scope %s needs", method)
			}
		}
		for method, c := range all {
			for name, token := range tokens {
				ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token), slack)
				err := c.call(ctx, conn)
				cancel()
				expected := map[want]codes.Code{isForbidden: codes.PermissionDenied, isUnknown: codes.Unauthenticated}[wanted(c.needs, name)]
				if got := status.Code(err); got != expected && (expected != codes.OK || got == codes.PermissionDenied || got == codes.Unauthenticated) {
					t.Errorf("%s as %s: %v, want %v", method, name, err, expected)
				}
			}
		}
		if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
			t.Errorf("health without a token: %v", err)
		}
	})
}

// checkWeb makes a call over HTTP and looks whether it is let through.
func checkWeb(t *testing.T, n *testNode, call string, c webCall, name, token string) {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	door := n.web.base
	if !strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/v1/admin/") {
		door = n.admin().base
	}
	if path == "/openapi.yaml" {
		door = n.web.base
	}
	req, err := http.NewRequestWithContext(t.Context(), method, door+strings.NewReplacer("{", "", "}", "").Replace(path)+c.query, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-Method", "GET")
	req.Header.Set("X-Forwarded-Uri", "/")
	if name != "nobody" {
		req.Header.Set("X-Bucketring-Token", token)
	}
	resp, err := n.web.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	expected := map[want]int{isForbidden: 403, isUnknown: 401}[wanted(c.needs, name)]
	if strings.HasPrefix(path, "/v1/take/batch") || path == "/v1/GetRateLimits" { // who is refused is told so by each item
		if name == "elsewhere" {
			expected = 0
		}
	}
	if got := resp.StatusCode; got != expected && (expected != 0 || got == 401 || got == 403) {
		t.Errorf("%s as %s: %d, want %d (0 is let through)", call, name, got, expected)
	}
}
