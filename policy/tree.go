// tree.go reads YAML as far as policies allow it: one document, no tags, no merge
// keys, no repeated keys, and no more nodes than a person would write.

package policy

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of a file.
const (
	maxFile  = 1 << 20 // bytes
	maxDepth = 32
	maxNodes = 100_000 // aliases written out

	dialectDepth = 2*64 + 4 // 64 entries of a descriptor, each a list in a mapping
	dialectNodes = 5 * maxNodes
	maxLimits    = 10_000
)

// readTree returns the root of a file's only document with aliases written out, or
// nil after adding problems.
func readTree(text []byte, p *problems) *yaml.Node {
	switch {
	case len(text) > maxFile:
		p.add(0, 0, "file is larger than "+strconv.Itoa(maxFile)+" bytes (1 MiB): split it into namespaces")
		return nil
	case !utf8.Valid(text):
		line, column := firstInvalid(text)
		p.add(line, column, "file is not UTF-8: save it in that encoding")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			p.add(1, 1, "file is empty: begin with apiVersion: limits/v1")
		} else {
			p.syntax(err)
		}
		return nil
	}
	switch err := decoder.Decode(&second); {
	case err == nil && isNothing(&second): // a "---" at the end
	case err == nil:
		p.at(&second, "file has a second document: write one file for each namespace")
		return nil
	case !errors.Is(err, io.EOF):
		p.syntax(err)
		return nil
	}
	if len(doc.Content) != 1 {
		p.add(1, 1, "file is empty: begin with apiVersion: limits/v1")
		return nil
	}
	c := treeCheck{problems: p, left: maxNodes, nodes: maxNodes, depth: maxDepth}
	if isDialect(doc.Content[0]) { // such files were written for a reader that bounds nothing
		c.dialect, c.depth, c.nodes, c.left = true, dialectDepth, dialectNodes, dialectNodes
	}
	root := c.expand(doc.Content[0], 1, false)
	if c.stopped {
		return nil
	}
	return root
}

// isNothing reports whether a document is empty.
func isNothing(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || len(doc.Content) == 1 && doc.Content[0].ShortTag() == "!!null"
}

// firstInvalid returns where the first bytes are that are not UTF-8.
func firstInvalid(text []byte) (line, column int) {
	line, column = 1, 1
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
		text = text[size:]
	}
	return line, column
}

// yamlLine takes the line out of an error of the parser, which has no column.
var yamlLine = regexp.MustCompile(`^(?:yaml: )*(?:line (\d+): )?((?s).*)$`)

// What the parser says about whole blocks has the line before the one where the
// block begins.
var (
	yamlBlock  = regexp.MustCompile(`^did not find expected (key|'-' indicator|',' or '[}\]]'|node content|<.*>)$`)
	yamlAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntax adds an error of the YAML parser.
func (p *problems) syntax(err error) {
	parts := yamlLine.FindStringSubmatch(err.Error())
	line, _ := strconv.Atoi(parts[1])
	what := parts[2]
	anchor := yamlAnchor.FindStringSubmatch(what)
	switch {
	case yamlBlock.MatchString(what):
		line++
		what += ": look at indentation and brackets from here on"
	case anchor != nil:
		line = 1 + strings.Count(before(p.text, "*"+anchor[1]), "\n")
	case what == "control characters are not allowed":
		at := max(0, strings.IndexFunc(p.text, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\n\r", r) }))
		line = 1 + strings.Count(p.text[:at], "\n")
	}
	lines := strings.SplitN(p.text, "\n", max(line, 1)+1)
	line = min(max(line, 1), len(lines))
	text := lines[line-1]
	indent := len(text) - len(strings.TrimLeft(text, " "))
	p.add(line, indent+1, "file is no YAML: "+what)
}

// before returns what is in front of a part, nothing if there is none.
func before(text, part string) string {
	return text[:max(0, strings.Index(text, part))]
}

// A treeCheck walks a document once. It copies what aliases stand for, so that
// whoever comes later may change a node without changing another place.
type treeCheck struct {
	*problems
	left         int  // nodes that may still come
	nodes, depth int  // bounds
	dialect      bool // merge keys are allowed, and tags of what YAML has by itself
	stopped      bool
}

// expand returns n with aliases written out. It stops at the first excess: a bomb
// has one problem, not millions.
func (c *treeCheck) expand(n *yaml.Node, depth int, copied bool) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n, copied = n.Alias, true
	}
	switch c.left--; {
	case c.stopped:
		return n
	case depth > c.depth:
		c.stop(n, "file nests more than %d levels deep", c.depth)
		return n
	case c.left < 0:
		c.stop(n, "file has more than %d values, counting what aliases repeat", c.nodes)
		return n
	}
	if n.Style&yaml.TaggedStyle != 0 && !(c.dialect && strings.HasPrefix(n.ShortTag(), "!!")) {
		c.at(n, "tag %s: tags are not supported, write the value alone", word(n.Tag))
	}
	if copied {
		twin := *n
		twin.Content = slices.Clone(n.Content)
		n = &twin
	}
	for i := range n.Content {
		if c.stopped {
			return n
		}
		n.Content[i] = c.expand(n.Content[i], depth+1, copied)
	}
	if n.Kind == yaml.MappingNode {
		if c.dialect {
			mergeKeys(n)
		}
		c.keys(n)
	}
	return n
}

// mergeKeys writes out what merge keys of a mapping stand for: its own keys come before
// those that are merged, and earlier mappings before later ones.
func mergeKeys(n *yaml.Node) {
	var own, more []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.ShortTag() != "!!merge":
			own = append(own, key, value)
		case value.Kind == yaml.MappingNode:
			more = append(more, value)
		case value.Kind == yaml.SequenceNode && !slices.ContainsFunc(value.Content, func(m *yaml.Node) bool { return m.Kind != yaml.MappingNode }):
			more = append(more, value.Content...)
		default:
			own = append(own, key, value) // no mapping: keys complains
		}
	}
	n.Content = own
	for _, m := range more {
		for i := 0; i+1 < len(m.Content); i += 2 {
			if keyOf(n, m.Content[i].Value) == n {
				n.Content = append(n.Content, m.Content[i], m.Content[i+1])
			}
		}
	}
}

func (c *treeCheck) stop(n *yaml.Node, format string, args ...any) {
	c.at(n, format, args...)
	c.stopped = true
}

// keys checks the keys of a mapping.
func (c *treeCheck) keys(n *yaml.Node) {
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		line, twice := seen[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			c.at(key, "a key must be a word, found %s", describe(key))
		case key.ShortTag() == "!!merge" && c.dialect:
			c.at(key, "a merge key (<<) must have a mapping or a list of them, found %s", describe(n.Content[i+1]))
		case key.ShortTag() == "!!merge":
			c.at(key, "merge keys (<<) are not supported: write the keys out")
		case key.ShortTag() == "!!null":
			c.at(key, "a key must be a word, found nothing")
		case twice:
			c.at(key, "key %s is in line %d already", word(key.Value), line)
		default:
			seen[key.Value] = key.Line
		}
	}
}

// describe says what a node is, for errors about what it should be.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
	default:
		return "nothing"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + shorten(n.Value, maxQuoted)
	case "!!bool":
		return "the truth value " + shorten(n.Value, maxQuoted)
	}
	return word(n.Value)
}
