// schema.go publishes the tags of document.go as a JSON Schema, for editors.

package policy

import (
	"encoding/json"
	"reflect"
	"strings"
)

// Schema returns the JSON Schema (2020-12) of policy files in limits/v1. It knows all that
// concerns one value; only Parse knows all that concerns several.
func Schema() []byte {
	s := schemer{defs: object{"env": object{
		"description": "A value of the environment: ${ENV:NAME} or ${ENV:NAME:-default}.",
		"type":        "string", "pattern": `\$\{ENV:[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`,
	}}}
	root := s.structure(reflect.TypeFor[document]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "A policy of bucketring (" + policyVersion + ")"
	root["$defs"] = s.defs
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("policy: schema: " + err.Error()) // it is made of texts and numbers
	}
	return append(text, '\n')
}

type object = map[string]any

// A schemer collects the schemas of structs.
type schemer struct{ defs object }

// structure is the schema of a struct written as a mapping.
func (s *schemer) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	all := fieldsOf(t)
	for i := range all {
		f := &all[i]
		if f.scalar {
			continue
		}
		one := s.value(t.FieldByIndex(f.index).Type, f)
		one["description"] = f.doc
		properties[f.key] = one
		if f.need {
			required = append(required, f.key)
		}
	}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	switch t {
	case reflect.TypeFor[limitDoc]():
		out["allOf"] = ofKinds(all)
	case reflect.TypeFor[sourceDoc]():
		var one []object
		for _, key := range sourceKeys {
			one = append(one, object{"required": []string{key}})
		}
		out["oneOf"] = one
	}
	return out
}

// ofKinds says which keys limits of each kind cannot have, and which they need.
func ofKinds(all []field) []object {
	needs := map[string][]string{"rate": {"per"}, "concurrency": {"lease"}, "level": {}, "cap": {}}
	var rules []object
	for _, kind := range []string{"rate", "concurrency", "level", "cap"} {
		when := object{"properties": object{"kind": object{"const": kind}}}
		if kind != "rate" { // which is what a limit without a kind is
			when["required"] = []string{"kind"}
		}
		never := object{}
		for i := range all {
			if f := &all[i]; len(f.kinds) > 0 && !contains(f.kinds, kind) {
				never[f.key] = false
			}
		}
		rules = append(rules, object{"if": when, "then": object{"properties": never, "required": needs[kind]}})
	}
	return rules
}

// value is the schema of the value of a key.
func (s *schemer) value(t reflect.Type, f *field) object {
	switch {
	case t == reflect.TypeFor[raw]():
		return object{}
	case t == reflect.TypeFor[text]():
		return scalarSchema(f)
	case t.Kind() == reflect.Pointer:
		return s.value(t.Elem(), f)
	case isEntries(t):
		value, _ := t.Elem().FieldByName("Value")
		out := object{"type": "object", "propertyNames": keySchema(f.keys), "additionalProperties": s.value(value.Type, f)}
		if f.least > 0 {
			out["minProperties"] = f.least
		}
		return out
	case t.Kind() == reflect.Slice:
		out := object{"type": "array", "items": s.value(t.Elem(), f)}
		if f.least > 0 {
			out["minItems"] = f.least
		}
		if f.most > 0 {
			out["maxItems"] = f.most
		}
		return out
	}
	return s.reference(t)
}

// reference puts a struct's schema among the definitions.
func (s *schemer) reference(t reflect.Type) object {
	name := strings.TrimSuffix(t.Name(), "Doc")
	if _, ok := s.defs[name]; !ok {
		s.defs[name] = nil // structs do not contain themselves, but who knows
		one := s.structure(t)
		if all := fieldsOf(t); all[0].scalar {
			one = object{"anyOf": []object{scalarSchema(&all[0]), one}}
		}
		s.defs[name] = one
	}
	return object{"$ref": "#/$defs/" + name}
}

// scalarSchema is the schema of a text.
func scalarSchema(f *field) object {
	var all []object
	if len(f.words) > 0 {
		all = append(all, object{"enum": f.words})
	}
	if f.form != "" {
		all = append(all, formSchema(f)...)
	}
	return object{"anyOf": append(all, object{"$ref": "#/$defs/env"})}
}

// keySchema is the schema of keys, where the environment is not filled in.
func keySchema(name string) object {
	return formSchema(&field{form: name})[0]
}

// formSchema lists what a form allows.
func formSchema(f *field) []object {
	kind := forms[f.form]
	switch {
	case kind.tag == "!!bool":
		return []object{{"type": "boolean"}}
	case kind.tag == "!!int":
		return []object{{"type": "integer", "minimum": f.least, "maximum": f.most}}
	case f.form == "amount":
		return []object{{"type": "number", "minimum": 0}, {
			"type": "string", "pattern": `^(0|[1-9][0-9]*)(\.[0-9]+)?(kB|KB|MB|GB|TB|PB|KiB|MiB|GiB|TiB|PiB)?$`,
		}}
	case f.form == "reason":
		return []object{{"type": "string", "maxLength": maxReason}}
	case kind.pattern != anyText:
		return []object{{"type": "string", "pattern": kind.pattern.String()}}
	}
	text := object{"type": "string", "minLength": 1, "maxLength": kind.most}
	if kind.tag == "" {
		return []object{text, {"type": []string{"number", "boolean"}}}
	}
	return []object{text}
}
