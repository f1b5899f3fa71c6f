// dialect_merge.go makes one domain of several files in Envoy's dialect.

package policy

import (
	"fmt"
	"slices"
)

// mergeDomains makes one of all files of a domain. Where they do not go together, none of
// them is left.
func (s *Set) mergeDomains(files []*file) (kept []*file, wrong Errors) {
	first, bad := map[string]*file{}, map[string]bool{}
	for _, f := range files {
		if f.policy == nil || f.policy.domain == nil {
			kept = append(kept, f)
			continue
		}
		into := first[f.namespace]
		if into == nil {
			first[f.namespace] = f
			kept = append(kept, f)
			continue
		}
		into.policy.merge(f)
		if f.err = f.problems.err(); f.err != nil {
			wrong = append(wrong, f.err.(Errors)...)
			bad[f.namespace] = true
			s.fail(f)
		}
	}
	return slices.DeleteFunc(kept, func(f *file) bool {
		if f.policy == nil || f.policy.domain == nil || !bad[f.namespace] {
			return false
		}
		s.fail(f)
		return true
	}), wrong
}

// merge adds the top level of another file's domain to that of p, which is not in use yet.
func (p *Policy) merge(f *file) {
	for _, n := range f.policy.domain.nodes {
		if twin := p.domain.top.add(n); twin != nil {
			f.problems.add(n.line, n.column, fmt.Sprintf("%s is in %s:%d already: give each descriptor of a level its own key and value", n.named(), twin.file, twin.line))
		}
	}
	p.domain.nodes = append(p.domain.nodes, f.policy.domain.nodes...)
	p.merged = append(p.merged, f.name)
	p.hash = mix(p.hash) + f.policy.hash
	p.notes = append(p.notes, f.policy.notes...)
}
