package httplimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/client/httplimit"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
)

func ExamplePerKey() {
	lim, err := node.New(node.Config{Name: "n1"}) // or client.Dial, for nodes elsewhere
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })

	limit := httplimit.PerKey(lim, "2/m", httplimit.RemoteIP)
	handler := limit(mux) // http.ListenAndServe(addr, handler)

	for range 3 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/hello", nil))
		fmt.Printf("%d, %s left, retry after %q\n", w.Code, w.Header().Get("X-RateLimit-Remaining"), w.Header().Get("Retry-After"))
	}
	// Output:
	// 200, 1 left, retry after ""
	// 200, 0 left, retry after ""
	// 429, 0 left, retry after "30"
}

func ExampleNew() {
	// What each part does is in Config.
	lim := decider(away) // nobody can be reached
	failed := 0
	limit := httplimit.New(httplimit.Config{
		Limiter: lim,
		Request: httplimit.Key(bucketring.MustParse("10/s, 1000/h"), httplimit.Hashed(httplimit.Header("X-Api-Key"))),
		Observe: func(_ *http.Request, _ *bucketring.Decision, err error) {
			if err != nil {
				failed++ // a metric, in real life
			}
		},
	})
	w := httptest.NewRecorder()
	limit(hello).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code, w.Body, "and", failed, "call to the limiter failed")
	// Output: 200 hello and 1 call to the limiter failed
}

// uploads is what policies/uploads.yaml has.
const uploads = `apiVersion: limits/v1
namespace: uploads
limits:
  - {name: user-hour, key: [user], limit: {by: plan, values: {free: 1, pro: 100}}, per: 1h}
responses:
  bodies: {limited: {error: "${policy} allows ${limit} per hour", retry_after: "${retry_after}"}}
  deny: {body: limited}
`

func ExamplePolicy() {
	lim, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := policy.Parse("uploads.yaml", []byte(uploads), policy.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	lim.SetPolicies(new(policy.Set).WithPolicy(p))

	limit := httplimit.New(httplimit.Config{
		Limiter: lim,
		Request: httplimit.Policy("uploads", func(r *http.Request) map[string]string {
			return map[string]string{"user": userOf(r), "plan": "free"} // of your session
		}),
	})
	handler := limit(hello)

	for range 2 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("POST", "/uploads", nil))
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 hello
	// 429 {"error":"user-hour allows 1 per hour","retry_after":3600}
}

func userOf(*http.Request) string { return "alice" }

// A program that has the policy lets it find out who calls, as the HTTP door of a node
// does.
func ExamplePolicy_identify() {
	text := uploads + `identify: {user: [{header: X-Api-Key, hash: sha256}]}`
	p, err := policy.Parse("uploads.yaml", []byte(text), policy.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	policies := new(policy.Set).WithPolicy(p)

	request := httplimit.Policy(p.Namespace(), func(r *http.Request) map[string]string {
		peer, _ := netip.ParseAddrPort(r.RemoteAddr)
		in := policy.HTTPRequest{
			Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Header: r.Header, Peer: peer.Addr(), Length: -1,
		}
		return p.Identify(policies, &in, nil)
	})

	r := httptest.NewRequest("POST", "/uploads", nil)
	r.Header.Set("X-Api-Key", "secret")
	req, _ := request(r)
	fmt.Println(req.Attributes["user"])
	// Output: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b
}

// A handler that learns the cost of its work only when it is done.
func ExampleConfig_settle() {
	lim := reserving{} // in real life a node, or a Client, with a policy whose cost is from: report

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		minutes := int64(7) // of work
		if grant, ok := client.GrantFrom(r.Context()); ok {
			grant.Settle(minutes, 0)
		}
	})

	limit := httplimit.New(httplimit.Config{Limiter: lim, Request: httplimit.Policy("jobs", nil)})
	limit(handler).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/jobs", nil))
	// Output:
	// take of 1
	// settle of 7
}

// reserving is a Limiter that tells what it is asked.
type reserving struct{}

func (reserving) Take(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
	fmt.Println(req.Verb, "of", req.Cost)
	return bucketring.Decision{Allowed: true, Reservation: "r"}, nil
}
