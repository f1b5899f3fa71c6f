package policy

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// Meets matches a call and returns how many limits it meets and what it costs them.
func (p *Policy) Meets(sent map[string]string, cost int64, now time.Time) (limits int, total int64) {
	c := caller{cost: cost, now: now}
	c.read(p, sent)
	for i := range p.limits {
		if v, ok := p.limits[i].applies(&c); ok && v.limit != nil {
			n, _ := p.limits[i].costOf(&c, p.names)
			limits, total = limits+1, total+n
		}
	}
	return limits, total
}

// MatchPath, CleanPath, MatchValue and FindParam try the patterns.
func MatchPath(pattern, path string) (bool, error) {
	g, err := compileGlob(pattern)
	return err == nil && g.match(cleanPath(path)), err
}

// CleanPath is what is matched of a path.
func CleanPath(path string) string { return cleanPath(path) }

// MatchValue matches a pattern of a value.
func MatchValue(pattern, value string) (bool, error) {
	g, err := compileValueGlob(pattern)
	return err == nil && g.match(value), err
}

// FindParam takes a segment out of a path.
func FindParam(pattern, path string) (string, bool, error) {
	p, err := compilePathParam(pattern)
	if err != nil {
		return "", false, err
	}
	value, ok := p.find(cleanPath(path))
	return value, ok, nil
}

// CounterKey joins values, nil for absent ones, as keys of counters.
func CounterKey(values []*string) string {
	var a attributes
	slots := make([]int, len(values))
	for i, v := range values {
		if slots[i] = i; v != nil {
			a.set(i, *v)
		}
	}
	return counterKey(&a, slots)
}

// ParseCost reads a cost.
func ParseCost(text string, precision uint8) (int64, bool) { return parseCost(text, precision) }

// Render compiles a YAML value as the body of a refusal and renders it with value
// for every variable. problems are those of the template.
func Render(text string, value func(name string) string) (body string, problems []string, err error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) == 0 {
		return "", nil, err
	}
	t, found := compileTemplate(doc.Content[0], nil)
	for _, p := range found {
		problems = append(problems, p.text)
	}
	return string(t.render(nil, func(b []byte, p *piece) []byte { return append(b, value(p.name)...) })), problems, nil
}
