package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
)

// asJSON writes req the way a client would.
func asJSON(t *testing.T, req bucketring.Request) []byte {
	t.Helper()
	fields := map[string]any{"key": req.Key, "cost": costText(req), "namespace": req.Namespace, "token": req.Token}
	if len(req.Limits) > 0 {
		fields["limit"] = limitText(req.Limits)
	}
	if req.Attributes != nil {
		fields["attributes"] = req.Attributes
	}
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// costText writes a cost of 0 or more, or without decimals.
func costText(req bucketring.Request) json.Number {
	text := strconv.FormatInt(req.Cost, 10)
	if nanos := req.CostNanos; nanos != 0 {
		text = strings.TrimPrefix(text, "-") + fmt.Sprintf(".%09d", max(nanos, -nanos))
		if req.Cost < 0 || nanos < 0 {
			text = "-" + text
		}
	}
	return json.Number(text)
}

func limitText(limits []bucketring.Limit) string {
	var texts []string
	for _, l := range limits {
		texts = append(texts, l.String())
	}
	return strings.Join(texts, ",")
}

// checkStatus expects one of the answers that input alone can bring about.
func checkStatus(t *testing.T, status int) {
	t.Helper()
	if !slices.Contains([]int{200, 429, 400, 413, 415}, status) {
		t.Errorf("status %d", status)
	}
}

func FuzzTakeJSON(f *testing.F) {
	for _, body := range []string{
		`{"key":"alice","limit":"3/m","cost":1}`,
		`{"key":"a\u00e9\ud83d\ude00\n","limit":"10/s burst=5, 500/m","cost":9223372036854775807}`,
		`{"namespace":"n","attributes":{"user":"u1","":"x"},"cost":0}`, `{"cost":-12.5e-3,"namespace":"n","token":"0123456789abcdef"}`,
		`{"key":"\ud83d","limit":null}`, `{"key":"a","key":"b"}`, `[[[[[[[[[[[[[[[[[[]]]`,
		`{"cost":-0.0e+1,"x":[true,false,null,{"":""}]}`, "\xff", ` {} `, `{"requests":[{},{"key":"a","limit":"1/d"}]}`,
	} {
		f.Add([]byte(body))
	}
	h := newHandler(answering(denied(), nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		w := serve(h, request("/v1/take", string(body)+" "))
		checkStatus(t, w.Code)
		checkStatus(t, serve(h, request("/v1/take/batch", string(body)+" ")).Code)
		req, err := httpapi.DecodeRequest(body)
		if err != nil {
			if w.Code == 429 {
				t.Fatalf("%q was decided in spite of %v", body, err)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatalf("%q was read and is not JSON", body)
		}
		again, err := httpapi.DecodeRequest(asJSON(t, req))
		if diff := cmp.Diff(req, again); err != nil || diff != "" {
			t.Errorf("%q does not survive: %v\n%s", body, err, diff)
		}
		agree(t, body, req)
	})
}

// agree compares req with what the standard library reads, which is laxer but
// must not differ where both accept.
func agree(t *testing.T, body []byte, req bucketring.Request) {
	t.Helper()
	var std struct {
		Key, Namespace, Token string
		Limit                 string
		Cost                  *json.Number
		Attributes            map[string]string
	}
	if err := json.Unmarshal(body, &std); err != nil {
		t.Fatalf("%q was read and encoding/json says %v", body, err)
	}
	cost := json.Number("1")
	if std.Cost != nil {
		cost = *std.Cost
	}
	if std.Key != req.Key || std.Namespace != req.Namespace || std.Token != req.Token {
		t.Errorf("%q reads as %+v, encoding/json reads %+v", body, req, std)
	}
	agreeAmount(t, cost, req)
	if diff := cmp.Diff(std.Attributes, req.Attributes); diff != "" {
		t.Errorf("%q: attributes differ (-encoding/json +ours):\n%s", body, diff)
	}
}

// agreeAmount compares the cost of req with text, if that is not too long for it.
func agreeAmount(t *testing.T, text json.Number, req bucketring.Request) {
	t.Helper()
	if _, exponent, _ := strings.Cut(strings.ToLower(string(text)), "e"); len(strings.Trim(exponent, "+-0")) < 4 {
		checkAmount(t, string(text), req.Cost, req.CostNanos)
	}
}

func FuzzTakeQuery(f *testing.F) {
	for _, query := range []string{
		"key=alice&limit=3/m&cost=1", "key=%00%ff&limit=10/s+burst%3D5,500/m", "key=a&key=b", "cost=9223372036854775807&limit=1/d&key=x",
		"&&=&k%65y=%", "namespace=n&cost=0", "limt=3/m", "cost=1.5", "key=a;b&limit=1/s",
		"namespace=n&cost=1.5e-3&user=u1&token=0123456789abcdef", "namespace=n&a=1&a=2", "=1&namespace=n",
	} {
		f.Add(query)
	}
	h := newHandler(answering(denied(), nil))
	f.Fuzz(func(t *testing.T, query string) {
		r := request("/v1/take", "")
		r.URL.RawQuery = query
		w := serve(h, r)
		checkStatus(t, w.Code)
		req, err := httpapi.QueryRequest(query)
		if err != nil {
			if w.Code != 400 {
				t.Fatalf("%q: status %d in spite of %v", query, w.Code, err)
			}
			return
		}
		if !isText(req) {
			return // only a query can say that
		}
		body := asJSON(t, req)
		again, err := httpapi.DecodeRequest(body)
		if diff := cmp.Diff(req, again); err != nil || diff != "" {
			t.Errorf("query %q and body %s differ: %v\n%s", query, body, err, diff)
		}
		if other := serve(h, request("/v1/take", string(body))); other.Code != w.Code || other.Body.String() != w.Body.String() {
			t.Errorf("query %q answers %d %s\nbody %s answers %d %s", query, w.Code, w.Body, body, other.Code, other.Body)
		}
	})
}

// isText reports whether a body could say all of req.
func isText(req bucketring.Request) bool {
	for name, value := range req.Attributes {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return false
		}
	}
	return utf8.ValidString(req.Key) && utf8.ValidString(req.Namespace) && utf8.ValidString(req.Token)
}

// FuzzSmallBodies reads each body as everything that is no take. What is accepted
// means the same to encoding/json.
func FuzzSmallBodies(f *testing.F) {
	for _, body := range []string{
		`{"leases":["AAECAwQFBgcICQoLDA0ODxAR","BBECAwQFBgcICQoLDA0ODxA_"]}`, `{"leases":[]}`, `{"leases":[{}]}`,
		`{"reservation":"a.b","cost":12.5}`, `{"cost":1e-3,"reservation":"\u0061"}`, `{"reservation":null}`,
		`{"namespace":"n","attributes":{"user":"u1"},"add":-5.25}`, `{"namespace":"n","set":3,"version":7}`, `{"add":1,"set":1}`,
		`{"k1":{"user":"u1","plan":"pro"},"k2":null,"k3":{}}`, `{"a":{"b":"c","b":"d"}}`, `{"a":nulla}`, "\xff", `[[[[[[[[[[[[[[[[[[`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if ids, err := httpapi.DecodeLeases(body); err == nil {
			if got := unmarshal[struct{ Leases []string }](t, body).Leases; !slices.Equal(got, ids) || len(ids) == 0 {
				t.Errorf("%q has the leases %q, encoding/json reads %q", body, ids, got)
			}
		}
		if req, err := httpapi.DecodeSettle(body); err == nil {
			std := unmarshal[struct {
				Reservation string
				Cost        json.Number
			}](t, body)
			if len(req.IDs) != 1 || req.IDs[0] != std.Reservation || req.Verb != bucketring.VerbSettle {
				t.Errorf("%q reads as %+v, encoding/json reads %+v", body, req, std)
			}
			agreeAmount(t, std.Cost, req)
		}
		if req, err := httpapi.DecodeLevel(body); err == nil {
			agreeLevel(t, body, req)
		}
		if rows, err := httpapi.DecodeRows(body, true); err == nil {
			got := unmarshal[map[string]map[string]string](t, body)
			if diff := cmp.Diff(got, rows); diff != "" {
				t.Errorf("%q: rows differ (-encoding/json +ours):\n%s", body, diff)
			}
		}
	})
}

func agreeLevel(t *testing.T, body []byte, req bucketring.Request) {
	t.Helper()
	std := unmarshal[struct {
		Namespace  string
		Attributes map[string]string
		Add, Set   *json.Number
		Version    int64
	}](t, body)
	number := std.Add
	if req.Verb == bucketring.VerbSet {
		number = std.Set
	}
	if (std.Add == nil) == (std.Set == nil) || number == nil {
		t.Fatalf("%q reads as %v, encoding/json reads %+v", body, req.Verb, std)
	}
	agreeAmount(t, *number, req)
	if diff := cmp.Diff(std.Attributes, req.Attributes); diff != "" || std.Namespace != req.Namespace || std.Version != req.Version {
		t.Errorf("%q reads as %+v, encoding/json reads %+v\n%s", body, req, std, diff)
	}
}

// unmarshal reads body with encoding/json, which must accept what we accept.
func unmarshal[T any](t *testing.T, body []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%q was read and encoding/json says %v", body, err)
	}
	return v
}
