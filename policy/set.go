// set.go is all that a node knows of policies at one moment.

package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/bucketring/bucketring"
)

// A Set is all policies and lookup tables of a node. It is immutable: Load makes
// one, and the With methods and Reload make another. The zero Set, and a nil one,
// have none.
type Set struct {
	policies map[string]*Policy // in force, by namespace
	base     map[string]*Policy // the same without overrides that were put
	put      map[string]bool    // which of them were put at run time
	putLists map[string][]byte  // overrides that were put, by namespace

	tables    map[tableName]*table // of files
	putTables map[tableName]putTable

	failed []failure // what Load could not read
	sum    digestSum // of what Load read
}

// A failure is what did not load: its policy is in force as it was before.
type failure struct {
	file      string
	namespace string // of a policy; empty if it could not be read
	all       bool   // nothing could be read
}

func (f failure) concerns(file, namespace string) bool {
	return f.all || f.file == file || f.namespace != "" && f.namespace == namespace
}

// Policy returns the policy of a namespace. The error is ErrNoPolicy.
func (s *Set) Policy(namespace string) (*Policy, error) {
	if s == nil {
		s = &Set{}
	}
	if p, ok := s.policies[namespace]; ok {
		return p, nil
	}
	hint := near(namespace, slices.Sorted(maps.Keys(s.policies)))
	if len(s.policies) == 0 {
		hint = ": this node has no policies, start it with --policies or give key and limit"
	}
	return nil, fmt.Errorf("%w: there is no namespace %s%s", bucketring.ErrNoPolicy, word(namespace), hint)
}

// Find returns the policy of a namespace, nil if there is none. Beside Policy it has no
// advice for people, which costs more than to decide a call.
func (s *Set) Find(namespace string) *Policy {
	if s == nil {
		return nil
	}
	return s.policies[namespace]
}

// Policies returns all policies, sorted by namespace.
func (s *Set) Policies() []*Policy {
	if s == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(s.policies), func(a, b *Policy) int {
		return cmp.Compare(a.namespace, b.namespace)
	})
}

// Hash identifies the policies, but not the tables: nodes with equal hashes decide
// by the same text. 0 is no policy.
func (s *Set) Hash() (sum uint64) {
	if s != nil {
		for _, p := range s.policies {
			sum += mix(p.hash)
		}
	}
	return sum
}

// clone returns a copy whose maps may be changed.
func (s *Set) clone() *Set {
	if s == nil {
		s = &Set{}
	}
	next := *s
	next.policies = cloned(s.policies)
	next.base = cloned(s.base)
	next.put = cloned(s.put)
	next.putLists = cloned(s.putLists)
	next.putTables = cloned(s.putTables)
	next.failed = nil
	return &next
}

func cloned[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// Reload returns next, as Load returned it, with what was put into s at run time.
// A file that did not load leaves what it had loaded before.
func (s *Set) Reload(next *Set) *Set {
	if s == nil {
		s = &Set{}
	}
	out := next.clone()
	out.put, out.putLists, out.putTables = cloned(s.put), cloned(s.putLists), cloned(s.putTables)
	for namespace, p := range s.base {
		if s.put[namespace] || p.stays(out.base[namespace], next) {
			out.base[namespace] = p
		}
	}
	out.tables = cloned(out.tables)
	for name, t := range s.tables {
		if out.tables[name] == nil && next.lost(t.file, "") {
			out.tables[name] = t
		}
	}
	out.policies = map[string]*Policy{}
	for namespace := range out.base {
		out.enforce(namespace)
	}
	return out
}

// stays reports whether p goes on although other files were read, which made fresh of its
// namespace. A domain that is made of several files changes as a whole or not at all.
func (p *Policy) stays(fresh *Policy, next *Set) bool {
	if fresh != nil && p.domain == nil {
		return false
	}
	return next.lost(p.file, p.namespace) ||
		slices.ContainsFunc(p.merged, func(file string) bool { return next.lost(file, p.namespace) })
}

// lost reports whether a file or namespace is among what did not load.
func (s *Set) lost(file, namespace string) bool {
	return s != nil && slices.ContainsFunc(s.failed, func(f failure) bool { return f.concerns(file, namespace) })
}

// enforce puts a namespace's policy in force, with the overrides that were put
// and that it still has a use for.
func (s *Set) enforce(namespace string) {
	p := s.base[namespace]
	if list, ok := s.putLists[namespace]; ok {
		if with, err := p.withOverrides("", list, true); err == nil {
			p = with
		}
	}
	s.policies[namespace] = p
}
