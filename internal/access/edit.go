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
	"path/filepath"
	"slices"
	"strings"
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
	text, fresh := []byte(fileHead+"tokens: []\n"), isMissing(path)
	if !fresh {
		if text, err = read(path); err != nil {
			return "", err
		}
	}
	next, err := edit(path, text, func(list *yaml.Node) error {
		list.Style = 0 // one line for each field, also below a list that was empty
		list.Content = append(list.Content, nodeOf(&g))
		return nil
	})
	if err != nil {
		return "", err
	}
	return token, write(path, next, fresh)
}

func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// Remove takes a token out of a file by its id.
func Remove(path, id string) error {
	text, err := read(path)
	if err != nil {
		return err
	}
	next, err := edit(path, text, func(list *yaml.Node) error {
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
	})
	if err != nil {
		return err
	}
	return write(path, next, false)
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
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(&doc), enc.Close()); err != nil {
		return nil, err
	}
	_, err := Parse(path, b.Bytes())
	return b.Bytes(), err
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
	put("scopes", list(g.Scopes.Names()))
	if len(g.Namespaces) > 0 {
		put("namespaces", list(g.Namespaces))
	}
	if !g.Expires.IsZero() {
		put("expires", text(g.Expires.UTC().Format(time.RFC3339)))
	}
	return n
}

// write replaces a file at once, so that nobody reads half of it. A new one is for its owner
// alone; an older one keeps its mode.
func write(path string, text []byte, fresh bool) (err error) {
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+strings.TrimPrefix(filepath.Base(path), ".")+".*")
	if err != nil {
		return fmt.Errorf("tokens file: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil && fresh {
		err = os.Link(f.Name(), path) // fails if another one was made meanwhile
		_ = os.Remove(f.Name())       // the link stays
	} else if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // of no use
		return fmt.Errorf("tokens file: %w", err)
	}
	return nil
}
