// decode.go fills the structs of document.go from YAML and reports whatever does
// not fit their tags. It goes on behind a problem, so that all are reported.

package policy

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A place says where in a file a value is, for people: `deny of limit "jobs"`.
type place struct {
	in   *place // nil at the top
	name string
}

func (p *place) String() string {
	if p.in == nil || p.in.in == nil {
		return p.name
	}
	return p.name + " of " + p.in.String()
}

func (p *place) below(name string) *place { return &place{p, name} }

// of names a key in the place: `status of deny of limit "jobs"`.
func (p *place) of(key string) string { return p.below(key).String() }

// A field is what the tags of a struct's field say.
type field struct {
	index               []int
	key, form, keys, of string
	doc                 string
	words, kinds        []string
	need, scalar        bool
	least, most         int // -1 for no bound
}

func newField(f reflect.StructField) field {
	bound := func(tag string) int {
		n, err := strconv.Atoi(f.Tag.Get(tag))
		if err != nil {
			return -1
		}
		return n
	}
	return field{
		index: f.Index, key: f.Tag.Get("key"), form: f.Tag.Get("form"), keys: f.Tag.Get("keys"), of: f.Tag.Get("of"),
		doc: f.Tag.Get("doc"), words: strings.Fields(f.Tag.Get("words")), kinds: strings.Fields(f.Tag.Get("kinds")),
		need: f.Tag.Get("need") != "", scalar: f.Tag.Get("scalar") != "", least: bound("least"), most: bound("most"),
	}
}

// fieldsOf lists the fields of a struct, also of those embedded, that stand for
// something in a file.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for _, f := range reflect.VisibleFields(t) {
		if one := newField(f); one.key != "" || one.scalar {
			all = append(all, one)
		}
	}
	return all
}

// isEntries reports whether a type is a list of entries.
func isEntries(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && strings.HasPrefix(t.Elem().Name(), "entry[")
}

// A decoder fills structs.
type decoder struct {
	*problems
	// bad has the values that it complained about: who comes later need not.
	bad    map[*yaml.Node]bool
	fields map[reflect.Type][]field
}

// decode fills doc, a pointer to a struct, from a file's root. bad has what was
// complained about already.
func (p *problems) decode(root *yaml.Node, doc any, bad map[*yaml.Node]bool) *decoder {
	d := &decoder{problems: p, bad: bad, fields: map[reflect.Type][]field{}}
	d.structure(root, reflect.ValueOf(doc).Elem(), &field{}, &place{nil, "the file"})
	return d
}

// decodeList fills list, a pointer to a slice, from a root that is a list.
func (p *problems) decodeList(root *yaml.Node, list *[]overrideDoc) *decoder {
	d := &decoder{problems: p, bad: map[*yaml.Node]bool{}, fields: map[reflect.Type][]field{}}
	f := field{key: "the list", of: "override", least: -1, most: -1}
	d.value(root, reflect.ValueOf(list).Elem(), &f, &place{nil, "the list"})
	return d
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	d.at(n, format, args...)
	d.bad[n] = true
}

// value fills v with the value of key f of a mapping at a place.
func (d *decoder) value(n *yaml.Node, v reflect.Value, f *field, at *place) {
	switch to := v.Addr().Interface().(type) {
	case *raw:
		to.Node = n
		return
	case *text:
		to.Node = n
		d.scalar(n, f, at)
		return
	}
	switch t := v.Type(); {
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		d.value(n, v.Elem(), f, at)
	case isEntries(t):
		d.entries(n, v, f, at)
	case t.Kind() == reflect.Slice:
		d.list(n, v, f, at)
	default:
		d.structure(n, v, f, at.below(f.of))
	}
}

// structure fills a struct from a mapping, or from a scalar if it may be one.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, f *field, at *place) {
	v.FieldByName("Node").Set(reflect.ValueOf(n))
	t := v.Type()
	if d.fields[t] == nil {
		d.fields[t] = fieldsOf(t)
	}
	all := d.fields[t]
	if n.Kind == yaml.ScalarNode && all[0].scalar {
		one := all[0]
		one.key = at.name
		d.value(n, v.FieldByIndex(one.index), &one, at.in)
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s must be a mapping, found %s", at, describe(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		known := slices.IndexFunc(all, func(f field) bool { return f.key == key.Value && !f.scalar })
		switch {
		case known >= 0:
			d.value(n.Content[i+1], v.FieldByIndex(all[known].index), &all[known], at)
		case sound(key):
			d.at(key, "unknown key %s in %s%s", word(key.Value), at, near(key.Value, keysOf(all)))
		}
	}
	for i := range all {
		if all[i].need && child(n, all[i].key) == nil && child(n, "<<") == nil {
			d.fail(n, "%s needs the key %q", at, all[i].key)
		}
	}
}

// sound reports whether a key can be one: about others tree.go complains.
func sound(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.ShortTag() != "!!merge" && key.ShortTag() != "!!null"
}

func keysOf(all []field) []string {
	keys := make([]string, len(all))
	for i := range all {
		keys[i] = all[i].key
	}
	return keys
}

// child returns the value of a key of a mapping, nil if there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// list fills a slice from a sequence.
func (d *decoder) list(n *yaml.Node, v reflect.Value, f *field, at *place) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "%s must be a list, found %s", at.of(f.key), describe(n))
		return
	}
	d.count(n, len(n.Content), f, at)
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		if f.of == "" {
			d.value(item, v.Index(i), f, at)
		} else {
			d.structure(item, v.Index(i), f, elementPlace(item, i, f, at))
		}
	}
}

// elementPlace is the place of an element of a list: by its name if it has one.
func elementPlace(n *yaml.Node, i int, f *field, at *place) *place {
	if f.keys != "" {
		at = at.below(f.key) // the list is one of many, in an entry
	}
	if name := child(n, "name"); name != nil && name.Kind == yaml.ScalarNode {
		return at.below(f.of + " " + word(name.Value))
	}
	return at.below(f.of + " " + strconv.Itoa(i+1))
}

// count holds a number of elements against the bounds.
func (d *decoder) count(n *yaml.Node, count int, f *field, at *place) {
	if count < f.least {
		d.fail(n, "%s is empty: leave it out, or give at least %d", at.of(f.key), f.least)
	}
	if f.most >= 0 && count > f.most {
		d.fail(n, "%s has %d elements, at most %d are allowed", at.of(f.key), count, f.most)
	}
}

// entries fills a slice of entries from a mapping whose keys are free.
func (d *decoder) entries(n *yaml.Node, v reflect.Value, f *field, at *place) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s must be a mapping, found %s", at.of(f.key), describe(n))
		return
	}
	count := len(n.Content) / 2
	d.count(n, count, f, at)
	v.Set(reflect.MakeSlice(v.Type(), count, count))
	at = at.below(f.key)
	one := *f
	for i := range count {
		key := n.Content[2*i]
		item := v.Index(i).Addr()
		*item.Elem().FieldByName("Key").Addr().Interface().(*text) = text{key}
		if !sound(key) {
			continue
		}
		if !d.fits(key, forms[f.keys]) {
			d.fail(key, "key %s in %s must be %s", word(key.Value), at, forms[f.keys].what)
		}
		one.key = word(key.Value)
		d.value(n.Content[2*i+1], item.Elem().FieldByName("Value"), &one, at)
	}
}
