// file.go reads tokens files. They are strict: a word that is misspelt must not become a
// token that may more, or for longer, than was meant.

package access

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
)

// Bounds of a tokens file.
const (
	maxFile       = 1 << 20 // bytes
	maxTokens     = 10_000
	maxNamespaces = 100 // of a token
	maxNamespace  = 512 // bytes
)

// read returns the text of a file that others cannot write.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("tokens file %s does not exist: make one with: bucketring token add %s ID --scope take", path, path)
	}
	if err != nil {
		return nil, fmt.Errorf("tokens file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("tokens file: %w", err)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("tokens file %s can be written by others: run: chmod o-w %s", path, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("tokens file: %w", err)
	case len(text) > maxFile:
		return nil, fmt.Errorf("tokens file %s has more than %d bytes: take out what is no longer used", path, maxFile)
	}
	return text, nil
}

// A reader gathers what is wrong with a file.
type reader struct {
	name     string
	problems []error
}

func (r *reader) fail(at *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("%s:%d: %s", r.name, at.Line, fmt.Sprintf(format, args...)))
}

// Parse reads the text of a tokens file; name is for errors, of which there is one line for
// each thing that is wrong.
func Parse(name string, text []byte) ([]*Grant, error) {
	r := &reader{name: name}
	list, anybody, err := parts(name, text)
	if err != nil {
		return nil, err
	}
	if len(list.Content) > maxTokens {
		return nil, fmt.Errorf("%s has %d tokens, at most %d are allowed: take out what is no longer used", name, len(list.Content), maxTokens)
	}
	var all []*Grant
	ids, sums := map[string]int{Anonymous: 0}, map[[32]byte]int{noToken(): 0}
	for _, item := range list.Content {
		g := r.grant(item)
		if line, twice := ids[g.ID]; twice {
			r.fail(item, "id %s is that of line %d, too: give each token its own", g.ID, line)
		}
		if line, twice := sums[g.Sum]; twice {
			r.fail(item, "this sha256 is that of line %d, too, or of nothing: make a token for each with: bucketring token add", line)
		}
		if g.ID != "" && g.Sum != ([32]byte{}) { // else it is said already what is wrong
			ids[g.ID], sums[g.Sum] = item.Line, item.Line
		}
		all = append(all, g)
	}
	if anybody != nil {
		g := &Grant{ID: Anonymous, Sum: noToken()}
		if r.scopes(g, anybody); g.Scopes&bucketring.ScopeAdmin != 0 {
			r.fail(anybody, "anonymous callers cannot have the scope admin: make a token for who operates")
		}
		all = append(all, g)
	}
	return all, errors.Join(r.problems...)
}

const shape = "a tokens file is \"tokens:\" and a list under it; bucketring token add makes one"

// parts returns the list of tokens in a file, and what callers without one may do; nil for
// nothing.
func parts(name string, text []byte) (list, anybody *yaml.Node, err error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, nil, fmt.Errorf("%s: %s", name, shape)
	}
	top := doc.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		to := map[string]**yaml.Node{"tokens": &list, Anonymous: &anybody}[top[i].Value]
		if to == nil || *to != nil {
			return nil, nil, fmt.Errorf("%s:%d: unknown field %q, or one that is given twice: %s", name, top[i].Line, top[i].Value, shape)
		}
		*to = top[i+1]
	}
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, nil, fmt.Errorf("%s: %s", name, shape)
	}
	return list, anybody, nil
}

// fields are those of a token.
var fields = []string{"id", "sha256", "scopes", "namespaces", "expires"}

var goodID = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$`)

// grant reads one token.
func (r *reader) grant(item *yaml.Node) *Grant {
	g := &Grant{}
	if item.Kind != yaml.MappingNode {
		r.fail(item, "a token is a list of fields: %s", strings.Join(fields, ", "))
		return g
	}
	given := map[string]bool{}
	for i := 0; i+1 < len(item.Content); i += 2 {
		key, value := item.Content[i], item.Content[i+1]
		if given[key.Value] {
			r.fail(key, "%s is given twice", key.Value)
		}
		given[key.Value] = true
		r.field(g, key, value)
	}
	for _, name := range fields[:3] {
		if !given[name] {
			r.fail(item, "%s is missing: each token has %s", name, strings.Join(fields[:3], ", "))
		}
	}
	return g
}

func (r *reader) field(g *Grant, key, value *yaml.Node) {
	switch key.Value {
	case "id":
		if g.ID = value.Value; value.Kind != yaml.ScalarNode || !goodID.MatchString(g.ID) {
			r.fail(value, "an id has 1 to 63 of a-z, A-Z, 0-9, dot, hyphen and underscore")
		}
	case "sha256":
		sum, err := hex.DecodeString(value.Value)
		if err != nil || len(sum) != len(g.Sum) {
			r.fail(value, "sha256 is not 64 hexadecimal digits: it is the digest of a token, never the token")
			return
		}
		copy(g.Sum[:], sum)
	case "scopes":
		r.scopes(g, value)
	case "namespaces":
		r.namespaces(g, value)
	case "expires":
		var err error
		if g.Expires, err = time.Parse(time.RFC3339, value.Value); err != nil {
			r.fail(value, "expires is no time such as 2030-01-31T00:00:00Z")
		}
	default:
		near := bucketring.Suggest(key.Value, fields)
		if near == "" {
			near = ": the fields are " + strings.Join(fields, ", ")
		}
		r.fail(key, "unknown field %q%s", key.Value, near)
	}
}

func (r *reader) scopes(g *Grant, list *yaml.Node) {
	for _, item := range list.Content {
		scope, err := bucketring.ParseScope(item.Value)
		if err != nil {
			r.fail(item, "%v", err)
		}
		g.Scopes |= scope
	}
	if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		r.fail(list, "scopes is empty: give a list of %s", strings.Join(bucketring.ScopeNames(), ", "))
	}
}

func (r *reader) namespaces(g *Grant, list *yaml.Node) {
	switch n := len(list.Content); {
	case list.Kind != yaml.SequenceNode || n == 0:
		r.fail(list, "namespaces is empty: leave it out for a token of all namespaces")
	case n > maxNamespaces:
		r.fail(list, "a token has %d namespaces, at most %d are allowed: leave them out for all", n, maxNamespaces)
	}
	for _, item := range list.Content {
		if item.Kind != yaml.ScalarNode || item.Value == "" || len(item.Value) > maxNamespace {
			r.fail(item, "a namespace has 1 to %d bytes", maxNamespace)
		}
		g.Namespaces = append(g.Namespaces, item.Value)
	}
}
