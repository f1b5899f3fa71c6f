package httpapi_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
	"github.com/bucketring/bucketring/policy"
)

const forwardPolicy = `
apiVersion: limits/v1
namespace: api
identify:
  key: [{header: X-Api-Key}, {query: key}]
  ip: [{peer_address: {trust_forwarded_from: [10.0.0.0/8]}}]
  plan: [{lookup: {table: keys, by: key, field: plan}}]
limits:
  - {name: requests, key: [key], limit: 60, per: 1m}
responses:
  usage: {path: GET /v1/limits, key: [key], body: {used: "${requests.used}"}}
`

// policies returns the policies that the tests of forward-auth ask.
func policies(t *testing.T) *policy.Set {
	t.Helper()
	p, err := policy.Parse("api.yaml", []byte(forwardPolicy), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set := (&policy.Set{}).WithPolicy(p)
	return set.WithRows("api", "keys", map[string]map[string]string{"k1": {"plan": "pro"}}, true)
}

// proxied makes the call of a proxy for a client's GET of uri. Headers are name
// and value in turn; an empty value takes the field away.
func proxied(query, uri string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/v1/forward-auth?"+query, nil)
	r.RemoteAddr = "10.1.2.3:4567"
	r.Header.Set("X-Forwarded-Method", "GET")
	r.Header.Set("X-Forwarded-Uri", uri)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	return r
}

func TestForwardAuth(t *testing.T) {
	allowed := policyAllowed()
	plain := with(allowed, func(d *bucketring.Decision) { d.Leases, d.Reservation = nil, "" })
	inline := denied()
	away := with(inline, func(d *bucketring.Decision) { d.Source = bucketring.SourceFallbackClosed })
	tests := []struct {
		name string
		r    *http.Request
		d    bucketring.Decision
		err  error
	}{
		{"admitted", proxied("namespace=api", "/v1/jobs", "X-Api-Key", "k1"), plain, nil},
		{"admitted with a lease", proxied("namespace=api", "/v1/jobs"), allowed, nil},
		{"denied", proxied("namespace=api", "/v1/jobs"), policyDenied(), nil},
		{"denied as 403", proxied("namespace=api&deny=403", "/v1/jobs"), policyDenied(), nil},
		{"denied as 401", proxied("namespace=api&deny=401", "/v1/jobs"), policyProblem(503, "requests"), nil},
		{"no access", proxied("namespace=api&deny=403", "/v1/jobs"), policyProblem(403, "members"), nil},
		{"exempt", proxied("namespace=api", "/v1/jobs"), bucketring.Decision{Allowed: true, Limits: []bucketring.LimitState{}, Response: &bucketring.Response{Status: 200}}, nil},
		{"denied without a word of the policy", proxied("namespace=api", "/"), inline, nil},
		{"refused without a word of the policy", proxied("namespace=api", "/"), away, nil},
		{"usage passes uncharged", proxied("namespace=api", "/v1/limits?x=1"), plain, nil},
		{"another method of that path is charged", proxied("namespace=api", "/v1/limits", "X-Forwarded-Method", "POST"), plain, nil},
		{"undecided", proxied("namespace=api&deny=403", "/"), plain, bucketring.ErrUnavailable},
		{"unknown namespace", proxied("namespace=ap", "/"), plain, nil},
		{"no namespace", proxied("", "/"), plain, nil},
		{"long namespace", proxied("namespace="+strings.Repeat("n", 513), "/"), plain, nil},
		{"another status", proxied("namespace=api&deny=429", "/"), plain, nil},
		{"bad length switch", proxied("namespace=api&length=yes", "/"), plain, nil},
		{"misspelt parameter", proxied("namespace=api&dney=403", "/"), plain, nil},
		{"no method", proxied("namespace=api", "/", "X-Forwarded-Method", ""), plain, nil},
		{"no uri", proxied("namespace=api", ""), plain, nil},
		{"length of no number", proxied("namespace=api&length=1", "/", "X-Forwarded-Content-Length", "1e3"), plain, nil},
		{"negative length", proxied("namespace=api&length=1", "/", "X-Forwarded-Content-Length", "-1"), plain, nil},
	}
	set := policies(t)
	var b strings.Builder
	for _, tt := range tests {
		b.WriteString("=== " + tt.name + "\n")
		h := httpapi.New(httpapi.Config{Policies: func() *policy.Set { return set }, Limiter: limiterFunc(
			func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
				b.WriteString(describe(req))
				return tt.d, tt.err
			})})
		b.WriteString(dump(serve(h, tt.r)) + "\n")
	}
	golden(t, "forward.golden", b.String())
}

// attributesOf returns the answer to a proxy and what the policy has learned of its
// client, nil if the call was refused before.
func attributesOf(t *testing.T, r *http.Request) (w *httptest.ResponseRecorder, got map[string]string) {
	t.Helper()
	set := policies(t)
	h := httpapi.New(httpapi.Config{Policies: func() *policy.Set { return set }, Limiter: limiterFunc(
		func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			got = req.Attributes
			return policyAllowed(), nil
		})})
	return serve(h, r), got
}

func TestForwardedAttributes(t *testing.T) {
	post := proxied("namespace=api", "/v1/a?key=k2")
	post.Method = "POST"
	strange := proxied("namespace=api", "/v1/a")
	strange.RemoteAddr = "@"
	for _, tt := range []struct {
		name string
		r    *http.Request
		want map[string]string // beside method GET, path /v1/a and ip 10.1.2.3
	}{
		{"plain", proxied("namespace=api", "/v1/a"), nil},
		{"headers of the client", proxied("namespace=api", "/v1/a", "X-Api-Key", "k1"), map[string]string{"key": "k1", "plan": "pro"}},
		{"its query, and the proxy's method is no matter", post, map[string]string{"key": "k2"}},
		{"other headers of the proxy are not believed", proxied("namespace=api", "/v1/a", "X-Original-Uri", "/x?key=k1"), nil},
		{"address from a trusted hop", proxied("namespace=api", "/v1/a", "X-Forwarded-For", "1.1.1.1, 192.0.2.7"), map[string]string{"ip": "192.0.2.7"}},
		{"length that nobody vouches for", proxied("namespace=api", "/v1/a", "X-Forwarded-Content-Length", "7"), nil},
		{"length", proxied("namespace=api&length=1", "/v1/a", "X-Forwarded-Content-Length", "7"), map[string]string{"content_length": "7"}},
		{"no length", proxied("namespace=api&length=1", "/v1/a"), nil},
		{"site and path", proxied("namespace=api", "http://example.com/v1/a?key=k2"), map[string]string{"key": "k2"}},
		{"site alone", proxied("namespace=api", "http://example.com?key=k2"), map[string]string{"path": "/", "key": "k2"}},
		{"no path", proxied("namespace=api", "*"), map[string]string{"path": "*"}},
		{"no address", strange, map[string]string{"ip": ""}},
		{"from another site", proxied("namespace=api", "/v1/a", "Sec-Fetch-Site", "cross-site", "Origin", "https://other.example"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := map[string]string{"method": "GET", "path": "/v1/a", "ip": "10.1.2.3"}
			maps.Copy(want, tt.want)
			maps.DeleteFunc(want, func(_, value string) bool { return value == "" })
			w, got := attributesOf(t, tt.r)
			if diff := cmp.Diff(want, got); diff != "" || w.Code != http.StatusOK {
				t.Errorf("status %d, attributes differ (-want +got):\n%s", w.Code, diff)
			}
		})
	}
}

// TestForwardedTwice: one of two may be what the client has sent to its proxy.
func TestForwardedTwice(t *testing.T) {
	for _, name := range []string{"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Content-Length"} {
		r := proxied("namespace=api&length=1", "/", name, "1")
		r.Header.Add(name, "2")
		w, got := attributesOf(t, r)
		if want := name + " is given twice: let the proxy replace what its client sends"; w.Code != 400 || got != nil || detail(t, w) != want {
			t.Errorf("%s twice: status %d, attributes %v, want 400 and none", name, w.Code, got)
		}
	}
}

// TestForwardAnyMethod: proxies pass the client's method on, and a page of another
// site may be what made the client send it.
func TestForwardAnyMethod(t *testing.T) {
	set := policies(t)
	h := httpapi.New(httpapi.Config{Policies: func() *policy.Set { return set }, Limiter: answering(policyAllowed(), nil)})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		r := proxied("namespace=api", "/", "Sec-Fetch-Site", "cross-site", "Origin", "https://other.example")
		r.Method, r.Body = method, http.NoBody
		if w := serve(h, r); w.Code != http.StatusOK || w.Body.Len() > 0 {
			t.Errorf("%s: status %d and body %q, want 200 and none", method, w.Code, w.Body)
		}
	}
}

func TestForwardWithoutPolicies(t *testing.T) {
	h := newHandler(limiterFunc(nil)) // must not be reached
	if w := serve(h, proxied("namespace=api", "/")); w.Code != http.StatusNotFound {
		t.Errorf("status %d, want 404", w.Code)
	}
}

func FuzzForward(f *testing.F) {
	f.Add("namespace=api&deny=403&length=1", "GET", "/v1/a?key=k", "7", "1.1.1.1")
	f.Add("namespace=api", "", "http://x", "-", ",")
	f.Add("namespace=ap%i", "*", "://", "99999999999999999999", "::1")
	p, err := policy.Parse("api.yaml", []byte(forwardPolicy), policy.Options{})
	if err != nil {
		f.Fatal(err)
	}
	set := (&policy.Set{}).WithPolicy(p)
	h := httpapi.New(httpapi.Config{Policies: func() *policy.Set { return set }, Limiter: answering(policyAllowed(), nil)})
	f.Fuzz(func(t *testing.T, query, method, uri, length, hops string) {
		r := httptest.NewRequest("GET", "/v1/forward-auth", nil)
		r.URL.RawQuery = query
		for name, value := range map[string]string{
			"X-Forwarded-Method": method, "X-Forwarded-Uri": uri, "X-Forwarded-Content-Length": length, "X-Forwarded-For": hops,
		} {
			r.Header[name] = []string{value}
		}
		if w := serve(h, r); w.Code != 200 && w.Code != 400 && w.Code != 404 {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		if h.Stats().Panics > 0 {
			t.Fatal("the call panicked")
		}
	})
}
