// openapi_read_test.go reads internal/httpapi/openapi.yaml, strictly.

package doortest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const apiFile = "internal/httpapi/openapi.yaml"

// An api is the part of OpenAPI 3.1 that the file uses. A misspelt name is an error.
type api struct {
	OpenAPI string `yaml:"openapi"`
	Info    struct {
		Title, Version, Summary, Description string
		License                              struct{ Name, Identifier string }
	}
	Servers    []server
	Security   []map[string][]string
	Tags       []struct{ Name, Description string }
	Paths      map[string]path
	Components struct {
		Headers   map[string]header
		Responses map[string]response
		Examples  map[string]example
		Schemas   map[string]any
		Security  map[string]securityScheme `yaml:"securitySchemes"`
	}

	schemas *jsonschema.Compiler
}

// A securityScheme is one way to show a token.
type securityScheme struct{ Type, Scheme, In, Name, Description string }

type server struct{ URL, Description string }

// A path has its calls by method, in small letters, and its servers.
type path map[string]call

type call struct {
	Tags                 []string
	OperationID          string `yaml:"operationId"`
	Summary, Description string
	Parameters           []parameter
	RequestBody          *content `yaml:"requestBody"`
	Responses            map[string]response
	server               string
	ref                  string // of the call, as a JSON pointer
}

type parameter struct {
	Name, In, Description, Style string
	Required, Explode            bool
	AllowEmptyValue              bool `yaml:"allowEmptyValue"`
	Schema                       any
	Examples                     map[string]example
}

type content struct {
	Required bool
	Content  map[string]media
}

type media struct {
	Schema   any
	Examples map[string]example
}

type response struct {
	Ref         string `yaml:"$ref"`
	Description string
	Headers     map[string]header
	Content     map[string]media
	// XExamples names examples whose answer has no body.
	XExamples []string `yaml:"x-examples"`
	at        string   // where it stands, as a JSON pointer
}

type header struct {
	Ref         string `yaml:"$ref"`
	Description string
	Schema      any
}

type example struct {
	Ref   string `yaml:"$ref"`
	Value any
}

// UnmarshalYAML tells calls from what else a path may have.
func (p *path) UnmarshalYAML(n *yaml.Node) error {
	var parts map[string]yaml.Node
	if err := n.Decode(&parts); err != nil {
		return err
	}
	*p = path{}
	at := ""
	if servers, ok := parts["servers"]; ok {
		var all []server
		if err := strictly(&servers, &all); err != nil || len(all) != 1 {
			return fmt.Errorf("line %d: want one server: %w", servers.Line, err)
		}
		at = all[0].URL
		delete(parts, "servers")
	}
	for method, part := range parts {
		c := call{server: at}
		if err := strictly(&part, &c); err != nil {
			return err
		}
		(*p)[method] = c
	}
	return nil
}

// strictly decodes a part of a document; Node.Decode alone takes unknown names.
func strictly(n *yaml.Node, to any) error {
	text, err := yaml.Marshal(n)
	if err != nil {
		return err
	}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	dec.KnownFields(true)
	return dec.Decode(to)
}

// readAPI reads the file, with its references to components resolved.
func readAPI(t *testing.T) *api {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(read(t, apiFile)), &root); err != nil {
		t.Fatal(err)
	}
	spread(&root)
	a := &api{}
	if err := strictly(root.Content[0], a); err != nil {
		t.Fatalf("%s: %v", apiFile, err)
	}
	for target, p := range a.Paths {
		for method, c := range p {
			if c.server == "" {
				c.server = a.Servers[0].URL
			}
			c.ref = "/paths/" + escape(target) + "/" + method
			for status, r := range c.Responses {
				at := c.ref + "/responses/" + status
				c.Responses[status] = a.resolve(t, r, at)
			}
			p[method] = c
		}
	}
	a.schemas = compiler(t, &root)
	return a
}

func escape(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }

// spread puts copies where aliases are, so that each part stands by itself.
func spread(n *yaml.Node) {
	for i, c := range n.Content {
		if c.Kind == yaml.AliasNode {
			whole := *c.Alias
			n.Content[i] = &whole
			c = &whole
		}
		spread(c)
	}
	n.Anchor = ""
}

// resolve follows the reference of a response and those in it.
func (a *api) resolve(t *testing.T, r response, at string) response {
	t.Helper()
	if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
		shared, ok := a.Components.Responses[name]
		if !ok {
			t.Errorf("%s: there is no %s", at, r.Ref)
		}
		r, at = shared, "/components/responses/"+name
	} else if r.Ref != "" {
		t.Errorf("%s: reference %s leads nowhere", at, r.Ref)
	}
	r.at = at
	for name, h := range r.Headers {
		if ref, ok := strings.CutPrefix(h.Ref, "#/components/headers/"); h.Ref != "" {
			if _, there := a.Components.Headers[ref]; !ok || !there {
				t.Errorf("%s: header %s: there is no %s", at, name, h.Ref)
			}
		}
	}
	for _, m := range r.Content {
		for name, e := range m.Examples {
			if ref, ok := strings.CutPrefix(e.Ref, "#/components/examples/"); e.Ref != "" {
				shared, there := a.Components.Examples[ref]
				if !ok || !there {
					t.Errorf("%s: example %s: there is no %s", at, name, e.Ref)
				}
				m.Examples[name] = shared
			}
		}
	}
	return r
}

// compiler returns what knows the schemas of the file. Answers must have no member
// that the file does not mention, though callers are to expect them.
func compiler(t *testing.T, root *yaml.Node) *jsonschema.Compiler {
	t.Helper()
	var doc any
	if err := root.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	doc = asJSON(t, doc)
	closed(doc)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(apiFile, doc); err != nil {
		t.Fatal(err)
	}
	return c
}

// asJSON returns v as a JSON document would be read for a schema.
func asJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// closed adds to every schema with properties that it has no others.
func closed(doc any) {
	switch doc := doc.(type) {
	case map[string]any:
		_, isSchema := doc["properties"].(map[string]any)
		if _, open := doc["additionalProperties"]; isSchema && !open && doc["type"] == "object" {
			doc["additionalProperties"] = false
		}
		for _, key := range slices.Sorted(maps.Keys(doc)) {
			if key != "examples" && key != "value" {
				closed(doc[key])
			}
		}
	case []any:
		for _, part := range doc {
			closed(part)
		}
	}
}

// check holds a value against the schema at a JSON pointer.
func (a *api) check(pointer string, value any) error {
	s, err := a.schemas.Compile(apiFile + "#" + pointer)
	if err != nil {
		return err
	}
	return s.Validate(value)
}
