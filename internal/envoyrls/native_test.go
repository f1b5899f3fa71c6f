package envoyrls_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/envoyrls"
	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
)

const onePolicy = `
apiVersion: limits/v1
namespace: shop
charge: all_or_nothing
identify:
  user: [{descriptor: user_id}]
access:
  - {name: banned, when: {attr: {user: eve}}, deny: {status: 451, body: no}}
limits:
  - {name: calls, key: [user], limit: 3, per: 1m}
  - {name: team, key: [team], limit: 5, per: 14d, algorithm: fixed_window, when: {attr: {team: present}}, deny: {status: 430}}
  - {name: slots, kind: concurrency, key: [user], limit: 2, lease: {ttl: 60s}, when: {path: [/jobs]}}
  - {name: store, kind: level, key: [user], limit: 1TB, when: {attr: {bytes: present}}, cost: {from: attr, attr: bytes}}
  - {name: size, kind: cap, limit: 1, when: {path: [/size]}}
responses:
  bodies: {no: {error: go away}}
`

// native is a call to the policy.
func native(descriptors string) string {
	return strings.Replace(request(descriptors), `"d"`, `"shop"`, 1)
}

func TestNative(t *testing.T) {
	for _, s := range []script{
		{"one limit", []string{"user=a", "ok | ok 2/3", "user=a+2", "ok | ok 0/3", "user=a", "over | over 0/3", "user=b", "ok | ok 2/3"}},
		{"looks and gives back", []string{"user=a+0", "ok | ok 3/3", "user=a+3", "ok | ok 0/3", "user=a-2", "ok | ok 2/3", "user=a-9", "ok | ok 3/3"}},
		{"most restrictive", []string{"user=a/team=t", "ok | ok 2/3", "user=b/team=t", "ok | ok 2/3", "user=c/team=t+2", "ok | ok 1/3", "user=d/team=t", "ok | ok 0/5", "user=e/team=t", "over | over 0/5", "user=e", "ok | ok 2/3"}},
		{"all or nothing", []string{"user=a+4 user=b", "over | over 3/3 | ok 3/3", "user=a+2 user=b", "ok | ok 1/3 | ok 2/3", "user=b+2 user=a+2", "over | ok 2/3 | over 1/3", "user=b", "ok | ok 1/3"}},
		{"the last value of a key", []string{"user=a/user=b", "ok | ok 2/3", "user=b", "ok | ok 1/3", "user=a", "ok | ok 2/3"}},
		{"identify by an entry", []string{"user_id=a", "ok | ok 2/3", "user=a/user_id=b", "ok | ok 1/3"}},
		{"access", []string{"user=eve", "over | over", "user=eve user=a", "over | over | ok 3/3", "user=a", "ok | ok 2/3"}},
		{"leases", []string{"user=a/path=|jobs", "ok | ok 1/2", "user=b/path=|jobs user=b/path=|jobs", "ok | ok 1/2 | ok 0/2", "user=b/path=|jobs", "over | over 0/2"}},
		{"a level that fits no u32", []string{"user=a/bytes=1000", "ok | ok 2/3", "user=a/bytes=2000000000000", "over | over 4294967295/4294967295"}},
		{"a cap", []string{"user=a/path=|size+2", "over | over 1/1", "user=a/path=|size", "ok | ok 2/3"}},
	} {
		t.Run(s.name, func(t *testing.T) {
			d := open(t, envoyrls.Settings{}, onePolicy)
			for i := 0; i < len(s.calls); i += 2 {
				d.expect(native(s.calls[i]), s.calls[i+1])
			}
		})
	}
}

func TestNativeEach(t *testing.T) {
	d := open(t, envoyrls.Settings{}, strings.Replace(onePolicy, "charge: all_or_nothing", "charge: each", 1))
	d.expect(native("user=a+4 user=b"), "over | over 3/3 | ok 2/3")
	d.expect(native("user=b"), "ok | ok 1/3")
}

// answerOf is a call's answer as JSON.
func answerOf(d *door, request string) map[string]any {
	d.t.Helper()
	text, err := protojson.Marshal(d.ask(request))
	if err != nil {
		d.t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		d.t.Fatal(err)
	}
	return answer
}

func headersOf(resp *rls.RateLimitResponse) (all []string) {
	for _, h := range resp.GetResponseHeadersToAdd() {
		all = append(all, h.GetKey()+": "+h.GetValue())
	}
	return all
}

// TestNativeAnswer: names and units of limits, times, headers, body, and metadata.
func TestNativeAnswer(t *testing.T) {
	type m = map[string]any
	type list = []any
	d := open(t, envoyrls.Settings{DynamicMetadata: true}, onePolicy)
	tests := []struct {
		descriptors, metadata string
		statuses              list
		headers               []string
		body                  string
	}{
		{
			"user=a/team=t", `{"domain":"shop","limits":[{"limit":5,"name":"team","remaining":4,"reset":60}]}`,
			list{m{"code": "OK", "currentLimit": m{"name": "calls", "requestsPerUnit": 3., "unit": "MINUTE"}, "limitRemaining": 2., "durationUntilReset": "60s"}},
			[]string{"X-RateLimit-Limit: 3", "X-RateLimit-Remaining: 2", "X-RateLimit-Reset: 1699999360"}, "",
		},
		{
			"user=b/team=t+9", `{"domain":"shop","limits":[{"limit":5,"name":"team","remaining":4,"reset":60}],"status":429}`,
			list{m{"code": "OVER_LIMIT", "currentLimit": m{"name": "calls", "requestsPerUnit": 3., "unit": "MINUTE"}, "limitRemaining": 3.}}, nil, "quota-exceeded",
		},
		{
			"user=c/team=t+3 user=d/team=u+2", `{"domain":"shop","limits":[{"limit":5,"name":"team","remaining":1,"reset":60},{"limit":5,"name":"team","remaining":3,"reset":60}]}`,
			list{
				m{"code": "OK", "currentLimit": m{"name": "calls", "requestsPerUnit": 3., "unit": "MINUTE"}, "durationUntilReset": "60s"},
				m{"code": "OK", "currentLimit": m{"name": "calls", "requestsPerUnit": 3., "unit": "MINUTE"}, "limitRemaining": 1., "durationUntilReset": "60s"},
			},
			[]string{"X-RateLimit-Limit: 3", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1699999360"}, "",
		},
		{
			"user=e/team=t+2", `{"domain":"shop","limits":[{"limit":3,"name":"calls","remaining":3,"reset":60}],"status":430}`,
			list{m{"code": "OVER_LIMIT", "currentLimit": m{"name": "team", "requestsPerUnit": 5., "unit": "WEEK", "unitMultiplier": 2.}, "limitRemaining": 1., "durationUntilReset": "60s"}},
			[]string{"X-RateLimit-Limit: 5", "X-RateLimit-Remaining: 1", "X-RateLimit-Reset: 1699999360", "Retry-After: 60", "Content-Type: application/problem+json"}, "quota-exceeded",
		},
		{"user=f/path=|jobs", `{"domain":"shop","leases":["*"],"limits":[{"limit":3,"name":"calls","remaining":2,"reset":60}]}`,
			list{m{"code": "OK", "currentLimit": m{"name": "slots", "requestsPerUnit": 2.}, "limitRemaining": 1.}}, nil, ""},
		{"user=eve", `{"domain":"shop","status":451}`, list{m{"code": "OVER_LIMIT"}}, []string{"Content-Type: application/json"}, `{"error":"go away"}`},
	}
	for _, tt := range tests {
		resp := d.ask(native(tt.descriptors))
		text, _ := protojson.Marshal(resp)
		var got m
		_ = json.Unmarshal(text, &got)
		if diff := cmp.Diff(tt.statuses, got["statuses"]); diff != "" {
			t.Errorf("%s: statuses (-want +got):\n%s", tt.descriptors, diff)
		}
		if diff := cmp.Diff(tt.headers, headersOf(resp)); tt.headers != nil && diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", tt.descriptors, diff)
		}
		if body := string(resp.GetRawBody()); (body == "") != (tt.body == "") || !strings.Contains(body, tt.body) {
			t.Errorf("%s: body = %s, want %s", tt.descriptors, body, tt.body)
		}
		metadata, _ := got["dynamicMetadata"].(m)
		if leases, _ := metadata["leases"].(list); len(leases) == 1 {
			leases[0] = "*"
		}
		if made, _ := json.Marshal(metadata); string(made) != tt.metadata {
			t.Errorf("%s: metadata = %s, want %s", tt.descriptors, made, tt.metadata)
		}
	}
}

// TestDescribedRefusal: of several refusals headers are about the one that is free again last.
func TestDescribedRefusal(t *testing.T) {
	for _, descriptors := range []string{"user=b+9 user=a", "user=a user=b+9"} { // b can never have so many
		d := open(t, envoyrls.Settings{}, onePolicy)
		d.ask(native("user=a+3"))
		resp := d.ask(native(descriptors))
		if headers := strings.Join(headersOf(resp), " "); strings.Contains(headers, "Retry-After") || !strings.Contains(headers, "Remaining: 3") {
			t.Errorf("%s: headers = %s, want those of the second user", descriptors, headers)
		}
	}
}

// TestNativeSwitches: headers and the body with its type can be left out one by one.
func TestNativeSwitches(t *testing.T) {
	for _, tt := range []struct {
		settings envoyrls.Settings
		want     string
		body     bool
	}{
		{envoyrls.Settings{}, "X-RateLimit-Limit X-RateLimit-Remaining X-RateLimit-Reset Retry-After Content-Type", true},
		{envoyrls.Settings{ResponseHeaders: envoyrls.Off}, "Content-Type", true},
		{envoyrls.Settings{RawBody: envoyrls.Off}, "X-RateLimit-Limit X-RateLimit-Remaining X-RateLimit-Reset Retry-After", false},
		{envoyrls.Settings{ResponseHeaders: envoyrls.Off, RawBody: envoyrls.Off}, "", false},
	} {
		d := open(t, tt.settings, onePolicy)
		d.ask(native("user=a+3"))
		resp := d.ask(native("user=a"))
		var names []string
		for _, h := range resp.GetResponseHeadersToAdd() {
			names = append(names, h.GetKey())
		}
		if got := strings.Join(names, " "); got != tt.want || (resp.GetRawBody() != nil) != tt.body || resp.GetDynamicMetadata() != nil {
			t.Errorf("%+v: headers %s, body %s, want %s", tt.settings, got, resp.GetRawBody(), tt.want)
		}
	}
}

// TestNativeOverride: a limit that comes with a descriptor takes the place of every rate.
func TestNativeOverride(t *testing.T) {
	d := open(t, envoyrls.Settings{}, onePolicy)
	with := strings.Replace(native("user=a/team=t/path=|jobs"), `]}]}`, `], "limit": {"requestsPerUnit": 1, "unit": "HOUR", "unitMultiplier": 3}}]}`, 1)
	got := answerOf(d, with)["statuses"].([]any)[0].(map[string]any)["currentLimit"]
	if diff := cmp.Diff(map[string]any{"name": "calls", "requestsPerUnit": 1., "unit": "HOUR", "unitMultiplier": 3.}, got); diff != "" {
		t.Errorf("current limit (-want +got):\n%s", diff)
	}
	d.expect(with, "over | over 0/1")
	d.expect(native("user=a/team=t/path=|jobs"), "ok | ok 0/2") // of slots, which was no rate
	d.expect(strings.Replace(with, `"requestsPerUnit": 1`, `"requestsPerUnit": 5`, 1), "over | over 0/2")
}

// TestRace: somebody comes between the look and the charge of a call. Then nothing of it stays
// charged.
func TestRace(t *testing.T) {
	for text, descriptors := range map[string][2]string{
		domain: {"leaf=a", "leaf=b"}, strings.Replace(onePolicy, "namespace: shop", "namespace: d", 1): {"user=a/path=|jobs", "user=b"},
	} {
		d := open(t, envoyrls.Settings{AllOrNothing: true}, text)
		first, second := descriptors[0], descriptors[1]
		var once sync.Once
		d.fail = func(_ context.Context, req *bucketring.Request) error {
			look := req.Verb == bucketring.VerbPeek || req.Verb == bucketring.VerbStep && req.Args[0] == 0
			others := req.Cost == 3 || req.Verb == bucketring.VerbStep && req.Args[0] == 3
			if !look && !others { // all of the call has been looked at
				once.Do(func() { d.expect(request(second+"+3"), "ok | ok 0/3") })
			}
			return nil
		}
		got := brief(d.ask(request(first + "+2 " + second + "+2")))
		if !strings.HasPrefix(got, "over | ok ") || !strings.HasSuffix(got, "over 0/3") {
			t.Errorf("%s and %s: %s, want the second refused", first, second, got)
		}
		d.expect(request(first[:len("leaf=a")]+"+0"), "ok | ok 3/3")
		d.expect(request(second+"-1"), "ok | ok 1/3")
		if d.leases != 0 {
			t.Errorf("%s: %d leases are out, want those of the refused call back", first, d.leases)
		}
	}
}

// TestFivePolicies: the policies of the five services answer Envoy as they answer all.
func TestFivePolicies(t *testing.T) {
	for name, tt := range map[string]struct{ descriptors, want, limit string }{
		"voicedub":   {"user=u/method=POST", "ok | ok 499/500", "write-minute"},
		"lesan":      {"api_key=k", "ok | ok 59/60", "requests"},
		"plaud":      {"client=c/user=u", "ok | ok 9/10", "client-minute"},
		"uberduck":   {"user=u/plan=free", "ok | ok 4/5", "requests-minute"},
		"aionvision": {"auth=api_key/plan=free", "over | over", ""},
	} {
		text, err := os.ReadFile("../../policy/testdata/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		d := open(t, envoyrls.Settings{DynamicMetadata: true}, string(text))
		resp := d.ask(strings.Replace(request(tt.descriptors), `"d"`, `"`+name+`"`, 1))
		if got := brief(resp); got != tt.want || resp.GetStatuses()[0].GetCurrentLimit().GetName() != tt.limit {
			t.Errorf("%s: %s of %v, want %s of %s", name, got, resp.GetStatuses()[0].GetCurrentLimit(), tt.want, tt.limit)
		}
	}
}

// TestNativeErrors: what no policy can be applied to is the caller's mistake.
func TestNativeErrors(t *testing.T) {
	d := open(t, envoyrls.Settings{}, onePolicy)
	if _, err := d.try(native("user=a/bytes=many")); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a cost that is no number: %v, want INVALID_ARGUMENT", err)
	}
	d.fail = func(context.Context, *bucketring.Request) error { return bucketring.ErrUnavailable }
	if _, err := d.try(native("user=a user=b")); status.Code(err) != codes.Unavailable {
		t.Errorf("nobody can decide: %v, want UNAVAILABLE", err)
	}
}
