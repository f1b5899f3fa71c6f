// body.go compares JSON by value.

package policytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// numberForm is how JSON writes numbers, with no more of an exponent than anybody
// means.
var numberForm = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$`)

// json makes a JSON value of YAML, as encoding/json would, with json.Number for
// numbers.
func (r *reader) json(n *yaml.Node, what string) any {
	switch n.Kind {
	case yaml.MappingNode:
		all := map[string]any{}
		for key, value := range r.entries(n, what) {
			all[key.Value] = r.json(value, what+"."+key.Value)
		}
		return all
	case yaml.SequenceNode:
		all := make([]any, len(n.Content))
		for i, value := range n.Content {
			all[i] = r.json(value, fmt.Sprintf("%s[%d]", what, i))
		}
		return all
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return r.boolean(n, what)
	case "!!int", "!!float":
		if !numberForm.MatchString(n.Value) {
			r.fail(n, "%s is %s, which JSON writes otherwise: give a decimal number, or quote a text", what, n.Value)
		}
		return json.Number(n.Value)
	}
	return n.Value
}

// compare adds where two JSON values differ. Unless exact, mappings may have more
// than is expected.
func compare(d *diff, path string, want, got any, exact bool) {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			compareMaps(d, path, w, g, exact)
			return
		}
	case []any:
		if g, ok := got.([]any); ok && len(g) == len(w) {
			for i := range w {
				compare(d, fmt.Sprintf("%s[%d]", path, i), w[i], g[i], exact)
			}
			return
		}
	case json.Number:
		if g, ok := got.(json.Number); ok && sameNumber(w, g) {
			return
		}
	default:
		if want == got {
			return
		}
	}
	d.differ(path+": "+written(want), path+": "+written(got))
}

func compareMaps(d *diff, path string, want, got map[string]any, exact bool) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		g, ok := got[key]
		if !ok {
			d.differ(path+"."+key+": "+written(want[key]), path+"."+key+": (absent)")
			continue
		}
		compare(d, path+"."+key, want[key], g, exact)
	}
	if !exact {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			d.differ(path+"."+key+": (absent)", path+"."+key+": "+written(got[key]))
		}
	}
}

// sameNumber compares as numbers, so that 45.20 is 45.2, and exactly.
func sameNumber(a, b json.Number) bool {
	if !numberForm.MatchString(b.String()) {
		return false
	}
	x, _ := new(big.Rat).SetString(a.String())
	y, _ := new(big.Rat).SetString(b.String())
	return x != nil && y != nil && x.Cmp(y) == 0
}

// written is a value as JSON.
func written(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
