package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/internal/httpapi"
)

// TestLocal: who names another host is a page that was led here.
func TestLocal(t *testing.T) {
	h := httpapi.Local(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for host, want := range map[string]int{
		"127.0.0.1:7753": 204, "127.0.0.1": 204, "[::1]:7753": 204, "[::1]": 204, "localhost:7753": 204, "LOCALHOST.": 204, "node.localhost:1": 204,
		"evil.example:7753": 403, "evil.example": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example:7753": 403, "notlocalhost": 403, "": 403,
	} {
		r := httptest.NewRequest(http.MethodGet, "/debug/pprof/cmdline", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || want == 403 && !strings.Contains(w.Body.String(), "asked by its address") {
			t.Errorf("Host %q = %d %s, want %d", host, w.Code, w.Body, want)
		}
	}
}
