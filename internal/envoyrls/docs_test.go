package envoyrls_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/bucketring/bucketring/policy"
)

// TestDocs: what docs/envoy.md shows of policies loads.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/envoy.md")
	if err != nil {
		t.Fatal(err)
	}
	policies := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
		if regexp.MustCompile(`^# file: `).Match(block[1]) {
			policies++
			if p, err := policy.Parse("docs.yaml", block[1], policy.Options{}); err != nil || len(p.Notes()) > 0 {
				t.Errorf("%v in\n%s", err, block[1])
			}
		}
	}
	if policies != 2 {
		t.Errorf("found %d policies, want 2", policies)
	}
}
