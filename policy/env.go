// env.go fills ${ENV:NAME} and ${ENV:NAME:-default} into values, before anything
// else looks at them.

package policy

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A filler fills the environment into one file.
type filler struct {
	*problems
	env func(name string) (string, bool)
	bad map[*yaml.Node]bool // values that it complained about
}

// reference is one ${ENV:...}, from its start.
var reference = regexp.MustCompile(`^\$\{ENV:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}`)

func (f *filler) fail(n *yaml.Node, format string, args ...any) {
	f.at(n, format, args...)
	f.bad[n] = true
}

// fill fills n and all below it. Bodies keep their other ${...}, which are
// variables, and take nothing from the environment for one.
func (f *filler) fill(n *yaml.Node, body bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		f.scalar(n, body)
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 { // keys stay
			f.fill(n.Content[i], body)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			f.fill(item, body)
		}
	}
}

// policyFile fills a whole policy: all but its bodies, then those.
func (f *filler) policyFile(root *yaml.Node) {
	responses := child(root, "responses")
	for i := 1; i < len(root.Content); i += 2 {
		if root.Content[i] != responses {
			f.fill(root.Content[i], false)
		}
	}
	if responses == nil || responses.Kind != yaml.MappingNode {
		return
	}
	for i := 1; i < len(responses.Content); i += 2 {
		part := responses.Content[i]
		switch responses.Content[i-1].Value {
		case "bodies":
			f.fill(part, true)
		case "usage":
			for j := 1; j < len(part.Content); j += 2 {
				f.fill(part.Content[j], part.Content[j-1].Value == "body")
			}
		default:
			f.fill(part, false)
		}
	}
}

// scalar fills one value.
func (f *filler) scalar(n *yaml.Node, body bool) {
	if !strings.Contains(n.Value, "${") {
		return
	}
	var out strings.Builder
	filled, alone := false, false
	for rest := n.Value; rest != ""; {
		switch parts := reference.FindStringSubmatch(rest); {
		case parts != nil:
			value := f.value(n, parts)
			alone = len(parts[0]) == len(n.Value)
			rest = rest[len(parts[0]):]
			if body {
				value = f.escape(n, value, rest)
			}
			out.WriteString(value)
			filled = true
		case strings.HasPrefix(rest, "${ENV:"):
			f.fail(n, "%s does not end or has no good name: write ${ENV:NAME} or ${ENV:NAME:-default}", word(rest))
			return
		case strings.HasPrefix(rest, "$${"):
			if body {
				out.WriteByte('$') // the template takes it away
			}
			out.WriteString("${")
			rest = rest[3:]
		default:
			out.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	n.Value = out.String()
	if filled && (n.Style == 0 || alone && !body) {
		n.Style, n.Tag = 0, "" // what it is, is decided by what was filled in
		n.Tag = n.ShortTag()
	}
}

// value is what a reference stands for.
func (f *filler) value(n *yaml.Node, parts []string) string {
	if f.env != nil {
		if value, ok := f.env(parts[1]); ok && len(value) <= maxFile {
			return value
		}
	}
	if !strings.Contains(parts[0], ":-") {
		f.fail(n, "environment variable %s is not set: set it, or give a default as in ${ENV:%s:-10}", parts[1], parts[1])
	}
	return parts[2]
}

// escape keeps a value from being read as a variable of a body.
func (f *filler) escape(n *yaml.Node, value, next string) string {
	if strings.HasSuffix(value, "$") && (strings.HasPrefix(next, "{") || strings.HasPrefix(next, "$")) {
		f.fail(n, "a value from the environment ends with $ in front of %s: together they look like a variable", word(next))
	}
	return strings.ReplaceAll(value, "${", "$${")
}
