// markdown_test.go takes docs/clients.md apart.

package doortest_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

const clientsFile = "docs/clients.md"

// A section is what stands under one heading.
type section struct {
	title    string
	snippets []snippet
}

// A snippet is a fenced block and the output that follows it.
type snippet struct {
	line         int
	lang         string
	code, output string
}

// languages are those whose blocks are run, with the name of their file.
var languages = map[string]string{"sh": "snippet.sh", "python": "snippet.py", "js": "snippet.mjs", "php": "snippet.php"}

// sections reads a document. Each block to run must have its output below it.
func sections(t *testing.T, text string) (all []section) {
	t.Helper()
	var at *snippet  // the block that we are in; nil outside
	var run *snippet // the block that has no output yet
	for i, line := range strings.Split(text, "\n") {
		title, isHeading := strings.CutPrefix(line, "## ")
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case at != nil && !isFence:
			at.code += line + "\n"
		case at != nil:
			run = place(t, &all[len(all)-1], at, run)
			at = nil
		case isFence:
			at = &snippet{line: i + 1, lang: fence}
		case isHeading:
			all = append(all, section{title: title})
		}
	}
	if at != nil || run != nil {
		t.Fatalf("%s ends within a block, or without the output of one", clientsFile)
	}
	return all
}

// place puts a finished block where it belongs: behind the others, or under the one
// whose output it is. It returns the block that needs an output now.
func place(t *testing.T, s *section, at, run *snippet) *snippet {
	t.Helper()
	switch {
	case run != nil && at.lang == "text":
		run.output = at.code
		s.snippets = append(s.snippets, *run)
		return nil
	case run != nil:
		t.Errorf("%s:%d: the block has no output below it", clientsFile, run.line)
	case languages[at.lang] == "":
		t.Errorf("%s:%d: nobody runs %q: the languages are sh, python, js and php", clientsFile, at.line, at.lang)
		return nil
	}
	return at
}

// pattern is what an output must match, in which … stands for anything on a line.
func pattern(output string) *regexp.Regexp {
	parts := strings.Split(output, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".+") + "$")
}

func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		output, got string
		want        bool
	}{
		{"a 1\n", "a 1\n", true},
		{"a …\nb\n", "a 1 2\nb\n", true},
		{"a …\nb\n", "a 1\nc\nb\n", false},
		{"a …\n", "a \n", false},
		{"a.c\n", "abc\n", false},
		{"a\n", "a\nb\n", false},
	} {
		if got := pattern(tt.output).MatchString(tt.got); got != tt.want {
			t.Errorf("pattern(%q) matches %q = %v, want %v", tt.output, tt.got, got, tt.want)
		}
	}
}

func TestSections(t *testing.T) {
	all := sections(t, "# a\n\n## b\n\n```sh\nx\ny\n```\nwords\n\n```text\nout\n```\n## c\n")
	want := []section{{"b", []snippet{{5, "sh", "x\ny\n", "out\n"}}}, {"c", nil}}
	if !slices.EqualFunc(all, want, func(a, b section) bool { return a.title == b.title && slices.Equal(a.snippets, b.snippets) }) {
		t.Errorf("sections = %+v, want %+v", all, want)
	}
}
