package grpclimit_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/client/grpclimit"
)

const apiPolicy = `apiVersion: limits/v1
namespace: api
access:
  - {name: no-robots, when: {attr: {user: robot}}, deny: {status: 403, body: problem}}
  - {name: no-strangers, when: {attr: {user: stranger}}, deny: {status: 401, body: problem}}
limits:
  - {name: user-minute, key: [user], limit: 2, per: 1m}
  - {name: user-hour, key: [user], limit: 2, per: 1h, algorithm: fixed_window, precision: 1}
  - {name: checks, when: {path: [/grpc.health.v1.Health/Check]}, key: [user], limit: 100, per: 1m, headers: false}
  - {name: quiet, when: {attr: {user: quiet}}, limit: 0, per: 1m, deny: {retry_after: none}}
  - {name: size, kind: cap, when: {attr: {size: present}}, unit: bytes, cost: {from: attr, attr: size}, limit: 1kB}
responses: {headers: {style: both}}
`

// TestDenials: the status of each kind of denial by a policy.
func TestDenials(t *testing.T) {
	minute := &errdetails.QuotaFailure_Violation{Subject: "user-minute", QuotaId: "user-minute", QuotaValue: 2}
	hour := &errdetails.QuotaFailure_Violation{Subject: "user-hour", QuotaId: "user-hour", QuotaValue: 2,
		Description: "Limit user-hour allows 2 requests; try again in 3600 seconds."}
	size := &errdetails.QuotaFailure_Violation{Subject: "size", QuotaId: "size", QuotaValue: 1000,
		Description: "Limit size allows 1000 bytes; waiting does not help."}
	for _, tt := range []struct {
		user, size string
		code       codes.Code
		text       string
		details    []any
		pushback   string
		limit      []string // in X-RateLimit-Limit
	}{
		{"alice", "", codes.ResourceExhausted, hour.GetDescription(),
			[]any{&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Hour)}, &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{minute, hour}}},
			"3600000", []string{"2"}},
		{"bob", "1001", codes.ResourceExhausted, size.GetDescription(),
			[]any{&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{size}}}, "-1", []string{"2"}},
		{"robot", "", codes.PermissionDenied, "Access rule no-robots refuses this call.", []any{}, "-1", nil},
		{"stranger", "", codes.Unauthenticated, "Access rule no-strangers refuses this call.", []any{}, "-1", nil},
	} {
		t.Run(tt.user, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := serve(t, grpclimit.Config{Limiter: newNode(t, apiPolicy), Request: grpclimit.Policy("api", func(ctx context.Context) map[string]string {
					return map[string]string{"user": grpclimit.Metadata("user")(ctx), "size": grpclimit.Metadata("size")(ctx)}
				})}, nil)
				ctx := metadata.AppendToOutgoingContext(t.Context(), "user", tt.user, "size", tt.size)
				var trailer metadata.MD
				var err error
				for range 3 {
					if _, trailer, err = c.check(ctx); err != nil {
						break
					}
				}
				s := status.Convert(err)
				if s.Code() != tt.code || s.Message() != tt.text {
					t.Errorf("denial = %v, want %v: %s", err, tt.code, tt.text)
				}
				if diff := cmp.Diff(tt.details, s.Details(), protocmp.Transform()); diff != "" {
					t.Errorf("details (-want +got):\n%s", diff)
				}
				if got := trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != tt.pushback {
					t.Errorf("pushback = %v, want %s", got, tt.pushback)
				}
				if diff := cmp.Diff(tt.limit, trailer.Get("x-ratelimit-limit")); diff != "" {
					t.Errorf("limit (-want +got):\n%s", diff)
				}
				if draft := trailer.Get("ratelimit"); (len(draft) == 1) != (tt.limit != nil) {
					t.Errorf("RateLimit = %q", draft)
				}
			})
		})
	}
}

// TestOwnerAway: a limit that asks to refuse what nobody can count.
func TestOwnerAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := serve(t, grpclimit.Config{Request: grpclimit.Key(bucketring.MustParse("5/m unavailable=deny"), everyone),
			Limiter: decider(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
				return bucketring.Decision{Source: bucketring.SourceFallbackClosed,
					LimitState: bucketring.LimitState{Name: "inline", Limit: 5, RetryAfter: bucketring.Never}}, nil
			})}, nil)
		_, trailer, err := c.check(t.Context())
		if after, ok := grpclimit.RetryAfter(err); status.Code(err) != codes.Unavailable || !ok || after != time.Second {
			t.Errorf("call = %v, want Unavailable for 1s", err)
		}
		if diff := cmp.Diff(map[string][]string{"retry-after": {"1"}}, rates(trailer)); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
	})
}

// TestGRPCsOwnRetriesWait as long as they are told.
func TestGRPCsOwnRetriesWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := serve(t, grpclimit.Config{Limiter: newNode(t), Request: grpclimit.Key(bucketring.MustParse("1/m"), everyone)}, nil,
			grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.1s",
				"maxBackoff": "1s", "backoffMultiplier": 2, "retryableStatusCodes": ["RESOURCE_EXHAUSTED"]}}]}`))
		began := time.Now()
		for range 2 {
			if _, _, err := c.check(t.Context()); err != nil {
				t.Errorf("call = %v, want served, be it late", err)
			}
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("two calls took %v, want 1m", took)
		}
	})
}

func TestRetryAfterOfOthers(t *testing.T) {
	with := func(info *errdetails.RetryInfo) error {
		s, err := status.New(codes.Unavailable, "x").WithDetails(info)
		if err != nil {
			t.Fatal(err)
		}
		return s.Err()
	}
	for _, tt := range []struct {
		err   error
		after time.Duration
		ok    bool
	}{
		{nil, 0, false},
		{errors.New("x"), 0, false},
		{status.Error(codes.Unavailable, "x"), 0, false},
		{with(&errdetails.RetryInfo{}), 0, false},
		{with(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Minute)}), time.Minute, true},
		{with(&errdetails.RetryInfo{RetryDelay: durationpb.New(-time.Minute)}), 0, true},
		{with(&errdetails.RetryInfo{RetryDelay: &durationpb.Duration{Nanos: -1, Seconds: 1}}), 0, false},
	} {
		if after, ok := grpclimit.RetryAfter(tt.err); after != tt.after || ok != tt.ok {
			t.Errorf("RetryAfter(%v) = %v, %v, want %v, %v", tt.err, after, ok, tt.after, tt.ok)
		}
	}
}

func TestKeys(t *testing.T) {
	from := func(addr net.Addr) context.Context { return peer.NewContext(t.Context(), &peer.Peer{Addr: addr}) }
	with := func(pairs ...string) context.Context {
		return metadata.NewIncomingContext(t.Context(), metadata.Pairs(pairs...))
	}
	for _, tt := range []struct {
		name string
		key  grpclimit.KeyFunc
		ctx  context.Context
		want string
	}{
		{"IPv4", grpclimit.PeerIP, from(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7}), "192.0.2.1"},
		{"IPv6", grpclimit.PeerIP, from(&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:3::4"), Port: 7}), "2001:db8:1:2::/64"},
		{"a Unix socket", grpclimit.PeerIP, from(&net.UnixAddr{Name: "/a"}), "(none)"},
		{"nobody", grpclimit.PeerIP, t.Context(), "(none)"},
		{"metadata", grpclimit.Metadata("User"), with("user", "alice", "user", "bob"), "alice"},
		{"no metadata", grpclimit.Metadata("user"), t.Context(), "(none)"},
		{"longer than a key", grpclimit.Metadata("key"), with("key", strings.Repeat("k", 513)), client.HashKey(strings.Repeat("k", 513))},
		{"a secret", grpclimit.Hashed(grpclimit.Metadata("key")), with("key", "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	} {
		req, ok := grpclimit.Key(bucketring.MustParse("1/m"), tt.key)(tt.ctx, "/a/b", nil)
		if req.Key != tt.want || !ok || req.Cost != 1 {
			t.Errorf("%s: %+v, want the key %q", tt.name, req, tt.want)
		}
	}
}

func TestPolicyAttributes(t *testing.T) {
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "bearer abc", "x-request-id", "r1"))
	req, ok := grpclimit.Policy("api", func(context.Context) map[string]string { return map[string]string{"user": "u1", "plan": ""} })(ctx, "/a/b", nil)
	want := bucketring.Request{Namespace: "api", Cost: 1, Attributes: map[string]string{
		"method": "POST", "path": "/a/b", "user": "u1", "request_id": "r1",
		"bearer": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	}}
	if diff := cmp.Diff(want, req); diff != "" || !ok {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
}

func TestConfigPanics(t *testing.T) {
	for want, do := range map[string]func(){
		"grpclimit: Config.Limiter is missing: give a client.Client or a node": func() { grpclimit.Unary(grpclimit.Config{}) },
		"grpclimit: Config.Request is missing: grpclimit.Key and grpclimit.Policy make one": func() {
			grpclimit.Stream(grpclimit.Config{Limiter: decider(nil)})
		},
		"grpclimit: limit is missing: give one such as 100/m": func() { grpclimit.Key(nil, everyone) },
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panic = %v, want %s", got, want)
				}
			}()
			do()
		}()
	}
}
