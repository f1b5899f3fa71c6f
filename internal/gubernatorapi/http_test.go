package gubernatorapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi"
)

const rates = "/v1/GetRateLimits"

// call sends one HTTP request. Headers are name, value, and so on.
func call(s http.Handler, method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// goldenJSON are bodies and their answers, whole. The bubble's time is 2000-01-01.
var goldenJSON = []struct{ name, body, want string }{
	{"as it is written", `{"requests":[{"name":"n","unique_key":"k","hits":1,"limit":5,"duration":60000}]}`,
		`{"responses":[{"status":"UNDER_LIMIT","limit":"5","remaining":"4","reset_time":"946684860000","error":"","metadata":{}}]}`},
	{"camelCase, text, and names", `{"requests":[{"name":"n","uniqueKey":"k","hits":"1","limit":"5","duration":"60000","algorithm":"TOKEN_BUCKET","behavior":"NO_BATCHING","createdAt":"0"}]}`,
		`{"responses":[{"status":"UNDER_LIMIT","limit":"5","remaining":"3","reset_time":"946684860000","error":"","metadata":{}}]}`},
	{"over limit", `{"requests":[{"name":"n","unique_key":"k","hits":4,"limit":5,"duration":60000}]}`,
		`{"responses":[{"status":"OVER_LIMIT","limit":"5","remaining":"3","reset_time":"946684860000","error":"","metadata":{}}]}`},
	{"flags as a number, unknown ones too", `{"requests":[{"name":"n","unique_key":"k","hits":4,"limit":5,"duration":60000,"behavior":107}]}`,
		`{"responses":[{"status":"UNDER_LIMIT","limit":"5","remaining":"5","reset_time":"0","error":"","metadata":{}}]}`},
	{"unknown names of fields and enums", `{"requests":[{"name":"n","unique_key":"k2","hits":1,"limit":5,"duration":60000,"algorithm":"GCRA","behavior":"X","x":{"y":[1,{}]}}],"z":null}`,
		`{"responses":[{"status":"UNDER_LIMIT","limit":"5","remaining":"4","reset_time":"946684860000","error":"","metadata":{}}]}`},
	{"algorithm by number", `{"requests":[{"name":"n","unique_key":"k3","hits":1,"limit":5,"duration":60000,"algorithm":1,"burst":"7","metadata":{"a":"b"}}]}`,
		`{"responses":[{"status":"UNDER_LIMIT","limit":"5","remaining":"6","reset_time":"946684788000","error":"","metadata":{}}]}`},
	{"unknown algorithm", `{"requests":[{"name":"n","unique_key":"<ü>","algorithm":7}]}`,
		`{"responses":[{"status":"UNDER_LIMIT","limit":"0","remaining":"0","reset_time":"0","error":"Error while apply rate limit for 'n_<ü>': during workerPool.GetRateLimit: Invalid rate limit algorithm '7'","metadata":{}}]}`},
	{"of another node", `{"requests":[{"name":"n","unique_key":"far","hits":1,"limit":5,"duration":60000}]}`,
		`{"responses":[{"status":"UNDER_LIMIT","limit":"5","remaining":"4","reset_time":"946684860000","error":"","metadata":{"owner":"b"}}]}`},
	{"no items", `{"requests":[]}`, `{"responses":[]}`},
	{"no field", `{}`, `{"responses":[]}`},
	{"nothing", ``, `{"responses":[]}`},
	{"blanks", " \r\n\t", `{"responses":[]}`},
}

func TestGoldenJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.owner = func(key string) string {
			if strings.HasSuffix(key, "far") {
				return "b"
			}
			return "a"
		}
		cfg := standard()
		cfg.Limiter = &fake{w, "a"}
		s := server(cfg)
		for _, c := range goldenJSON {
			got := call(s, "POST", rates, strings.NewReader(c.body), "Content-Type", "text/unknown")
			if got.Code != 200 || got.Body.String() != c.want {
				t.Errorf("%s: %d\n got %s\nwant %s", c.name, got.Code, got.Body, c.want)
			}
			if h := got.Header(); h.Get("Content-Type") != "application/json" || h.Get("Grpc-Metadata-Content-Type") != "application/grpc" {
				t.Errorf("%s: headers %v", c.name, h)
			}
		}
	})
}

func TestHealthJSON(t *testing.T) {
	cfg := standard()
	cfg.Peers = func() []gubernatorapi.Peer { return []gubernatorapi.Peer{{Address: "127.0.0.1:1051", Self: true}} }
	s := server(cfg)
	got := call(s, "GET", "/v1/HealthCheck", nil)
	want := `{"status":"healthy","message":"","peer_count":1,"advertise_address":"127.0.0.1:1051",` +
		`"local_peers":[{"grpc_address":"127.0.0.1:1051","data_center":""}],"region_peers":[]}`
	if got.Code != 200 || got.Body.String() != want {
		t.Errorf("HealthCheck = %d %s, want %s", got.Code, got.Body, want)
	}
	if got = call(s, "GET", "/v1/LiveCheck", nil); got.Code != 200 || got.Body.String() != "{}" {
		t.Errorf("LiveCheck = %d %s", got.Code, got.Body)
	}
	s.NotServing()
	want = `{"code":14,"message":"server is shutting down","details":[]}`
	if got = call(s, "GET", "/v1/LiveCheck", nil); got.Code != 503 || got.Body.String() != want {
		t.Errorf("LiveCheck at the end = %d %s, want 503 %s", got.Code, got.Body, want)
	}
}

// httpErrors are calls that get no answers. An empty want is a text of the decoder's.
var httpErrors = []struct {
	name, method, path, body string
	headers                  []string
	status, code             int
	want                     string
}{
	{"malformed", "POST", rates, `{"requests":[`, nil, 400, 3, ""},
	{"more behind it", "POST", rates, `{}{}`, nil, 400, 3, ""},
	{"wrong type", "POST", rates, `{"requests":[{"hits":{}}]}`, nil, 400, 3, ""},
	{"no whole number", "POST", rates, `{"requests":[{"hits":1.5}]}`, nil, 400, 3, ""},
	{"null item", "POST", rates, `{"requests":[null]}`, nil, 400, 3, ""},
	{"null", "POST", rates, `null`, nil, 400, 3, ""},
	{"list of flags", "POST", rates, `{"requests":[{"behavior":["GLOBAL"]}]}`, nil, 400, 3, ""},
	{"no UTF-8", "POST", rates, "{\"requests\":[{\"name\":\"\xff\"}]}", nil, 400, 3, ""},
	{"too deep", "POST", rates, `{"x":` + strings.Repeat("[", 17) + strings.Repeat("]", 17) + `}`, nil, 400, 3, ""},
	{"1001 items", "POST", rates, `{"requests":[{}` + strings.Repeat(",{}", 1000) + `]}`, nil, 400, 11, "Requests.RateLimits list too large; max size is '1000'"},
	{"GET", "GET", rates, "", nil, 501, 12, "Method Not Allowed"},
	{"HEAD", "HEAD", "/v1/HealthCheck", "", nil, 501, 12, "Method Not Allowed"},
	{"POST", "POST", "/v1/LiveCheck", "", nil, 501, 12, "Method Not Allowed"},
	{"unknown path", "POST", "/v1/GetRateLimit", "", nil, 404, 5, "Not Found"},
	{"timeout without unit", "POST", rates, "{}", []string{"Grpc-Timeout", "10"}, 400, 3, "invalid grpc-timeout: 10"},
	{"timeout without number", "GET", "/v1/HealthCheck", "", []string{"Grpc-Timeout", "S"}, 400, 3, "invalid grpc-timeout: S"},
	{"negative timeout", "GET", "/v1/LiveCheck", "", []string{"Grpc-Timeout", "-1S"}, 400, 3, "invalid grpc-timeout: -1S"},
	{"a page of another site", "POST", rates, "{}", []string{"Sec-Fetch-Site", "cross-site"}, 403, 7, "a page of another site made this call, which is not allowed"},
}

func TestHTTPErrors(t *testing.T) {
	s := server(standard())
	for _, c := range httpErrors {
		got := call(s, c.method, c.path, strings.NewReader(c.body), c.headers...)
		wantError(t, c.name, got, c.status, c.code, c.want)
	}
	got := call(s, "POST", rates, io.MultiReader(strings.NewReader("{"), iotest.ErrReader(errors.New("torn"))))
	wantError(t, "a torn body", got, 400, 3, "torn")
}

func wantError(t *testing.T, name string, got *httptest.ResponseRecorder, status, code int, message string) {
	t.Helper()
	var problem struct {
		Code    int
		Message string
		Details []any
	}
	if err := json.Unmarshal(got.Body.Bytes(), &problem); err != nil {
		t.Errorf("%s: %d %q is no JSON: %v", name, got.Code, got.Body, err)
	}
	whole := fmt.Sprintf(`{"code":%d,"message":"%s","details":[]}`, code, message)
	if got.Code != status || problem.Code != code || problem.Details == nil || message != "" && got.Body.String() != whole {
		t.Errorf("%s: %d %s, want %d %s", name, got.Code, got.Body, status, whole)
	}
	if got.Header().Get("Content-Type") != "application/json" || got.Header().Get("Grpc-Metadata-Content-Type") != "" {
		t.Errorf("%s: headers %v", name, got.Header())
	}
}

// The reference answers 429, as if the caller were over a limit.
func TestD21BodyTooLarge(t *testing.T) {
	s := server(standard())
	pad := func(n int) string {
		return `{"requests":[]` + strings.Repeat(" ", n-len(`{"requests":[]}`)) + `}`
	}
	if got := call(s, "POST", rates, strings.NewReader(pad(1<<20))); got.Code != 200 {
		t.Errorf("a body of 1 MiB = %d %s, want 200", got.Code, got.Body)
	}
	got := call(s, "POST", rates, strings.NewReader(pad(1<<20+9)))
	wantError(t, "a body over 1 MiB", got, 413, 8, "grpc: received message larger than max (1048585 vs. 1048576)")
	unknown := struct{ io.Reader }{strings.NewReader(pad(1<<20 + 9))} // whose length is not announced
	got = call(s, "POST", rates, unknown)
	wantError(t, "a long stream", got, 413, 8, "grpc: received message larger than max (1048577 vs. 1048576)")
}

func TestTimeoutIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(gubernatorapi.Config{Limiter: limiter(func(ctx context.Context, _ bucketring.Request) (bucketring.Decision, error) {
			select {
			case <-time.After(time.Hour):
				return bucketring.Decision{Allowed: true, Values: []int64{0, 1, 2, 0}}, nil
			case <-ctx.Done():
				return bucketring.Decision{}, ctx.Err()
			}
		})})
		for timeout, want := range map[string]time.Duration{
			"300u": 300 * time.Microsecond, "50m": 50 * time.Millisecond, "1S": time.Second, "2M": 2 * time.Minute, "100n": 100,
			"0S": time.Hour, "2H": time.Hour, "9223372036854775807H": time.Hour, "": time.Hour,
		} {
			start := time.Now()
			got := call(s, "POST", rates, strings.NewReader(`{"requests":[{"name":"n","unique_key":"k"}]}`), "Grpc-Timeout", timeout)
			if took := time.Since(start); took != want {
				t.Errorf("timeout %q ended after %v, want %v", timeout, took, want)
			}
			if want == time.Hour && got.Code != 200 {
				t.Errorf("timeout %q = %d %s, want 200", timeout, got.Code, got.Body)
			} else if want < time.Hour {
				wantError(t, timeout, got, 504, 4, "context deadline exceeded")
			}
		}
	})
}

func TestPanicCostsOneHTTPCall(t *testing.T) {
	cfg := standard()
	cfg.Peers = func() []gubernatorapi.Peer { panic("peers") }
	s := server(cfg)
	got := call(s, "GET", "/v1/HealthCheck", nil)
	wantError(t, "a panic", got, 500, 13, "the call ended in a panic, which was counted")
	if s.Stats().Panics != 1 {
		t.Errorf("%d panics are counted, want 1", s.Stats().Panics)
	}
}

func TestStatuses(t *testing.T) {
	want := []int{200, 499, 500, 400, 504, 404, 409, 403, 413, 400, 409, 400, 501, 500, 503, 500, 401}
	if got := gubernatorapi.Statuses[:]; !slices.Equal(got, want) {
		t.Errorf("the codes of gRPC are %v over HTTP, want %v", got, want)
	}
}

func TestPaths(t *testing.T) {
	s := server(standard())
	for _, path := range gubernatorapi.Paths() {
		if got := call(s, "PATCH", path, nil); got.Code != 501 {
			t.Errorf("PATCH %s = %d, want 501: the path is known", path, got.Code)
		}
	}
}
