// errors.go is what is wrong with policy files, and where.

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
)

// An Error is one problem of one file.
type Error struct {
	File string
	// Line and Column count from 1; both are 0 if it is about the file as a whole.
	Line, Column int
	Text         string
	Excerpt      string // the line of the file, as far as it is worth showing
}

// Error returns "FILE:LINE:COLUMN: text", without what is not known.
func (e *Error) Error() string {
	switch {
	case e.File == "" && e.Line == 0:
		return e.Text
	case e.File == "":
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Text)
	case e.Line == 0:
		return e.File + ": " + e.Text
	}
	return e.File + ":" + strconv.Itoa(e.Line) + ":" + strconv.Itoa(e.Column) + ": " + e.Text
}

// Errors are all problems of one or more files, sorted by file, line and column.
type Errors []*Error

// Error returns one line for each problem.
func (all Errors) Error() string {
	lines := make([]string, len(all))
	for i, e := range all {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns bucketring.ErrInvalid: it is the policy's author who can help.
func (all Errors) Unwrap() error { return bucketring.ErrInvalid }

// err sorts the problems, drops repetitions, and returns nil if there are none.
func (all Errors) err() error {
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	// What an anchor has wrong is found again with each of its aliases.
	return slices.CompactFunc(all, func(a, b *Error) bool { return a.Error() == b.Error() })
}

const (
	maxProblems = 1000 // that are listed for one file
	maxExcerpt  = 200  // bytes
	maxQuoted   = 64   // bytes of a word in an error
	// maxSuggested keeps a file of many wrong names from being compared with many
	// right ones.
	maxSuggested = 1000
)

// problems collects what is wrong with one file.
type problems struct {
	file string
	text string
	list Errors
}

// at adds a problem of a node.
func (p *problems) at(n *yaml.Node, format string, args ...any) {
	p.add(n.Line, n.Column, fmt.Sprintf(format, args...))
}

func (p *problems) add(line, column int, text string) {
	switch len(p.list) {
	case maxProblems + 1:
		return
	case maxProblems:
		line, column, text = 0, 0, fmt.Sprintf("more than %d problems: the others are not listed", maxProblems)
	}
	p.list = append(p.list, &Error{File: p.file, Line: line, Column: column, Text: text})
}

// err returns the problems with the lines they are about, nil if there are none.
func (p *problems) err() error {
	err := p.list.err()
	if err == nil {
		return nil
	}
	rest, line := p.text, 0
	var excerpt string
	for _, e := range err.(Errors) {
		for ; line < e.Line; line++ {
			excerpt, rest, _ = strings.Cut(rest, "\n")
		}
		if e.Line > 0 {
			e.Excerpt = shorten(strings.TrimSuffix(excerpt, "\r"), maxExcerpt)
		}
	}
	return err
}

// shorten cuts text to a number of bytes, between two characters.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "..."
}

// word quotes what a file has, short enough for an error.
func word(text string) string { return strconv.Quote(shorten(text, maxQuoted)) }

// near suggests the nearest known word, or nothing.
func near(text string, known []string) string {
	if len(known) > maxSuggested {
		return ""
	}
	return bucketring.Suggest(text, known)
}

// oneOf lists words as "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
