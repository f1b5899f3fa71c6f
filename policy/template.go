// template.go writes JSON bodies with variables in them.

package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
)

// A template is a JSON value with variables: pieces of text, and variables between
// them.
type template struct {
	pieces    []piece
	needsID   bool // it shows request_id
	limitRefs []int
}

// A piece is text, or a variable if name is not empty.
type piece struct {
	text   string // JSON as it stands
	name   string // of the variable
	limit  int    // whose variable, -1 for the described one
	inside bool   // within a string: written as text
}

// A templateProblem is what is wrong with a template.
type templateProblem struct {
	line, column int
	text         string
}

// variables of the described limit, and of a limit that a usage body names.
var (
	variables      = []string{"limit", "remaining", "used", "cost", "reset_unix", "reset_delta", "reset_rfc3339", "retry_after", "policy", "unit", "request_id"}
	usageVariables = []string{"used", "limit", "remaining", "reset_unix", "reset_delta", "reset_rfc3339"}
)

// compileTemplate makes a template of a YAML value. limits are the names that a
// usage body may use, nil for the body of a refusal.
func compileTemplate(n *yaml.Node, limits map[string]int) (*template, []templateProblem) {
	c := templateCompiler{t: &template{}, limits: limits}
	c.value(n, 0)
	c.flush()
	return c.t, c.problems
}

type templateCompiler struct {
	t        *template
	limits   map[string]int
	text     strings.Builder // JSON since the last variable
	problems []templateProblem
	nodes    int
}

func (c *templateCompiler) fail(n *yaml.Node, format string, args ...any) {
	c.problems = append(c.problems, templateProblem{n.Line, n.Column, fmt.Sprintf(format, args...)})
}

// Bounds of a body, which aliases could make endless.
const (
	maxTemplateDepth = 32
	maxTemplateNodes = 10_000
)

func (c *templateCompiler) value(n *yaml.Node, depth int) {
	c.nodes++
	switch {
	case c.nodes > maxTemplateNodes:
		if c.nodes == maxTemplateNodes+1 {
			c.fail(n, "body has more than %d values, aliases counted each time", maxTemplateNodes)
		}
		return
	case depth > maxTemplateDepth:
		c.fail(n, "body nests more than %d levels deep", maxTemplateDepth)
		return
	}
	switch n.Kind {
	case yaml.AliasNode:
		c.value(n.Alias, depth+1)
	case yaml.MappingNode:
		c.text.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				c.text.WriteByte(',')
			}
			c.text.WriteString(quote(n.Content[i].Value))
			c.text.WriteByte(':')
			c.value(n.Content[i+1], depth+1)
		}
		c.text.WriteByte('}')
	case yaml.SequenceNode:
		c.text.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				c.text.WriteByte(',')
			}
			c.value(item, depth+1)
		}
		c.text.WriteByte(']')
	case yaml.ScalarNode:
		c.scalar(n)
	}
}

func (c *templateCompiler) scalar(n *yaml.Node) {
	if n.ShortTag() == "!!str" || n.ShortTag() == "!!timestamp" || n.ShortTag() == "!!binary" {
		c.str(n)
		return
	}
	var plain any
	if err := n.Decode(&plain); err != nil {
		c.fail(n, "%q is no value that JSON has", n.Value)
		return
	}
	text, err := json.Marshal(plain)
	if err != nil {
		c.fail(n, "%q is no value that JSON has", n.Value)
		return
	}
	c.text.Write(text)
}

// str compiles a string: one that is a variable and nothing else becomes that
// variable's own type.
func (c *templateCompiler) str(n *yaml.Node) {
	rest := n.Value
	if name, ok := strings.CutPrefix(rest, "${"); ok && strings.IndexByte(name, '}') == len(name)-1 && len(name) > 1 {
		c.variable(n, name[:len(name)-1], false)
		return
	}
	c.text.WriteByte('"')
	for {
		at := strings.Index(rest, "${")
		if at < 0 {
			break
		}
		if at > 0 && rest[at-1] == '$' { // $${ writes ${
			c.text.WriteString(inner(rest[:at-1] + "${"))
			rest = rest[at+2:]
			continue
		}
		end := strings.IndexByte(rest[at:], '}')
		if end < 0 {
			c.fail(n, "a variable does not end: close it with }, or write $${ for ${")
			return
		}
		c.text.WriteString(inner(rest[:at]))
		c.variable(n, rest[at+2:at+end], true)
		rest = rest[at+end+1:]
	}
	c.text.WriteString(inner(rest))
	c.text.WriteByte('"')
}

func (c *templateCompiler) variable(n *yaml.Node, name string, inside bool) {
	p := piece{name: name, limit: -1, inside: inside}
	of, field, dotted := strings.Cut(name, ".")
	switch {
	case c.limits == nil && contains(variables, name):
	case c.limits == nil:
		c.fail(n, "unknown variable %q%s", name, suggestion(name, variables))
		return
	case !dotted:
		c.fail(n, "unknown variable %q: a usage body names limits, as in ${%s.used}", name, anyName(c.limits))
		return
	default:
		i, ok := c.limits[of]
		if !ok {
			c.fail(n, "unknown limit %q in a variable%s", of, suggestion(of, names(c.limits)))
			return
		}
		if !contains(usageVariables, field) {
			c.fail(n, "unknown variable %q of limit %q%s", field, of, suggestion(field, usageVariables))
			return
		}
		p.name, p.limit = field, i
		c.t.limitRefs = append(c.t.limitRefs, i)
	}
	c.flush()
	c.t.needsID = c.t.needsID || name == "request_id"
	c.t.pieces = append(c.t.pieces, p)
}

func (c *templateCompiler) flush() {
	if c.text.Len() > 0 {
		c.t.pieces = append(c.t.pieces, piece{text: c.text.String(), limit: -1})
		c.text.Reset()
	}
}

// render appends the JSON. value appends the JSON of a variable, and reports its
// plain text where it is a string.
func (t *template) render(b []byte, value func(b []byte, p *piece) []byte) []byte {
	for i := range t.pieces {
		p := &t.pieces[i]
		switch {
		case p.name == "":
			b = append(b, p.text...)
		case p.inside:
			b = appendInside(b, value(nil, p))
		default:
			b = value(b, p)
		}
	}
	return b
}

// appendInside appends a JSON value within a string: a string without its quotes,
// a null as nothing.
func appendInside(b, value []byte) []byte {
	switch {
	case len(value) >= 2 && value[0] == '"':
		return append(b, value[1:len(value)-1]...)
	case string(value) == "null":
		return b
	}
	return append(b, value...)
}

// quote returns a JSON string; HTML's characters stay as they are.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always has JSON
	return strings.TrimSuffix(b.String(), "\n")
}

// inner is quote without the quotes.
func inner(s string) string {
	q := quote(s)
	return q[1 : len(q)-1]
}

func contains(list []string, word string) bool {
	return slices.Contains(list, word)
}

func suggestion(word string, known []string) string {
	if near := bucketring.Suggest(word, known); near != "" {
		return near
	}
	return ": known are " + strings.Join(known, ", ")
}

func names(m map[string]int) []string {
	all := make([]string, 0, len(m))
	for name := range m {
		all = append(all, name)
	}
	return all
}

// anyName returns the first name in order, for an example.
func anyName(m map[string]int) string {
	best := "requests"
	first := true
	for name := range m {
		if first || name < best {
			best, first = name, false
		}
	}
	return best
}
