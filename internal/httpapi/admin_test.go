package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
	"github.com/bucketring/bucketring/policy"
)

// fakeAdmin notes what it is asked and answers err, or panics.
type fakeAdmin struct {
	seen   []string
	rows   map[string]map[string]string
	err    error
	panics bool
}

func (a *fakeAdmin) note(format string, args ...any) error {
	a.seen = append(a.seen, fmt.Sprintf(format, args...))
	if a.panics {
		panic("canary")
	}
	return a.err
}

func (a *fakeAdmin) Reload(context.Context) error { return a.note("reload") }

func (a *fakeAdmin) Policies() []httpapi.PolicyStatus {
	return []httpapi.PolicyStatus{
		{Namespace: "api", File: "policies/api.yaml", Hash: 0xc0ffee, LoadedAt: time.Date(2024, 1, 1, 1, 0, 0, 999, time.FixedZone("", 3600))},
		{Namespace: "lesan", Errors: []string{"lesan.yaml:14:5: unknown key \"algoritm\"", "lesan.yaml:20:1: more"}},
	}
}

func (a *fakeAdmin) PutPolicy(_ context.Context, namespace string, text []byte) error {
	return a.note("policy %q %q", namespace, text)
}

func (a *fakeAdmin) PutTable(_ context.Context, namespace, table string, rows map[string]map[string]string, replace bool) error {
	a.rows = rows
	return a.note("table %q %q %v replace=%v", namespace, table, rows, replace)
}

func (a *fakeAdmin) PutOverrides(_ context.Context, namespace string, text []byte) error {
	return a.note("overrides %q %q", namespace, text)
}

// adminRequest makes a call of an operator. A table's body has a JSON type.
func adminRequest(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if strings.HasPrefix(path, "/v1/admin/tables/") {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func TestAdmin(t *testing.T) {
	wrong := policy.Errors{{File: "api.yaml", Line: 14, Column: 5, Text: `unknown key "algoritm"`}, {File: "b.yaml", Text: "is empty"}}
	tests := []struct {
		name, method, path, body string
		err                      error
	}{
		{"reload", "POST", "/v1/admin/reload", "", nil},
		{"reload of bad files", "POST", "/v1/admin/reload", "", fmt.Errorf("%w", wrong)},
		{"reload that breaks", "POST", "/v1/admin/reload", "", errors.New("disk on fire")},
		{"reload with a body", "POST", "/v1/admin/reload", "{}", nil},
		{"reload with a query", "POST", "/v1/admin/reload?force=1", "", nil},
		{"reload by GET", "GET", "/v1/admin/reload", "", nil},
		{"policies", "GET", "/v1/admin/policies", "", nil},
		{"policies with a query", "GET", "/v1/admin/policies?namespace=api", "", nil},
		{"put a policy", "PUT", "/v1/admin/policies/api", "apiVersion: limits/v1\n", nil},
		{"put a bad policy", "PUT", "/v1/admin/policies/api", "x", wrong},
		{"put nothing", "PUT", "/v1/admin/policies/api", "", nil},
		{"put overrides", "PUT", "/v1/admin/overrides/api", "[]", nil},
		{"put overrides of no policy", "PUT", "/v1/admin/overrides/ap", "[]", bucketring.ErrNoPolicy},
		{"put overrides at a bad moment", "PUT", "/v1/admin/overrides/api", "[]", bucketring.ErrUnavailable},
		{"put a table", "PUT", "/v1/admin/tables/api/keys", `{"k1":{"user":"u1","plan":"pro"},"k2":{}}`, nil},
		{"put an empty table", "PUT", "/v1/admin/tables/api/keys", `{}`, nil},
		{"merge rows", "PATCH", "/v1/admin/tables/api/keys", `{"k1":{"user":"u1"},"k2":null}`, nil},
		{"put null", "PUT", "/v1/admin/tables/api/keys", `{"k1":{},"k2":null}`, nil},
		{"delete a table", "DELETE", "/v1/admin/tables/api/keys", "", nil},
		{"a table without a name", "PUT", "/v1/admin/tables/api", "{}", nil},
		{"drain", "POST", "/v1/admin/drain", "", nil},
		{"leave", "POST", "/v1/admin/leave", "", nil},
		{"a call of the other listener", "GET", "/v1/take?key=a&limit=3/m", "", nil},
	}
	var b strings.Builder
	for _, tt := range tests {
		fmt.Fprintf(&b, "=== %s\n> %s %s\n", tt.name, tt.method, tt.path)
		if tt.body != "" {
			fmt.Fprintf(&b, "> %s\n", strings.TrimSpace(tt.body))
		}
		admin := &fakeAdmin{err: tt.err}
		w := serve(httpapi.NewAdmin(httpapi.AdminConfig{Admin: admin}), adminRequest(tt.method, tt.path, tt.body))
		for _, line := range admin.seen {
			b.WriteString("admin: " + line + "\n")
		}
		b.WriteString(dump(w) + "\n")
	}
	golden(t, "admin.golden", b.String())
}

func TestBadRows(t *testing.T) {
	fields := func(n int) string {
		var pairs []string
		for i := range n {
			pairs = append(pairs, `"a`+strings.Repeat("x", i)+`":""`)
		}
		return strings.Join(pairs, ",")
	}
	for _, tt := range []struct{ name, body, want string }{
		{"no object", `[]`, `rows must be given in an object such as {"KEY":{"user":"u1","plan":"pro"}}`},
		{"blank", ` `, `the body is empty: send a request such as {"KEY":{"user":"u1","plan":"pro"}}`},
		{"row of another type", `{"canary":"u1"}`, `row 1: it must be an object of strings such as {"user":"u1"}`},
		{"field of another type", `{"a":{},"canary":{"canary":1}}`, `row 2: a field must be a string in double quotes`},
		{"row twice", `{"canary":{},"canary":{}}`, `row 2: its key is given twice`},
		{"field twice", `{"canary":{"canary":"a","canary":"b"}}`, `row 1: a field is given twice`},
		{"unnamed row", `{"":{}}`, `row 1: its key has 0 bytes, it must have 1 to 512`},
		{"long key", `{"` + strings.Repeat("canary", 100) + `":{}}`, `row 1: its key has 600 bytes, it must have 1 to 512`},
		{"unnamed field", `{"canary":{"":"a"}}`, `row 1: the name of a field has 0 bytes, it must have 1 to 64`},
		{"long field", `{"canary":{"a":"` + strings.Repeat("canary", 100) + `"}}`, `row 1: a field has 600 bytes, at most 512 are allowed`},
		{"too many fields", `{"canary":{` + fields(33) + `}}`, `row 1: it has more than 32 fields`},
		{"cut", `{"canary":{"a":"canary`, `the body is not valid JSON at byte 23: a string does not end`},
		{"trailing data", `{"canary":{}}canary`, `the body is not valid JSON at byte 14: expected nothing after the value`},
		{"misspelt null", `{"canary":nil}`, `the body is not valid JSON at byte 11: expected a value`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, method := range []string{"PUT", "PATCH"} {
				admin := &fakeAdmin{}
				w := serve(httpapi.NewAdmin(httpapi.AdminConfig{Admin: admin}), adminRequest(method, "/v1/admin/tables/api/keys", tt.body))
				if got := detail(t, w); w.Code != 400 || got != tt.want {
					t.Errorf("%s = %d %s\nwant 400 %s", method, w.Code, got, tt.want)
				}
				if len(admin.seen) > 0 {
					t.Errorf("%s reached the Admin", method)
				}
			}
		})
	}
}

// TestTablesStaySecret lets the Admin fail in its worst ways and looks for the key
// of a row.
func TestTablesStaySecret(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
	}{
		{"invalid", bucketring.Invalidf("no canary may have this"), 422},
		{"unexpected", errors.New("lost canary"), 500},
		{"no policy", fmt.Errorf("canary: %w", bucketring.ErrNoPolicy), 404},
		{"panic", nil, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			admin := &fakeAdmin{err: tt.err, panics: tt.err == nil}
			h := httpapi.NewAdmin(httpapi.AdminConfig{Admin: admin, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			w := serve(h, adminRequest("PATCH", "/v1/admin/tables/api/keys", `{"canary":{"user":"u1"}}`))
			if w.Code != tt.status || strings.Contains(dump(w), "canary") || strings.Contains(log.String(), "canary") {
				t.Errorf("status %d, want %d\nanswer: %s\nlog: %s", w.Code, tt.status, w.Body, &log)
			}
			if again := serve(h, adminRequest("GET", "/v1/admin/policies", "")); again.Code != 200 {
				t.Errorf("the next call has status %d, want 200", again.Code)
			}
		})
	}
}

func TestAdminBounds(t *testing.T) {
	const most = 1 << 20
	for _, tt := range []struct {
		name string
		r    *http.Request
		want int
	}{
		{"longest text", adminRequest("PUT", "/v1/admin/policies/api", strings.Repeat("#", most)), 200},
		{"longer", adminRequest("PUT", "/v1/admin/policies/api", strings.Repeat("#", most+1)), 413},
		{"endless", httptest.NewRequest("PUT", "/v1/admin/overrides/api", &endless{}), 413},
		{"compressed", withHeader(adminRequest("PUT", "/v1/admin/policies/api", "x"), "Content-Encoding", "gzip"), 415},
		{"table of another type", withHeader(adminRequest("PUT", "/v1/admin/tables/a/b", "{}"), "Content-Type", "text/plain"), 415},
		{"cross site", withHeader(adminRequest("POST", "/v1/admin/reload", ""), "Sec-Fetch-Site", "cross-site"), 403},
		{"another origin", withHeader(adminRequest("PUT", "/v1/admin/policies/api", "x"), "Origin", "https://other.example"), 403},
	} {
		admin := &fakeAdmin{}
		w := serve(httpapi.NewAdmin(httpapi.AdminConfig{Admin: admin}), tt.r)
		if w.Code != tt.want || (w.Code == 200) != (len(admin.seen) > 0) {
			t.Errorf("%s: status %d, want %d, %d calls reached the Admin", tt.name, w.Code, tt.want, len(admin.seen))
		}
		if closes := w.Header().Get("Connection") == "close"; closes != (tt.want == 413) {
			t.Errorf("%s: the connection is closed: %v", tt.name, closes)
		}
	}
}

func withHeader(r *http.Request, name, value string) *http.Request {
	r.Header.Set(name, value)
	return r
}

// TestRows: null deletes and an empty object does not.
func TestRows(t *testing.T) {
	admin := &fakeAdmin{}
	serve(httpapi.NewAdmin(httpapi.AdminConfig{Admin: admin}),
		adminRequest("PATCH", "/v1/admin/tables/api/keys", `{"gone":null,"empty":{},"k\u0031":{"user":"u1"}}`))
	want := map[string]map[string]string{"gone": nil, "empty": {}, "k1": {"user": "u1"}}
	if diff := cmp.Diff(want, admin.rows); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
}

func TestNewAdminWithoutAdminPanics(t *testing.T) {
	if v := abort(func() { httpapi.NewAdmin(httpapi.AdminConfig{}) }); v == nil {
		t.Error("NewAdmin accepted a config without an Admin")
	}
}
