// openapi_ids_test.go makes the calls of internal/httpapi/openapi.yaml that need an id first.

package doortest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// encodeJSON writes a value without making letters of HTML safe.
func encodeJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}

// tryIDs takes a lease and a reservation, renews, settles and releases.
func (a *api) tryIDs(t *testing.T, web web, n *node) {
	t.Helper()
	var d struct {
		Leases      []string
		Reservation string
	}
	a.post(t, web, n, "/v1/take", map[string]any{
		"namespace": "lesan", "attributes": map[string]string{"api_key": "ids", "op": "transcribe", "estimated_minutes": "60"},
	}, &d)
	if len(d.Leases) != 1 || d.Reservation == "" {
		t.Fatalf("leases %q and reservation %q, want one of each", d.Leases, d.Reservation)
	}
	for _, tt := range []struct {
		path string
		ok   bool
	}{{"/v1/renew", true}, {"/v1/release", true}, {"/v1/release", false}, {"/v1/renew", false}} {
		var r struct{ Leases []struct{ OK bool } }
		a.post(t, web, n, tt.path, map[string]any{"leases": d.Leases}, &r)
		if len(r.Leases) != 1 || r.Leases[0].OK != tt.ok {
			t.Errorf("%s = %v, want one lease with ok %v", tt.path, r.Leases, tt.ok)
		}
	}
	for _, cost := range []float64{45.2, 50} { // the first settlement wins
		var s struct{ Limits []struct{ Used float64 } }
		a.post(t, web, n, "/v1/settle", map[string]any{"reservation": d.Reservation, "cost": cost}, &s)
		if len(s.Limits) != 1 || s.Limits[0].Used != 45.2 {
			t.Errorf("settled at %v: %v, want 45.2 used", cost, s.Limits)
		}
	}
}

// post makes a call that must be answered 200, as its schema says.
func (a *api) post(t *testing.T, web web, n *node, target string, body, to any) {
	t.Helper()
	tr := trial{target: target, method: "post", call: a.Paths[target]["post"], status: "200", media: "application/json"}
	req, err := http.NewRequestWithContext(t.Context(), "POST", n.door(&tr.call)+target, strings.NewReader(text(t, tr.media, body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", tr.media)
	resp, err := web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s = %s, %s, %v", target, resp.Status, all, err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(all))
	if err == nil {
		err = a.checkAnswer(&tr, doc)
	}
	if err == nil {
		err = json.Unmarshal(all, to)
	}
	if err != nil {
		t.Fatalf("%s = %s: %v", target, all, err)
	}
}
