package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/internal/httpapi"
)

// TestTop: how many keys there are, and that none is shown as it is unless the node may.
func TestTop(t *testing.T) {
	ask := func(mayClear bool, query string) string {
		asked := ""
		cfg := httpapi.AdminConfig{Admin: &fakeAdmin{}, ClearKeys: mayClear}
		cfg.Top = func(count int, clear bool) httpapi.Top {
			asked = fmt.Sprintf("asked for %d clear=%v\n", count, clear)
			top := httpapi.Top{Node: "n1", Seconds: 12.5, Clear: clear}
			if count > 1 {
				top.Hottest = []httpapi.TopKey{{Namespace: "shop", Limit: "calls", Key: "user=\"<u1>\"", Takes: 1 << 40, Denied: 2, Over: 1}}
			}
			return top
		}
		w := serve(httpapi.NewAdmin(cfg), adminRequest("GET", "/v1/admin/top"+query, ""))
		return fmt.Sprintf("=== %s may see keys: %v\n%s%s\n", query, cfg.ClearKeys, asked, dump(w))
	}
	var b strings.Builder
	for _, query := range []string{"", "?count=1", "?count=100&keys=1", "?keys=0", "?keys=yes", "?count=0", "?count=101", "?count=x", "?size=1"} {
		b.WriteString(ask(false, query))
	}
	b.WriteString(ask(true, "?keys=1"))
	b.WriteString(ask(true, ""))
	golden(t, "top.golden", b.String())
	w := serve(httpapi.NewAdmin(httpapi.AdminConfig{Admin: &fakeAdmin{}}), adminRequest("GET", "/v1/admin/top", ""))
	if w.Code != 501 {
		t.Errorf("status without a source = %d, want 501", w.Code)
	}
}
