package httpapi_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
)

// A forgetful forgets whom it is told to, or not.
type forgetful struct {
	names []string
	late  []string
	err   error
}

func (f *forgetful) Forget(_ context.Context, name string) ([]string, error) {
	f.names = append(f.names, name)
	return f.late, f.err
}

func TestForget(t *testing.T) {
	for _, tt := range []struct {
		name, path, body string
		f                forgetful
		status, asked    int
		want             string
	}{
		{"done", "/v1/admin/members/n3/forget", "", forgetful{}, 200, 1, `{"forgotten":"n3"}` + "\n"},
		{"refused", "/v1/admin/members/n3/forget", "", forgetful{err: bucketring.Invalidf("n3 is active")}, 422, 1, `"errors":["n3 is active"]`},
		{"late", "/v1/admin/members/n3/forget", "", forgetful{late: []string{"n2: away"}}, 503, 1, `try again","errors":["n2: away"]`},
		{"broken", "/v1/admin/members/n3/forget", "", forgetful{err: errors.New("secret")}, 500, 1, "its log says which"},
		{"a body", "/v1/admin/members/n3/forget", "{}", forgetful{}, 400, 0, "leave the body out"},
		{"a query", "/v1/admin/members/n3/forget?now", "", forgetful{}, 400, 0, "takes no query"},
	} {
		h := httpapi.NewAdmin(httpapi.AdminConfig{Admin: &fakeAdmin{}, Forgetter: &tt.f})
		w := serve(h, httptest.NewRequest("POST", tt.path, strings.NewReader(tt.body)))
		if w.Code != tt.status || len(tt.f.names) != tt.asked || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: %d %s after %q, want %d with %s", tt.name, w.Code, w.Body, tt.f.names, tt.status, tt.want)
		}
	}
	w := serve(httpapi.NewAdmin(httpapi.AdminConfig{Admin: &fakeAdmin{}}), httptest.NewRequest("POST", "/v1/admin/members/n3/forget", nil))
	if w.Code != 501 {
		t.Errorf("without a Forgetter: %d %s, want 501", w.Code, w.Body)
	}
}
