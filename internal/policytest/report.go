package policytest

import (
	"fmt"
	"strings"
)

// A Report is what came of one script.
type Report struct {
	File  string   `json:"file"`
	Tests []Result `json:"tests"` // in the file's order
}

// A Result is what came of one test. It has passed if there are no failures.
type Result struct {
	Name     string    `json:"name"`
	Line     int       `json:"line"`
	Steps    int       `json:"steps"` // that were carried out, repeated ones each time
	Failures []Failure `json:"failures"`
}

// A Failure is a step that did not answer as expected.
type Failure struct {
	Line int `json:"line"`
	// Text says which call it was, and then line by line what was expected ("-") and
	// what came instead ("+").
	Text string `json:"text"`
	// Again is how often the same step failed after that.
	Again int `json:"again,omitempty"`
}

// Failed returns how many tests have failures.
func (r Report) Failed() (n int) {
	for i := range r.Tests {
		if len(r.Tests[i].Failures) > 0 {
			n++
		}
	}
	return n
}

// Text returns the report for people: a line for each test, and below it where and
// how it failed.
func (r Report) Text() string {
	var b strings.Builder
	for i := range r.Tests {
		t := &r.Tests[i]
		word := "ok  "
		if len(t.Failures) > 0 {
			word = "FAIL"
		}
		fmt.Fprintf(&b, "%s %s: %s\n", word, r.File, t.Name)
		for _, f := range t.Failures {
			fmt.Fprintf(&b, "  %s:%d: %s\n", r.File, f.Line, strings.ReplaceAll(f.Text, "\n", "\n    "))
			if f.Again > 0 {
				fmt.Fprintf(&b, "    and %s more\n", plural(f.Again, "time"))
			}
		}
	}
	return b.String()
}
