package httpapi_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/bucketring/bucketring/internal/httpapi"
)

// TestReloadAlias: /-/reload is a reload and nothing else, with all that a reload refuses.
func TestReloadAlias(t *testing.T) {
	for _, tt := range []struct {
		method, path, body string
		header             string // of another site, if not empty
		status             int
		reloads            bool
	}{
		{"POST", "/-/reload", "", "", 200, true},
		{"PUT", "/-/reload", "", "", 200, true},
		{"GET", "/-/reload", "", "", 405, false},
		{"DELETE", "/-/reload", "", "", 405, false},
		{"POST", "/-/reload", "{}", "", 400, false},
		{"POST", "/-/reload?force=1", "", "", 400, false},
		{"POST", "/-/reload", "", "cross-site", 403, false},
		{"PUT", "/-/reload", "", "cross-site", 403, false},
	} {
		admin := &fakeAdmin{}
		h := httpapi.ReloadAlias(httpapi.NewAdmin(httpapi.AdminConfig{Admin: admin}))
		r := adminRequest(tt.method, tt.path, tt.body)
		if tt.body == "" {
			r.Body, r.ContentLength = http.NoBody, 0
		}
		if tt.header != "" {
			r.Header.Set("Sec-Fetch-Site", tt.header)
		}
		w := serve(h, r)
		if w.Code != tt.status || slices.Contains(admin.seen, "reload") != tt.reloads {
			t.Errorf("%s %s %q = %d and %v, want %d and a reload: %v", tt.method, tt.path, tt.body, w.Code, admin.seen, tt.status, tt.reloads)
		}
		if r.URL.Path != "/-/reload" {
			t.Errorf("the request has the path %s afterwards", r.URL.Path)
		}
	}
}
