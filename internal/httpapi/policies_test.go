package httpapi_test

import (
	"context"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

// fields makes header fields of name and value in turn.
func fields(pairs ...string) (all []bucketring.Header) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, bucketring.Header{Name: pairs[i], Value: pairs[i+1]})
	}
	return all
}

// The states of the limits of a policy.
func requestsState() bucketring.LimitState {
	return bucketring.LimitState{
		Name: "requests", Allowed: true, Limit: 60, Remaining: 59, Used: 1, Unit: "requests",
		ResetAfter: 30 * time.Second, ResetAt: 1704067200,
	}
}

func minutesState() bucketring.LimitState {
	return bucketring.LimitState{
		Name: "minutes-day", Allowed: true, Limit: 500_000, Remaining: 454_800, Used: 45_200, Unit: "minutes", Precision: 3,
		ResetAfter: time.Hour, ResetAt: 1704070800,
	}
}

func jobsState() bucketring.LimitState {
	return bucketring.LimitState{
		Name: "jobs", Allowed: true, Limit: 10, Remaining: 9, Used: 1, Unit: "jobs", Kind: bucketring.KindConcurrency,
	}
}

func storageState() bucketring.LimitState {
	return bucketring.LimitState{
		Name: "storage", Allowed: true, Limit: bucketring.Unlimited, Remaining: math.MaxInt64 - 7, Used: 7, Unit: "bytes",
		Kind: bucketring.KindLevel,
	}
}

// policyAllowed is an admitted call that meets one limit of each kind.
func policyAllowed() bucketring.Decision {
	d := bucketring.Decision{
		Allowed: true, LimitState: requestsState(), Node: "n1", Owner: "n2",
		Limits: []bucketring.LimitState{requestsState(), minutesState(), jobsState(), storageState()},
		Leases: []string{leaseA, leaseB}, Reservation: "r1",
	}
	d.Response = &bucketring.Response{Status: 200, Headers: fields("X-RateLimit-Limit", "60", "RateLimit", `"requests";r=59;t=30`)}
	return d
}

// policyDenied is a denial with a body of the policy's own.
func policyDenied() bucketring.Decision {
	s := requestsState()
	s.Allowed, s.Remaining, s.Used, s.RetryAfter = false, 0, 60, 19001*time.Millisecond
	return bucketring.Decision{
		LimitState: s, Limits: []bucketring.LimitState{s}, Node: "n1", Owner: "n2",
		Response: &bucketring.Response{
			Status:  422,
			Headers: fields("X-RateLimit-Limit", "60", "Content-Type", "application/json", "Retry-After", "20"),
			Body:    []byte(`{"error":{"retry_after":20}}`), Violated: []string{"requests"},
		},
	}
}

// policyProblem is a refusal with a status, as a problem without rate fields.
func policyProblem(status int, name string) bucketring.Decision {
	d := bucketring.Decision{Limits: []bucketring.LimitState{}, Node: "n1", Owner: "n1"}
	d.Name, d.LimitState.RetryAfter = name, bucketring.Never
	d.Response = &bucketring.Response{
		Status: status, Headers: fields("Content-Type", "application/problem+json"), Body: []byte(`{"type":"about:blank"}`),
	}
	return d
}

func TestPolicies(t *testing.T) {
	const who = `"namespace":"lesan","attributes":{"user":"u1"}`
	away := with(policyProblem(503, "requests"), func(d *bucketring.Decision) {
		d.Source, d.Degraded = bucketring.SourceFallbackClosed, true
		d.Limits = []bucketring.LimitState{{Name: "requests", Unit: "requests", Limit: 60, RetryAfter: time.Second}}
		d.LimitState = d.Limits[0]
		d.Response.Headers = append(d.Response.Headers, fields("Retry-After", "1")...)
	})
	closing := with(policyDenied(), func(d *bucketring.Decision) {
		d.Response.CloseCode, d.Response.CloseReason, d.Response.Body = 4029, `too "many"`, nil
	})
	exempt := bucketring.Decision{Allowed: true, Limits: []bucketring.LimitState{}, Node: "n1", Owner: "n1",
		Response: &bucketring.Response{Status: 200}}
	capped := with(policyProblem(413, "size"), func(d *bucketring.Decision) {
		d.Limits = []bucketring.LimitState{{Name: "size", Kind: bucketring.KindCap, Limit: 500, Remaining: 500, Unit: "bytes", RetryAfter: bucketring.Never}}
		d.LimitState = d.Limits[0]
	})
	hidden := with(exempt, func(d *bucketring.Decision) { d.Limits = []bucketring.LimitState{jobsState()} })
	record(t, "policies.golden", nil, []exchange{
		{name: "allowed", target: "/v1/take", body: `{` + who + `,"cost":1}`, d: policyAllowed()},
		{name: "a cost with decimals before its namespace", target: "/v1/take", body: `{"cost":12.5,` + who + `}`, d: policyAllowed()},
		{name: "a cost with more than nine decimals", target: "/v1/peek", body: `{"cost":0.30000000000000004,` + who + `}`, d: policyAllowed()},
		{name: "a token", target: "/v1/take", body: `{` + who + `,"token":"0123456789abcdef"}`, d: policyAllowed()},
		{name: "attributes in a query", target: "/v1/take?namespace=lesan&method=GET&path=/v1/a%20b%3Fc&cost=1.5&token=0123456789abcdef", d: policyAllowed()},
		{name: "a namespace alone", target: "/v1/take?namespace=lesan", d: exempt},
		{name: "denied", target: "/v1/take", body: `{` + who + `}`, d: policyDenied()},
		{name: "denied, and a socket to close", target: "/v1/peek", body: `{` + who + `}`, d: closing},
		{name: "exempt", target: "/v1/take", body: `{` + who + `}`, d: exempt},
		{name: "no limit is shown", target: "/v1/take", body: `{` + who + `}`, d: hidden},
		{name: "refused by an access rule", target: "/v1/take", body: `{` + who + `}`, d: policyProblem(403, "members-only")},
		{name: "too large", target: "/v1/take", body: `{` + who + `}`, d: capped},
		{name: "refused while the owner is away", target: "/v1/take", body: `{` + who + `}`, d: away},
		{name: "the largest rate has an end", target: "/v1/take", body: `{` + who + `}`, d: with(exempt, func(d *bucketring.Decision) {
			d.LimitState = requestsState()
			d.Limit, d.Remaining = math.MaxInt64, math.MaxInt64
			d.Limits = []bucketring.LimitState{d.LimitState}
		})},
		{name: "refund", target: "/v1/refund", body: `{` + who + `,"cost":0.25}`,
			d: with(policyAllowed(), func(d *bucketring.Decision) { d.Response, d.Leases, d.Reservation = nil, nil, "" })},
		{name: "refund while the owner is away", target: "/v1/refund", body: `{` + who + `}`,
			d: with(away, func(d *bucketring.Decision) { d.Response = nil })},
		{name: "reset", target: "/v1/reset", body: `{` + who + `,"cost":-0.5}`,
			d: with(policyAllowed(), func(d *bucketring.Decision) { d.Response, d.Leases, d.Reservation = nil, nil, "" })},
		{name: "batch", target: "/v1/take/batch", body: `{"requests":[{` + who + `,"cost":2.5,"token":"0123456789abcdef"}]}`, d: policyDenied()},
		{name: "a lease for a limit that came with the call", target: "/v1/take?key=alice&limit=10+concurrent",
			d: bucketring.Decision{Allowed: true, LimitState: jobsState(), Leases: []string{leaseA}}},
	})
}

// TestBadPolicyCalls: whatever could be a typing error is one.
func TestBadPolicyCalls(t *testing.T) {
	h := newHandler(limiterFunc(nil)) // must not be reached
	long := strings.Repeat("x", 65)
	for _, tt := range []struct{ name, target, body, want string }{
		{"short token", "/v1/take", `{"namespace":"n","token":"short"}`, `token has 5 bytes, it must have 16 to 64, at random`},
		{"long token", "/v1/take?namespace=n&token=" + long, "", `token has 65 bytes, it must have 16 to 64, at random`},
		{"token of an inline limit", "/v1/take?key=a&limit=3/m&token=x", "", `token has 1 bytes, it must have 16 to 64, at random`},
		{"token of another type", "/v1/take", `{"namespace":"n","token":1}`, `token must be a string in double quotes`},
		{"cost in quotes", "/v1/take", `{"namespace":"n","cost":"1"}`, `cost must be a number such as 5 or 12.5`},
		{"cost out of range", "/v1/take", `{"namespace":"n","cost":1e19}`, `cost is out of range: at most 9223372036854775807`},
		{"no number", "/v1/take?namespace=n&cost=1.", "", `cost must be a number such as 5 or 12.5`},
		{"decimals without a namespace", "/v1/take?key=a&limit=3/m&cost=1.5", "", `cost must be a whole number written in digits only, such as 5`},
		{"attribute without a namespace", "/v1/take?key=a&limit=3/m&plan=pro", "", `unknown field "plan": known are key, limit, cost, namespace, token`},
		{"attribute with an empty namespace", "/v1/take?namespace=&limt=3/m", "", `unknown field "limt": did you mean "limit"?`},
		{"attribute twice", "/v1/take?namespace=n&a=1&a=2", "", `attribute "a" is given twice`},
		{"unnamed attribute", "/v1/take?namespace=n&=1", "", `the name of an attribute has 0 bytes, it must have 1 to 64`},
		{"long attribute", "/v1/take?namespace=n&a=" + strings.Repeat("x", 513), "", `attribute "a" has 513 bytes, at most 512 are allowed`},
		{"too many attributes", "/v1/take?namespace=n" + manyParameters(33), "", `more than 32 attributes in one request`},
	} {
		t.Run(tt.name, func(t *testing.T) { checkBad(t, h, request(tt.target, tt.body), tt.want) })
	}
}

func manyParameters(n int) (query string) {
	for i := range n {
		query += "&a" + strings.Repeat("x", i) + "=1"
	}
	return query
}

// TestPolicyFields looks for one of each rate field, and none of an earlier
// answer.
func TestPolicyFields(t *testing.T) {
	h := newHandler(answering(policyDenied(), nil))
	w := serve(h, request("/v1/take?namespace=lesan", ""))
	for name, want := range map[string]string{
		"X-RateLimit-Limit": "60", "Retry-After": "20", "Content-Type": "application/json", "Cache-Control": "no-store",
	} {
		if got := w.Header()[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if len(w.Header()) != 4 || w.Code != 422 {
		t.Errorf("status %d, header %v, want 422 and four fields", w.Code, w.Header())
	}
}

// TestSharedResponse: a policy may answer many calls with one Response.
func TestSharedResponse(t *testing.T) {
	d := policyDenied()
	h := newHandler(answering(d, nil))
	for range 2 {
		w := serve(h, request("/v1/take?namespace=lesan", ""))
		for name, values := range w.Header() {
			if strings.HasPrefix(name, "X-RateLimit-") {
				values[0] = "changed"
			}
		}
	}
	if got, want := d.Response.Headers[0].Value, "60"; got != want {
		t.Errorf("the policy's header is %q now, want %q", got, want)
	}
	if got := d.Response.Headers[1].Name; got != "Content-Type" {
		t.Errorf("the policy's second header is %q now, want Content-Type", got)
	}
}

func TestUnavailableIsCounted(t *testing.T) {
	h := newHandler(answering(policyProblem(http.StatusServiceUnavailable, "requests"), nil))
	serve(h, request("/v1/take?namespace=lesan", ""))
	if got := h.Stats().Unavailable; got != 1 {
		t.Errorf("Stats().Unavailable = %d, want 1", got)
	}
}

// A body may show the id of the request, which a proxy has put on the call.
func TestRequestIdGoesToThePolicy(t *testing.T) {
	for _, tt := range []struct{ target, header, want string }{
		{"/v1/take?namespace=lesan&user=u1", "rq1", "rq1"},
		{"/v1/take?namespace=lesan&request_id=mine", "rq1", "mine"},
		{"/v1/take?namespace=lesan", "", ""},
		{"/v1/take?namespace=lesan", strings.Repeat("x", 513), ""},
		{"/v1/take?key=a&limit=3/m", "rq1", ""},
	} {
		var got bucketring.Request
		h := newHandler(limiterFunc(func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			got = req
			return bucketring.Decision{Allowed: true}, nil
		}))
		r := request(tt.target, "")
		if tt.header != "" {
			r.Header.Set("X-Request-Id", tt.header)
		}
		serve(h, r)
		if got.Attributes["request_id"] != tt.want {
			t.Errorf("GET %s with %q: request_id %q, want %q", tt.target, tt.header, got.Attributes["request_id"], tt.want)
		}
	}
}
