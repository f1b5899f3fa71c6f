// docs_test.go holds the operator's page against the table of settings.

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Whoever adds a setting tells operators about it, with all its names.
func TestEverySettingIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	table := settings(false)
	if len(table) < 15 {
		t.Fatalf("the table has %d settings, want at least 15", len(table))
	}
	for _, s := range table {
		row := fmt.Sprintf("| `--%s` | `%s` | `%s` |", s.flag(), s.env(), s.key)
		if !strings.Contains(string(doc), row) {
			t.Errorf("docs/operations.md has no row that begins %s", row)
		}
	}
}
