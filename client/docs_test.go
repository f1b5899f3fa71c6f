// docs_test.go holds docs/go.md against the Examples: each of its snippets is part of one,
// which the tests compile and run.

package client_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const guideFile = "../docs/go.md"

// bare returns the lines of a text without blanks around each, and without empty ones.
func bare(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return lines
}

// examples returns the bodies of all Examples that are checked: they have an output.
func examples(t *testing.T) (bodies []string) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*example*_test.go", "*/*example*_test.go", "../node/*example*_test.go", "../node/member/*example*_test.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Example") {
				continue
			}
			body := string(text[fset.Position(f.Body.Pos()).Offset:fset.Position(f.Body.End()).Offset])
			if !strings.Contains(body, "// Output:") {
				t.Errorf("%s: %s has no output, so it is not run", name, f.Name.Name)
			}
			bodies = append(bodies, strings.Join(bare(body), "\n"))
		}
	}
	return bodies
}

func TestGuide(t *testing.T) {
	text, err := os.ReadFile(guideFile)
	if err != nil {
		t.Fatal(err)
	}
	all, count := examples(t), 0
	parts := strings.Split(string(text), "```")
	for i := 1; i < len(parts); i += 2 {
		snippet, ok := strings.CutPrefix(parts[i], "go\n")
		line := strings.Count(strings.Join(parts[:i], ""), "\n") + 1
		if !ok {
			t.Errorf("%s:%d: a block that is not Go: nothing checks it", guideFile, line)
			continue
		}
		count++
		part := strings.Join(bare(snippet), "\n")
		if !slices.ContainsFunc(all, func(body string) bool { return strings.Contains(body, part) }) {
			t.Errorf("%s:%d: no Example has\n%s", guideFile, line, snippet)
		}
	}
	if count < 14 || len(parts)%2 == 0 {
		t.Errorf("%s has %d snippets, want 14 or more, each with an end", guideFile, count)
	}
}
