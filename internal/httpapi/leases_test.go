package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bucketring/bucketring"
)

// Two ids as a take answers them.
const (
	leaseA = "AAECAwQFBgcICQoLDA0ODxAR"
	leaseB = "BBECAwQFBgcICQoLDA0ODxA_"
)

func TestLeases(t *testing.T) {
	both := `{"leases":["` + leaseA + `","` + leaseB + `"]}`
	some := bucketring.Decision{Leases: []string{leaseB}}
	unknown := fmt.Errorf("%w: %s", bucketring.ErrUnknownID, leaseA)
	settled := bucketring.Decision{Allowed: true, LimitState: minutesState(), Limits: []bucketring.LimitState{minutesState()}, Reservation: "r1"}
	settled.Limits[0].Unit = "" // the node that settles has no policy at hand
	record(t, "leases.golden", nil, []exchange{
		{name: "renew", target: "/v1/renew", body: both, d: bucketring.Decision{Allowed: true, Leases: []string{leaseA, leaseB}}},
		{name: "renew what is gone", target: "/v1/renew", body: both, d: some},
		{name: "release what is gone", target: "/v1/release", body: both, d: some},
		{name: "release twice", target: "/v1/release", body: `{"leases":["` + leaseB + `","` + leaseB + `"]}`, d: some},
		{name: "release at a bad moment", target: "/v1/release", body: both, err: bucketring.ErrUnavailable},
		{name: "release with GET", target: "/v1/release"},
		{name: "settle", target: "/v1/settle", body: `{"reservation":"r1.r2","cost":12.5}`, d: settled},
		{name: "settle at nothing", target: "/v1/settle", body: `{"cost":0,"reservation":"r1"}`, d: settled},
		{name: "settle what is unknown", target: "/v1/settle", body: `{"reservation":"` + leaseA + `","cost":1}`, err: unknown},
		{name: "settle what is no id", target: "/v1/settle", body: `{"reservation":"x","cost":1}`, err: bucketring.Invalidf("a text for the caller")},
	})
}

func TestBadLeases(t *testing.T) {
	many := strings.Repeat(`"`+leaseA+`",`, 1000)
	const form = `an id has 24 characters of A-Z, a-z, 0-9, - and _: give it as the take answered it`
	h := newHandler(limiterFunc(nil)) // must not be reached
	for _, tt := range []struct{ name, path, body, want string }{
		{"no object", "/v1/renew", `[]`, `leases must be given in an object such as {"leases":["AbCdEfGhIjKlMnOpQrStUvWx"]}`},
		{"blank", "/v1/renew", ` `, `the body is empty: send a request such as {"leases":["AbCdEfGhIjKlMnOpQrStUvWx"]}`},
		{"nothing", "/v1/renew", `{}`, `leases is missing or empty: give 1 to 1000 ids`},
		{"none", "/v1/release", `{"leases":[]}`, `leases is missing or empty: give 1 to 1000 ids`},
		{"misspelt", "/v1/release", `{"lease":["x"]}`, `unknown field "lease": did you mean "leases"?`},
		{"twice", "/v1/release", `{"leases":["` + leaseA + `"],"leases":[]}`, `leases is given twice`},
		{"no array", "/v1/renew", `{"leases":"x"}`, `leases must be an array of ids in double quotes`},
		{"another type", "/v1/renew", `{"leases":["` + leaseA + `",7]}`, `lease 2: an id must be a string in double quotes`},
		{"no id", "/v1/renew", `{"leases":["secret"]}`, `lease 1: ` + form},
		{"two ids in one", "/v1/renew", `{"leases":["` + leaseA + `.` + leaseB + `"]}`, `lease 1: ` + form},
		{"too many", "/v1/renew", `{"leases":[` + many + `"` + leaseA + `"]}`, `lease 1000: more than 1000 leases in one call: split it`},
		{"trailing data", "/v1/renew", `{"leases":["` + leaseA + `"]} 1`, `the body is not valid JSON at byte 41: expected nothing after the value`},

		{"settle no object", "/v1/settle", `7`, `a settlement must be an object such as {"reservation":"AbCdEfGhIjKlMnOpQrStUvWx","cost":12.5}`},
		{"settle nothing", "/v1/settle", `{"cost":1}`, `reservation is missing: give it as the take answered it`},
		{"settle an empty one", "/v1/settle", `{"reservation":"","cost":1}`, `reservation is missing: give it as the take answered it`},
		{"settle a long one", "/v1/settle", `{"reservation":"` + strings.Repeat("x", 8193) + `","cost":1}`, `reservation has 8193 bytes, at most 8192 are allowed`},
		{"settle without a cost", "/v1/settle", `{"reservation":"x"}`, `cost is missing: give what the work has cost in the end`},
		{"settle a negative cost", "/v1/settle", `{"reservation":"x","cost":-0.5}`, `cost is negative, it must be 0 or more`},
		{"settle a word", "/v1/settle", `{"reservation":"x","cost":null}`, `cost must be a number such as 5 or 12.5`},
		{"settle another type", "/v1/settle", `{"reservation":7,"cost":1}`, `reservation must be a string in double quotes`},
		{"settle with a misspelt field", "/v1/settle", `{"reservation":"x","cots":1}`, `unknown field "cots": did you mean "cost"?`},
	} {
		t.Run(tt.name, func(t *testing.T) { checkBad(t, h, request(tt.path, tt.body), tt.want) })
	}
}

// TestMostLeases goes up to the bound.
func TestMostLeases(t *testing.T) {
	body := `{"leases":[` + strings.Repeat(`"`+leaseA+`",`, 999) + `"` + leaseB + `"]}`
	w := serve(newHandler(answering(bucketring.Decision{Leases: []string{leaseB}}, nil)), request("/v1/release", body))
	type lease struct {
		ID string
		OK bool
	}
	got := decode[struct{ Leases []lease }](t, w.Body).Leases
	if len(got) != 1000 || got[0] != (lease{leaseA, false}) || got[999] != (lease{leaseB, true}) {
		t.Errorf("%d answers, first %v, last %v", len(got), got[0], got[len(got)-1])
	}
}
