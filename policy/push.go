// push.go changes a set at run time, in front of its files: what was put stays
// over a reload.

package policy

import (
	"maps"
	"slices"
)

// WithPolicy returns the set with a policy, in place of one of that namespace.
func (s *Set) WithPolicy(p *Policy) *Set {
	next := s.clone()
	next.base[p.namespace] = p
	next.put[p.namespace] = true
	next.enforce(p.namespace)
	return next
}

// WithOverrides returns the set with more overrides for a namespace, a YAML or
// JSON list of them, in place of those that were put before; an empty list takes
// them away. They come behind those of the file. The error is Errors, or
// ErrNoPolicy.
func (s *Set) WithOverrides(namespace string, text []byte) (*Set, error) {
	if _, err := s.Policy(namespace); err != nil {
		return nil, err
	}
	next := s.clone()
	p, err := next.base[namespace].withOverrides("overrides", text, false)
	if err != nil {
		return nil, err
	}
	next.policies[namespace] = p
	if next.putLists[namespace] = slices.Clone(text); p == next.base[namespace] {
		delete(next.putLists, namespace)
	}
	return next, nil
}

// WithRows returns the set with rows of a lookup table, by their keys. Replace
// makes them all that the table has; otherwise other keys keep their rows, and a
// nil row deletes its key.
func (s *Set) WithRows(namespace, name string, rows map[string]map[string]string, replace bool) *Set {
	next := s.clone()
	at := tableName{namespace, name}
	put, ok := next.putTables[at]
	if replace || !ok {
		put = putTable{&table{}, replace}
	}
	if replace {
		rows = maps.Clone(rows)
		maps.DeleteFunc(rows, func(_ string, row map[string]string) bool { return row == nil })
	}
	// A deleted row needs a mark only to hide one of a file.
	marks := !put.whole && next.tables[at] != nil
	put.table = put.with(rows, marks)
	next.putTables[at] = put
	return next
}
