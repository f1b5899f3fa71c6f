package httplimit_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client/httplimit"
	"github.com/bucketring/bucketring/policy"
)

// apiPolicy is a policy whose responses section comes behind it. It has what each row of the
// table of headers needs.
const apiPolicy = `apiVersion: limits/v1
namespace: api
access:
  - {name: no-robots, when: {attr: {user: robot}}, deny: {status: 403, body: problem}}
limits:
  - {name: user-minute, when: {attr: {user: present}}, key: [user], limit: 2, per: 1m}
  - {name: user-hour, when: {attr: {user: present}}, key: [user], limit: 100, per: 1h, algorithm: fixed_window}
  - {name: jobs, kind: concurrency, when: {attr: {op: job}}, key: [user], limit: 1, headers: false, lease: {ttl: 60s}}
  - {name: size, kind: cap, when: {attr: {user: present}}, unit: bytes, cost: {from: content_length}, limit: 1kB}
`

// A step is one request and what its answer has beside a Content-Type.
type step struct {
	user, op string
	length   int
	status   int
	header   http.Header
}

// ask sends the request of a step; user and op come in headers.
func (s *step) ask(h http.Handler) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/v1/things", strings.NewReader(strings.Repeat("x", s.length)))
	r.Header.Set("X-User", s.user)
	r.Header.Set("X-Op", s.op)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func caller(r *http.Request) map[string]string {
	return map[string]string{"user": r.Header.Get("X-User"), "op": r.Header.Get("X-Op")}
}

// x are the fields of a limit of 2.
func x(remaining, reset string) http.Header {
	return http.Header{"X-Ratelimit-Limit": {"2"}, "X-Ratelimit-Remaining": {remaining}, "X-Ratelimit-Reset": {reset}}
}

// ietf are the fields of both rates of a user.
func ietf(r1, t1, r2 string) http.Header {
	return http.Header{
		"Ratelimit-Policy": {`"user-minute";q=2;w=60, "user-hour";q=100;w=3600`},
		"Ratelimit":        {`"user-minute";r=` + r1 + `;t=` + t1 + `, "user-hour";r=` + r2 + `;t=3600`},
	}
}

func with(h http.Header, name, value string) http.Header {
	h[name] = []string{value}
	return h
}

func join(a, b http.Header) http.Header {
	maps.Copy(a, b)
	return a
}

// A headerRow is a policy's section of responses and what its answers are like then.
type headerRow struct {
	name, responses string
	steps           []step
}

// headerRows are which header is where, in each style. A bubble begins at 946684800, when a
// minute and an hour begin.
func headerRows() []headerRow {
	none := http.Header{}
	return []headerRow{
		{"the default", ``, []step{
			{user: "a", status: 200, header: x("1", "946684830")},
			{user: "a", status: 200, header: x("0", "946684860")},
			{user: "a", status: 429, header: with(x("0", "946684860"), "Retry-After", "30")},
			{user: "b", status: 200, header: x("1", "946684830")}, // its own counter
			{status: 200, header: none},                           // no limit is met
			{user: "robot", status: 403, header: none},            // an access rule
			{user: "c", length: 1001, status: 413, header: http.Header{ // a cap shows the others, uncharged
				"X-Ratelimit-Limit": {"2"}, "X-Ratelimit-Remaining": {"2"}, "X-Ratelimit-Reset": {"946684800"}}},
			{user: "c", length: 1000, status: 200, header: x("1", "946684830")},
		}},
		{"delta", `responses: {headers: {reset: delta}}`, []step{
			{user: "a", status: 200, header: x("1", "30")},
			{user: "a", status: 200, header: x("0", "60")},
			{user: "a", status: 429, header: with(x("0", "60"), "Retry-After", "30")},
		}},
		{"on_deny", `responses: {headers: {send: on_deny}}`, []step{
			{user: "a", status: 200, header: none},
			{user: "a", status: 200, header: none},
			{user: "a", status: 429, header: with(x("0", "946684860"), "Retry-After", "30")},
		}},
		{"none", `responses: {headers: {style: none}}`, []step{
			{user: "a", status: 200, header: none},
			{user: "a", status: 200, header: none},
			{user: "a", status: 429, header: with(http.Header{}, "Retry-After", "30")},
		}},
		{"no Retry-After", `responses: {deny: {retry_after: none, status: 503}}`, []step{
			{user: "a", status: 200, header: x("1", "946684830")},
			{user: "a", status: 200, header: x("0", "946684860")},
			{user: "a", status: 503, header: x("0", "946684860")},
		}},
		{"ietf", `responses: {headers: {style: ietf}}`, []step{
			{user: "a", status: 200, header: ietf("1", "30", "99")},
			{user: "a", status: 200, header: ietf("0", "30", "98")},
			{user: "a", status: 429, header: with(ietf("0", "30", "98"), "Retry-After", "30")},
		}},
		{"both", `responses: {headers: {style: both}}`, []step{
			{user: "a", status: 200, header: join(x("1", "946684830"), ietf("1", "30", "99"))},
			{user: "a", status: 200, header: join(x("0", "946684860"), ietf("0", "30", "98"))},
			{user: "a", status: 429, header: join(with(x("0", "946684860"), "Retry-After", "30"), ietf("0", "30", "98"))},
		}},
	}
}

func TestHeaders(t *testing.T) {
	for _, tt := range headerRows() {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := httplimit.New(httplimit.Config{
					Limiter: newNode(t, apiPolicy+tt.responses), Request: httplimit.Policy("api", caller),
				})(hello)
				for i, s := range tt.steps {
					w := s.ask(h)
					got := w.Header()
					if w.Code != s.status {
						t.Errorf("step %d = %d %v, want %d", i, w.Code, got, s.status)
					}
					if wrong := (got.Get("Cache-Control") == "no-store") == (w.Code == 200); wrong {
						t.Errorf("step %d: Cache-Control %q with status %d", i, got.Get("Cache-Control"), w.Code)
					}
					got.Del("Content-Type")
					got.Del("Cache-Control")
					if diff := cmp.Diff(s.header, got); diff != "" {
						t.Errorf("step %d: header (-want +got):\n%s", i, diff)
					}
				}
			})
		})
	}
}

// TestPolicyDenialToTheByte sends refusals of the policies that are deployed over a
// connection, and holds them against the decision.
func TestPolicyDenialToTheByte(t *testing.T) {
	for _, tt := range []struct {
		namespace  string
		attributes map[string]string
		cost       int64
		status     int
	}{
		{"voicedub", map[string]string{"user": "u1"}, 200, 429},
		{"lesan", map[string]string{"api_key": "A"}, 40, 429},
		{"lesan", map[string]string{"api_key": "A", "op": "batch", "files": "101"}, 1, 413},
		{"uberduck", map[string]string{"user": "u1", "plan": "free"}, 1, 429},
		{"plaud", map[string]string{"client": "c1", "user": "u1", "plan": "standard"}, 1, 429},
		{"aionvision", map[string]string{"plan": "free", "org": "o1", "auth": "api_key", "key": "k"}, 1, 403},
	} {
		text, err := os.ReadFile("../../deploy/policies/" + tt.namespace + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		lim := &recorder{Limiter: newNode(t, string(text))}
		server := httptest.NewServer(httplimit.New(httplimit.Config{
			Limiter: lim, Request: httplimit.Policy(tt.namespace, func(*http.Request) map[string]string { return tt.attributes }),
			Cost: func(*http.Request) int64 { return tt.cost },
		})(hello))
		defer server.Close()
		for range 100 {
			resp, err := server.Client().Post(server.URL+"/v1/me/dubs", "text/plain", nil)
			if err != nil {
				t.Fatal(err)
			}
			_, d := lim.last()
			if d.Allowed {
				resp.Body.Close()
				continue
			}
			check(t, tt.namespace, tt.status, resp, d.Response)
			break
		}
		if _, d := lim.last(); d.Allowed {
			t.Errorf("%s admits all with %v, want a denial to look at", tt.namespace, tt.attributes)
		}
	}
}

// check wants an answer to be what the policy says: nothing less, and nothing more.
func check(t *testing.T, name string, status int, resp *http.Response, want *bucketring.Response) {
	t.Helper()
	defer resp.Body.Close()
	body := new(strings.Builder)
	if _, err := body.WriteString(read(t, resp)); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want.Status || want.Status != status || body.String() != string(want.Body) || len(want.Body) == 0 {
		t.Errorf("%s: answer %d\n%s\nwant %d, as the policy says: %d\n%s", name, resp.StatusCode, body, status, want.Status, want.Body)
	}
	header := http.Header{"Cache-Control": {"no-store"}}
	for _, f := range want.Headers {
		header.Set(f.Name, f.Value)
	}
	resp.Header.Del("Date")
	resp.Header.Del("Content-Length")
	if diff := cmp.Diff(header, resp.Header); diff != "" {
		t.Errorf("%s: header (-want +got):\n%s", name, diff)
	}
}

// TestPolicyAttributes: what a policy is told of a request.
func TestPolicyAttributes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		more   map[string]string
		want   map[string]string
	}{
		{"nothing", func(*http.Request) {}, nil, map[string]string{"method": "POST", "path": "/a%2Fb"}},
		{"a body", func(r *http.Request) { r.ContentLength = 7 }, nil,
			map[string]string{"method": "POST", "path": "/a%2Fb", "content_length": "7"}},
		{"an empty body", func(r *http.Request) { r.Header.Set("Content-Length", "0") }, nil,
			map[string]string{"method": "POST", "path": "/a%2Fb", "content_length": "0"}},
		{"a body of unknown length", func(r *http.Request) { r.ContentLength = -1 }, nil,
			map[string]string{"method": "POST", "path": "/a%2Fb"}},
		{"a token", func(r *http.Request) { r.Header.Set("Authorization", "bearer  abc ") }, nil,
			map[string]string{"method": "POST", "path": "/a%2Fb", "bearer": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}},
		{"another scheme", func(r *http.Request) { r.Header.Set("Authorization", "Basic abc") }, nil,
			map[string]string{"method": "POST", "path": "/a%2Fb"}},
		{"an id", func(r *http.Request) { r.Header.Set("X-Request-Id", "r1") }, nil,
			map[string]string{"method": "POST", "path": "/a%2Fb", "request_id": "r1"}},
		{"an id that no policy takes", func(r *http.Request) { r.Header.Set("X-Request-Id", strings.Repeat("r", 513)) }, nil,
			map[string]string{"method": "POST", "path": "/a%2Fb"}},
		{"what the program knows", func(*http.Request) {}, map[string]string{"user": "u1", "plan": "", "path": "/p"},
			map[string]string{"method": "POST", "path": "/p", "user": "u1"}},
	} {
		r := httptest.NewRequest("POST", "/a%2Fb?q=1", nil)
		tt.change(r)
		req, ok := httplimit.Policy("api", func(*http.Request) map[string]string { return tt.more })(r)
		want := bucketring.Request{Namespace: "api", Attributes: tt.want, Cost: 1}
		if diff := cmp.Diff(want, req); diff != "" || !ok {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, ok, diff)
		}
	}
}

// TestLongAttributesDoNotPass: nobody gets round a policy by sending more than it takes.
func TestLongAttributesDoNotPass(t *testing.T) {
	h := httplimit.New(httplimit.Config{Limiter: newNode(t, apiPolicy), Request: httplimit.Policy("api", caller)})(hello)
	s := step{user: strings.Repeat("u", policy.MaxAttributeValue+1)}
	if w := s.ask(h); w.Code != 400 || strings.Contains(w.Body.String(), "uu") {
		t.Errorf("answer %d %s, want 400 and nothing of what was sent", w.Code, w.Body)
	}
}

// TestUsage: callers see what they have used, for free; others reach the application.
func TestUsage(t *testing.T) {
	text, err := os.ReadFile("../../deploy/policies/lesan.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lim := &recorder{Limiter: newNode(t, string(text))}
	config := httplimit.Config{
		Limiter: lim, Usage: "GET /v1/usage",
		Request: httplimit.Policy("lesan", func(r *http.Request) map[string]string {
			return map[string]string{"api_key": r.URL.Query().Get("key")}
		}),
	}
	h := httplimit.New(config)(hello)
	get(h, "GET", "/?key=A")
	for range 2 { // looking costs nothing
		w := get(h, "GET", "/v1/usage?key=A")
		want := http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}
		if diff := cmp.Diff(want, w.Header()); diff != "" || w.Code != 200 || !strings.Contains(w.Body.String(), `"requests_used":1,`) {
			t.Errorf("usage = %d %s, header (-want +got):\n%s", w.Code, w.Body, diff)
		}
	}
	if req, _ := lim.last(); req.Verb != bucketring.VerbUsage || req.Cost != 0 {
		t.Errorf("it asked %+v, want usage", req)
	}
	if w := get(h, "GET", "/v1/usage"); w.Body.String() != "hello" || len(w.Header()["X-Ratelimit-Limit"]) != 0 {
		t.Errorf("usage of nobody = %s %v, want the application's answer, uncharged", w.Body, w.Header())
	}
	if w := get(h, "POST", "/v1/usage?key=A"); w.Header().Get("X-RateLimit-Remaining") != "58" {
		t.Errorf("another method = %v, want it charged", w.Header())
	}
	config.Limiter = decider(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
		return bucketring.Decision{}, bucketring.ErrUnavailable
	})
	if w := get(httplimit.New(config)(hello), "GET", "/v1/usage?key=A"); w.Body.String() != "hello" {
		t.Errorf("usage that nobody knows = %s, want the application's answer", w.Body)
	}
}
