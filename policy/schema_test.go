package policy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring/policy"
)

// schema compiles the schema of policies.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(policy.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("policy.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// jsonOf reads YAML as the JSON that editors hold against a schema.
func jsonOf(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSchemaAcceptsGoodFiles: what loads is right for editors too.
func TestSchemaAcceptsGoodFiles(t *testing.T) {
	s := schema(t)
	files, _ := filepath.Glob("testdata/*.yaml")
	good, _ := filepath.Glob("testdata/good/*.yaml")
	for _, name := range append(files, good...) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "limits-table/v1") || strings.Contains(name, "dialect-") {
			continue
		}
		if err := s.Validate(jsonOf(t, text)); err != nil {
			t.Errorf("the schema refuses %s: %v", name, err)
		}
	}
}

// TestSchemaRefuses: what editors can know to be wrong.
func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	const base = "apiVersion: limits/v1\nnamespace: x\n"
	for _, rest := range []string{
		"", "limits: []", "limits: [{name: a, limit: 1}]", "limits: [{name: a, limit: 1, per: 1m, algoritm: x}]",
		"limits: [{name: A, limit: 1, per: 1m}]", "limits: [{name: a, limit: -1, per: 1m}]", "limits: [{name: a, limit: 1Mb, per: 1m}]",
		"limits: [{name: a, limit: 1, per: 1min}]", "limits: [{name: a, kind: concurrency, limit: 1}]",
		"limits: [{name: a, kind: cap, limit: 1, per: 1m}]", "limits: [{name: a, kind: rate, limit: 1, per: 1m, lease: {ttl: 1s}}]",
		"limits: [{name: a, limit: {by: plan}, per: 1m}]", "limits: [{name: a, limit: 1, per: 1m, deny: {status: 200}}]",
		"limits: [{name: a, limit: 1, per: 1m}]\nidentify: {a: [{header: x, query: y}]}",
		"limits: [{name: a, limit: 1, per: 1m}]\noverrides: [{match: {}, limits: {a: 1}}]",
		"limits: [{name: a, limit: 1, per: 1m}]\nresponses: {headers: {style: all}}",
	} {
		if err := s.Validate(jsonOf(t, []byte(base+rest))); err == nil {
			t.Errorf("the schema accepts\n%s", rest)
		}
		if _, err := policy.Parse("x", []byte(base+rest), policy.Options{}); err == nil {
			t.Errorf("Parse accepts\n%s", rest)
		}
	}
}

// TestSchemaDescribes: an editor shows something for every key.
func TestSchemaDescribes(t *testing.T) {
	var root struct {
		Properties map[string]struct{ Description string }
		Defs       map[string]struct {
			Properties map[string]struct{ Description string }
			AnyOf      []struct {
				Properties map[string]struct{ Description string }
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(policy.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	count := 0
	check := func(of string, properties map[string]struct{ Description string }) {
		for key, p := range properties {
			count++
			if p.Description == "" {
				t.Errorf("%s of %s has no description", key, of)
			}
		}
	}
	check("the file", root.Properties)
	for name, def := range root.Defs {
		check(name, def.Properties)
		for _, one := range def.AnyOf {
			check(name, one.Properties)
		}
	}
	if want := len(policy.DocumentKeys()); count != want {
		t.Errorf("the schema has %d keys, the document %d", count, want)
	}
	if !bytes.Equal(policy.Schema(), policy.Schema()) {
		t.Error("Schema differs from call to call")
	}
}
