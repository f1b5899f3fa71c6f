package httpapi_test

import (
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
)

// deep nests n arrays.
func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestBadBodies(t *testing.T) {
	attributes := func(n int) string {
		var pairs []string
		for i := range n {
			pairs = append(pairs, `"a`+strings.Repeat("x", i)+`":""`)
		}
		return `{"attributes":{` + strings.Join(pairs, ",") + `}}`
	}
	tests := []struct{ name, body, want string }{
		{"blank", " ", `the body is empty: send a request such as {"key":"alice","limit":"3/m"}`},
		{"no object", `[]`, `a request must be an object such as {"key":"alice","limit":"3/m"}`},
		{"null", `null`, `a request must be an object such as {"key":"alice","limit":"3/m"}`},
		{"a form", `key=alice`, `the body is not valid JSON at byte 1: expected a value`},
		{"cut", `{"key":"alice"`, `the body is not valid JSON at byte 15: expected a comma or "}"`},
		{"cut in a string", `{"key":"alice`, `the body is not valid JSON at byte 14: a string does not end`},
		{"cut in an escape", `{"key":"a\`, `the body is not valid JSON at byte 10: expected one of \" \\ \/ \b \f \n \r \t \u`},
		{"cut after an escape", `{"key":"a\n`, `the body is not valid JSON at byte 12: a string does not end`},
		{"cut after a name", `{"key"`, `the body is not valid JSON at byte 7: expected a colon`},
		{"cut at a name", `{`, `the body is not valid JSON at byte 2: expected a name in double quotes`},
		{"trailing comma", `{"key":"a",}`, `the body is not valid JSON at byte 12: expected a name in double quotes`},
		{"trailing comma in an array", `{"key":[1,]}`, `the body is not valid JSON at byte 11: expected a value`},
		{"trailing data", `{"key":"a","limit":"3/m"} {}`, `the body is not valid JSON at byte 27: expected nothing after the value`},
		{"trailing NUL", "{}\x00", `the body is not valid JSON at byte 3: expected nothing after the value`},
		{"control character", "{\"key\":\"a\tb\"}", `the body is not valid JSON at byte 10: a control character in a string must be escaped`},
		{"control character after an escape", "{\"key\":\"\\n\t\"}", `the body is not valid JSON at byte 11: a control character in a string must be escaped`},
		{"unknown escape", `{"key":"\x41"}`, `the body is not valid JSON at byte 9: expected one of \" \\ \/ \b \f \n \r \t \u`},
		{"short unicode escape", `{"key":"\u00g1"}`, `the body is not valid JSON at byte 9: expected four hexadecimal digits after \u`},
		{"signed unicode escape", `{"key":"\u+041"}`, `the body is not valid JSON at byte 9: expected four hexadecimal digits after \u`},
		{"half a pair", `{"key":"\ud83d"}`, `the body is not valid JSON at byte 9: half of a surrogate pair is not a character`},
		{"pair turned round", `{"key":"\ude00\ud83d"}`, `the body is not valid JSON at byte 9: half of a surrogate pair is not a character`},
		{"invalid UTF-8", "{\"key\":\"\xff\"}", `the body is not valid UTF-8: send other bytes in the query of a GET`},
		{"byte order mark", "\ufeff{}", `the body is not valid JSON at byte 1: expected a value`},
		{"leading zero", `{"cost":01}`, `the body is not valid JSON at byte 10: expected a comma or "}"`},
		{"bare minus", `{"cost":-}`, `the body is not valid JSON at byte 10: expected a digit`},
		{"bare point", `{"cost":1.}`, `the body is not valid JSON at byte 11: expected a digit`},
		{"bare exponent", `{"cost":1e}`, `the body is not valid JSON at byte 11: expected a digit`},
		{"misspelt word", `{"cost":nul}`, `the body is not valid JSON at byte 9: expected a value`},
		{"deepest", `{"x":` + deep(15) + `}`, `unknown field "x": known are key, limit, cost, namespace, attributes, token`},
		{"deeper", `{"x":` + deep(16) + `}`, `the body nests more than 16 levels deep at byte 21`},
		{"far deeper", deep(100000), `the body nests more than 16 levels deep at byte 17`},

		{"misspelt field", `{"key":"alice","limt":"3/m"}`, `unknown field "limt": did you mean "limit"?`},
		{"capital field", `{"Key":"alice","limit":"3/m"}`, `unknown field "Key": did you mean "key"?`},
		{"foreign field", `{"leases":["x"]}`, `unknown field "leases": known are key, limit, cost, namespace, attributes, token`},
		{"short foreign field", `{"xy":1}`, `unknown field "xy": known are key, limit, cost, namespace, attributes, token`},
		{"long foreign field", `{"` + strings.Repeat("é", 40) + `":1}`, `unknown field "éééééééééé...": known are key, limit, cost, namespace, attributes, token`},
		{"the text is read before a field is judged", `{"limt":1`, `the body is not valid JSON at byte 10: expected a comma or "}"`},
		{"key twice", `{"key":"a","key":"b","limit":"3/m"}`, `key is given twice`},
		{"key twice, once escaped", `{"key":"a","k\u0065y":"b","limit":"3/m"}`, `key is given twice`},
		{"attributes twice", `{"attributes":{},"attributes":{}}`, `attributes is given twice`},
		{"key of another type", `{"key":1,"limit":"3/m"}`, `key must be a string in double quotes`},
		{"null key", `{"key":null,"limit":"3/m"}`, `key must be a string in double quotes`},
		{"limit of another type", `{"key":"a","limit":{"amount":3}}`, `limit must be a string in double quotes`},
		{"no key", `{"limit":"3/m"}`, `key is missing: name whose tokens are meant, for example a user or an address`},
		{"long key", `{"key":"` + strings.Repeat("k", 513) + `","limit":"3/m"}`, `key has 513 bytes, at most 512 are allowed: send a hash of it`},
		{"no limit", `{"key":"a"}`, `limit is missing: give one such as 100/m`},
		{"empty limit", `{"key":"a","limit":""}`, `limit 1, column 1: a limit is missing: write one such as 100/m`},
		{"bad unit", `{"key":"a","limit":"3/mn"}`, `limit 1, column 3: unknown unit "mn": did you mean "min"?`},
		{"cost with a point", `{"key":"a","limit":"3/m","cost":1.5}`, `cost must be a whole number written in digits only, such as 5`},
		{"cost with a zero behind the point", `{"key":"a","limit":"3/m","cost":1.0}`, `cost must be a whole number written in digits only, such as 5`},
		{"cost with an exponent", `{"key":"a","limit":"3/m","cost":1e3}`, `cost must be a whole number written in digits only, such as 5`},
		{"cost in quotes", `{"key":"a","limit":"3/m","cost":"1"}`, `cost must be a whole number written in digits only, such as 5`},
		{"null cost", `{"key":"a","limit":"3/m","cost":null}`, `cost must be a whole number written in digits only, such as 5`},
		{"cost too large", `{"key":"a","limit":"3/m","cost":9223372036854775808}`, `cost is out of range: at most 9223372036854775807`},
		{"negative cost", `{"key":"a","limit":"3/m","cost":-1}`, `cost is -1, it must be 0 or more: use refund to give tokens back`},
		{"most negative cost", `{"key":"a","limit":"3/m","cost":-9223372036854775808}`, `cost is -9223372036854775808, it must be 0 or more: use refund to give tokens back`},

		{"long namespace", `{"namespace":"` + strings.Repeat("n", 513) + `"}`, `namespace has 513 bytes, at most 512 are allowed`},
		{"attributes of another type", `{"attributes":[]}`, `attributes must be an object of strings such as {"user":"u1"}`},
		{"attribute of another type", `{"attributes":{"n":1}}`, `an attribute must be a string in double quotes`},
		{"attribute twice", `{"attributes":{"user":"a","user":"b"}}`, `attribute "user" is given twice`},
		{"unnamed attribute", `{"attributes":{"":"a"}}`, `the name of an attribute has 0 bytes, it must have 1 to 64`},
		{"long name of an attribute", `{"attributes":{"` + strings.Repeat("n", 65) + `":"a"}}`, `the name of an attribute has 65 bytes, it must have 1 to 64`},
		{"long attribute", `{"attributes":{"user":"` + strings.Repeat("v", 513) + `"}}`, `attribute "user" has 513 bytes, at most 512 are allowed`},
		{"too many attributes", attributes(33), `more than 32 attributes in one request`},
		{"attributes for nobody", attributes(32), `attributes are matched by a policy: give its namespace too`},
	}
	h := newHandler(limiterFunc(nil)) // must not be reached
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBad(t, h, request("/v1/take", tt.body), tt.want)
		})
	}
}

func TestBadQueries(t *testing.T) {
	tests := []struct{ name, query, want string }{
		{"nothing", "", `key is missing: name whose tokens are meant, for example a user or an address`},
		{"empty key", "key=&limit=3/m", `key is missing: name whose tokens are meant, for example a user or an address`},
		{"no limit", "key=a", `limit is missing: give one such as 100/m`},
		{"empty limit", "key=a&limit=", `limit 1, column 1: a limit is missing: write one such as 100/m`},
		{"unknown", "key=a&limit=3/m&cots=1", `unknown field "cots": did you mean "cost"?`},
		{"unknown, far from all", "key=a&limit=3/m&user=1", `unknown field "user": known are key, limit, cost, namespace, token`},
		{"repeated", "key=a&limit=3/m&key=b", `key is given twice`},
		{"repeated in another spelling", "key=a&limit=3/m&k%65y=b", `key is given twice`},
		{"repeated empty", "cost&cost", `cost is given twice`},
		{"bad escape", "key=%zz&limit=3/m", `the query has a % that two hexadecimal digits do not follow: write %25 for a percent sign`},
		{"bad escape in a name", "k%=1", `the query has a % that two hexadecimal digits do not follow: write %25 for a percent sign`},
		{"empty cost", "key=a&limit=3/m&cost=", `cost must be a whole number written in digits only, such as 5`},
		{"cost with a plus", "key=a&limit=3/m&cost=%2b1", `cost must be a whole number written in digits only, such as 5`},
		{"cost with a point", "key=a&limit=3/m&cost=1.5", `cost must be a whole number written in digits only, such as 5`},
		{"cost with leading zeros", "key=a&limit=3/m&cost=007", `cost must be a whole number written in digits only, such as 5`},
		{"bare minus", "key=a&limit=3/m&cost=-", `cost must be a whole number written in digits only, such as 5`},
		{"cost too large", "key=a&limit=3/m&cost=9223372036854775808", `cost is out of range: at most 9223372036854775807`},
		{"negative cost", "key=a&limit=3/m&cost=-1", `cost is -1, it must be 0 or more: use refund to give tokens back`},
		{"long namespace", "namespace=" + strings.Repeat("n", 513), `namespace has 513 bytes, at most 512 are allowed`},
	}
	h := newHandler(limiterFunc(nil)) // must not be reached
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBad(t, h, request("/v1/take?"+tt.query, ""), tt.want)
		})
	}
}

// checkBad expects 400 with the detail want and no rate fields.
func checkBad(t *testing.T, h http.Handler, r *http.Request, want string) {
	t.Helper()
	w := serve(h, r)
	if got := detail(t, w); w.Code != 400 || got != want {
		t.Errorf("answer = %d %s\nwant     400 %s", w.Code, got, want)
	}
	for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"} {
		if w.Header()[name] != nil {
			t.Errorf("answer has %s", name)
		}
	}
}

func TestGoodBodies(t *testing.T) {
	limits := bucketring.MustParse("3/m")
	tests := []struct {
		name, body string
		want       bucketring.Request
	}{
		{"spread out", " {\r\n\t\"key\" : \"a\" , \"limit\" : \"3/m\" }\n", bucketring.Request{Key: "a", Limits: limits, Cost: 1}},
		{"escapes", `{"key":"\"\\\/\b\f\n\r\t\u0000\u00E9\ud83d\ude00z","limit":"3\/m"}`,
			bucketring.Request{Key: "\"\\/\b\f\n\r\t\x00é😀z", Limits: limits, Cost: 1}},
		{"escaped name", `{"k\u0065y":"a","limit":"3/m"}`, bucketring.Request{Key: "a", Limits: limits, Cost: 1}},
		{"largest cost", `{"key":"a","limit":"3/m","cost":9223372036854775807}`,
			bucketring.Request{Key: "a", Limits: limits, Cost: math.MaxInt64}},
		{"minus nothing", `{"key":"a","limit":"3/m","cost":-0}`, bucketring.Request{Key: "a", Limits: limits}},
		{"empty namespace", `{"key":"a","limit":"3/m","namespace":"","attributes":{}}`,
			bucketring.Request{Key: "a", Limits: limits, Cost: 1, Attributes: map[string]string{}}},
		{"longest namespace", `{"namespace":"` + strings.Repeat("n", 512) + `","attributes":{"` + strings.Repeat("a", 64) + `":"` + strings.Repeat("v", 512) + `"}}`,
			bucketring.Request{Namespace: strings.Repeat("n", 512), Cost: 1,
				Attributes: map[string]string{strings.Repeat("a", 64): strings.Repeat("v", 512)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := httpapi.DecodeRequest([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("request differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestContentTypes(t *testing.T) {
	tests := []struct {
		types []string
		want  int
	}{
		{[]string{"application/json"}, 200},
		{[]string{"application/json; charset=utf-8"}, 200},
		{[]string{`Application/JSON;charset="UTF-8"`}, 200},
		{[]string{"application/json; charset=latin1"}, 415},
		{[]string{"application/json;"}, 200},
		{[]string{"application/json; ="}, 415},
		{[]string{"text/json"}, 415},
		{[]string{"application/x-www-form-urlencoded"}, 415},
		{[]string{"application/json", "text/plain"}, 415},
		{[]string{""}, 415},
		{nil, 415},
	}
	h := newHandler(answering(allowed(), nil))
	for _, tt := range tests {
		r := request("/v1/take", `{"key":"a","limit":"3/m"}`)
		r.Header["Content-Type"] = tt.types
		if w := serve(h, r); w.Code != tt.want {
			t.Errorf("Content-Type %q: status %d, want %d", tt.types, w.Code, tt.want)
		}
	}
}
