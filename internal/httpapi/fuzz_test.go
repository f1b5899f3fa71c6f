package httpapi_test

import (
	"encoding/json"
	"slices"
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
	fields := map[string]any{"key": req.Key, "cost": req.Cost, "namespace": req.Namespace}
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
		`{"namespace":"n","attributes":{"user":"u1","":"x"},"cost":0}`,
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
		Key, Namespace string
		Limit          string
		Cost           *int64
		Attributes     map[string]string
	}
	if err := json.Unmarshal(body, &std); err != nil {
		t.Fatalf("%q was read and encoding/json says %v", body, err)
	}
	cost := int64(1)
	if std.Cost != nil {
		cost = *std.Cost
	}
	if std.Key != req.Key || std.Namespace != req.Namespace || cost != req.Cost {
		t.Errorf("%q reads as %+v, encoding/json reads %+v", body, req, std)
	}
	if diff := cmp.Diff(std.Attributes, req.Attributes); diff != "" {
		t.Errorf("%q: attributes differ (-encoding/json +ours):\n%s", body, diff)
	}
}

func FuzzTakeQuery(f *testing.F) {
	for _, query := range []string{
		"key=alice&limit=3/m&cost=1", "key=%00%ff&limit=10/s+burst%3D5,500/m", "key=a&key=b", "cost=9223372036854775807&limit=1/d&key=x",
		"&&=&k%65y=%", "namespace=n&cost=0", "limt=3/m", "cost=1.5", "key=a;b&limit=1/s",
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
		if !utf8.ValidString(req.Key) || !utf8.ValidString(req.Namespace) {
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
