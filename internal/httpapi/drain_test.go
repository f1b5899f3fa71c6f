package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/internal/httpapi"
)

// A drained counts what it is asked for.
type drained struct{ drains, leaves int }

func (d *drained) Drain() { d.drains++ }
func (d *drained) Leave() { d.leaves++ }
func (d *drained) Progress() httpapi.Progress {
	if d.drains+d.leaves == 0 {
		return httpapi.Progress{State: "serving", PartitionsLeft: 4093}
	}
	return httpapi.Progress{State: "draining", PartitionsLeft: 7, HandedOver: 1 << 40}
}

// TestDrain: a drain begins with POST, and GET only shows how far it is.
func TestDrain(t *testing.T) {
	d := &drained{}
	h := httpapi.NewAdmin(httpapi.AdminConfig{Admin: &fakeAdmin{}, Drainer: d})
	ask := func(method, path, body string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return http.StatusText(w.Code) + " " + w.Body.String()
	}
	const serving = `OK {"state":"serving","partitions_left":4093,"handed_over":0}` + "\n"
	const draining = `OK {"state":"draining","partitions_left":7,"handed_over":1099511627776}` + "\n"
	for _, step := range []struct {
		method, path, body, want string
		drains, leaves           int
	}{
		{"GET", "/v1/admin/drain", "", serving, 0, 0},
		{"POST", "/v1/admin/drain", "", draining, 1, 0},
		{"GET", "/v1/admin/drain", "", draining, 1, 0},
		{"POST", "/v1/admin/leave", "", draining, 1, 1},
	} {
		if got := ask(step.method, step.path, step.body); got != step.want || d.drains != step.drains || d.leaves != step.leaves {
			t.Errorf("%s %s = %q after %d drains and %d leaves, want %q, %d, %d",
				step.method, step.path, got, d.drains, d.leaves, step.want, step.drains, step.leaves)
		}
	}
	if got := ask("POST", "/v1/admin/drain", "{}"); !strings.HasPrefix(got, "Bad Request ") || d.drains != 1 {
		t.Errorf("a drain with a body = %q and began %d drains, want it refused", got, d.drains)
	}
}
