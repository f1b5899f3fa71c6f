package httpapi_test

import (
	"math"
	"strings"
	"testing"

	"github.com/bucketring/bucketring"
)

func TestLevel(t *testing.T) {
	const who = `{"namespace":"n","attributes":{"user":"u1"},`
	ok := bucketring.Decision{Allowed: true, LimitState: storageState(), Limits: []bucketring.LimitState{storageState()}, Node: "n1", Owner: "n2"}
	full := with(ok, func(d *bucketring.Decision) {
		s := storageState()
		s.Limit, s.Remaining, s.Used, s.Allowed, s.RetryAfter = 10, 0, 12, false, bucketring.Never
		d.Allowed, d.LimitState, d.Limits = false, s, []bucketring.LimitState{s}
	})
	looks := with(full, func(d *bucketring.Decision) { d.Response = &bucketring.Response{Status: 507, Body: []byte(`{}`)} })
	away := with(full, func(d *bucketring.Decision) { d.Source, d.Degraded = bucketring.SourceFallbackClosed, true })
	record(t, "level.golden", nil, []exchange{
		{name: "add", target: "/v1/level", body: who + `"add":5}`, d: ok},
		{name: "add less than nothing", target: "/v1/level", body: who + `"add":-1.5}`, d: ok},
		{name: "add too much", target: "/v1/level", body: who + `"add":5}`, d: full},
		{name: "add too much, and the policy says how that looks", target: "/v1/level", body: who + `"add":5}`, d: looks},
		{name: "add while the owner is away", target: "/v1/level", body: who + `"add":5}`, d: away},
		{name: "set", target: "/v1/level", body: `{"version":7,"set":0.25,"namespace":"n"}`, d: ok},
		{name: "set without a version", target: "/v1/level", body: `{"set":0,"namespace":"n"}`, d: ok},
		{name: "set above the limit", target: "/v1/level", body: who + `"set":12}`, d: full},
		{name: "no level", target: "/v1/level", body: who + `"set":12}`, err: bucketring.Invalidf("a text for the caller")},
	})
}

func TestBadLevels(t *testing.T) {
	h := newHandler(limiterFunc(nil)) // must not be reached
	for _, tt := range []struct{ name, body, want string }{
		{"no object", `[]`, `a level must be an object such as {"namespace":"storage","attributes":{"user":"u1"},"add":-5}`},
		{"no namespace", `{"add":1}`, `namespace is missing: levels belong to a policy`},
		{"neither", `{"namespace":"n"}`, `give add to change the level by a number, or set to make it one`},
		{"a version alone", `{"namespace":"n","version":1}`, `give add to change the level by a number, or set to make it one`},
		{"both", `{"namespace":"n","add":1,"set":1}`, `give either add or set, not both`},
		{"add with a version", `{"namespace":"n","add":1,"version":1}`, `version orders what is set: leave it out with add`},
		{"negative set", `{"namespace":"n","set":-0.5}`, `set is negative, a level must be 0 or more`},
		{"negative version", `{"namespace":"n","set":1,"version":-1}`, `version is negative, it must be 0 or more`},
		{"version with decimals", `{"namespace":"n","set":1,"version":1.5}`, `version must be a whole number written in digits only, such as 5`},
		{"add in quotes", `{"namespace":"n","add":"1"}`, `add must be a number such as 5 or 12.5`},
		{"set of null", `{"namespace":"n","set":null}`, `set must be a number such as 5 or 12.5`},
		{"misspelt", `{"namespace":"n","ad":1}`, `unknown field "ad": did you mean "add"?`},
		{"a cost", `{"namespace":"n","cost":1}`, `unknown field "cost": known are namespace, attributes, add, set, version`},
		{"namespace of another type", `{"namespace":1,"add":1}`, `namespace must be a string in double quotes`},
		{"long namespace", `{"namespace":"` + strings.Repeat("n", 513) + `","add":1}`, `namespace has 513 bytes, at most 512 are allowed`},
		{"bad attributes", `{"namespace":"n","attributes":{"a":1},"add":1}`, `an attribute must be a string in double quotes`},
		{"trailing data", `{"namespace":"n","add":1},`, `the body is not valid JSON at byte 26: expected nothing after the value`},
	} {
		t.Run(tt.name, func(t *testing.T) { checkBad(t, h, request("/v1/level", tt.body), tt.want) })
	}
}

func TestUsage(t *testing.T) {
	d := policyAllowed()
	d.Response = nil
	page := with(d, func(d *bucketring.Decision) {
		d.Response = &bucketring.Response{Status: 200, Headers: fields("Content-Type", "application/json"), Body: []byte(`{"requests_used":1}`)}
	})
	endless := jobsState()
	endless.Limit, endless.Remaining = bucketring.Unlimited, math.MaxInt64-1
	record(t, "usage.golden", nil, []exchange{
		{name: "usage", target: "/v1/usage?namespace=lesan&user=u1&limit=x", d: d},
		{name: "usage with a page", target: "/v1/usage?user=u1&namespace=lesan", d: page},
		{name: "usage without limits", target: "/v1/usage?namespace=lesan", d: bucketring.Decision{Limits: []bucketring.LimitState{}}},
		{name: "leases without end", target: "/v1/usage?namespace=lesan", d: bucketring.Decision{Limits: []bucketring.LimitState{endless}}},
		{name: "the page alone", target: "/v1/usage?namespace=lesan&user=u1&render=policy", d: page},
		{name: "no page", target: "/v1/usage?namespace=lesan&render=policy", d: d},
		{name: "no namespace", target: "/v1/usage?user=u1"},
		{name: "another rendering", target: "/v1/usage?namespace=lesan&render=html"},
		{name: "too many attributes", target: "/v1/usage?namespace=lesan" + manyParameters(33)},
		{name: "no policy", target: "/v1/usage?namespace=lesan", err: bucketring.ErrNoPolicy},
		{name: "usage by POST", target: "/v1/usage", body: "{}"},
	})
}
