// edit.go adds tokens to a file and takes them out again.

package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
)

// tokenBytes is how much of a token is random.
const tokenBytes = 32

const fileHead = "# Who may call this cluster. The tokens themselves are not here, only their SHA-256.\n" +
	"# Change it with: bucketring token add|list|remove FILE. Nodes notice by themselves.\n"

// List reads a tokens file.
func List(path string) ([]*Grant, error) {
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// Add makes a token with what g says, but for its Sum, writes it to a file, which is made
// if it is not there, and returns the token. Nobody can find it out again.
func Add(path string, g Grant) (token string, err error) {
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // never fails
	token = base64.RawURLEncoding.EncodeToString(random)
	g.Sum = sha256.Sum256([]byte(token))
	err = Replace(path, func() ([]byte, error) {
		text := []byte(fileHead + "tokens: []\n")
		if _, missing := os.Stat(path); !errors.Is(missing, fs.ErrNotExist) {
			var err error
			if text, err = read(path); err != nil {
				return nil, err
			}
		}
		return edit(path, text, func(list *yaml.Node) error {
			list.Style = 0 // one line for each field, also below a list that was empty
			list.Content = append(list.Content, nodeOf(&g))
			return nil
		})
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// Remove takes a token out of a file by its id.
func Remove(path, id string) error {
	return Replace(path, func() ([]byte, error) {
		text, err := read(path)
		if err != nil {
			return nil, err
		}
		return edit(path, text, func(list *yaml.Node) error { return without(list, path, id) })
	})
}

// without takes a token out of a list.
func without(list *yaml.Node, path, id string) error {
	var ids []string
	for i, item := range list.Content {
		for j := 0; j+1 < len(item.Content); j += 2 {
			if item.Content[j].Value != "id" {
				continue
			}
			if item.Content[j+1].Value == id {
				list.Content = append(list.Content[:i], list.Content[i+1:]...)
				return nil
			}
			ids = append(ids, item.Content[j+1].Value)
		}
	}
	return fmt.Errorf("%s has no token %s%s", path, id, bucketring.Suggest(id, ids))
}

// edit changes the list in a text, and keeps its comments. What comes out is a good file.
func edit(path string, text []byte, change func(list *yaml.Node) error) ([]byte, error) {
	if _, err := Parse(path, text); err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	top := doc.Content[0].Content
	at := 1 + slices.IndexFunc(top, func(n *yaml.Node) bool { return n.Value == "tokens" }) // it is there: Parse was content
	if err := change(top[at]); err != nil {
		return nil, err
	}
	for _, item := range top[at].Content {
		scopesLast(item)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(&doc), enc.Close()); err != nil {
		return nil, err
	}
	_, err := Parse(path, b.Bytes())
	return b.Bytes(), err
}

// scopesLast moves the scopes of a token behind what narrows it: a copy of the file that is
// cut lacks them, which is an error, and never its namespaces or its end alone.
func scopesLast(item *yaml.Node) {
	for i := 0; i+1 < len(item.Content); i += 2 {
		if item.Content[i].Value == "scopes" {
			scopes := slices.Clone(item.Content[i : i+2])
			item.Content = append(slices.Delete(item.Content, i, i+2), scopes...)
			return
		}
	}
}

// nodeOf writes a token.
func nodeOf(g *Grant) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	put := func(name string, value *yaml.Node) {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, value)
	}
	text := func(s string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	}
	list := func(words []string) *yaml.Node {
		l := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, w := range words {
			l.Content = append(l.Content, text(w))
		}
		return l
	}
	put("id", text(g.ID))
	put("sha256", text(hex.EncodeToString(g.Sum[:])))
	if len(g.Namespaces) > 0 {
		put("namespaces", list(g.Namespaces))
	}
	if !g.Expires.IsZero() {
		put("expires", text(g.Expires.UTC().Format(time.RFC3339)))
	}
	put("scopes", list(g.Scopes.Names()))
	return n
}
