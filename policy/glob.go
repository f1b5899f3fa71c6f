// glob.go matches paths and values against patterns. Matching allocates nothing.

package policy

import (
	"errors"
	"net/url"
	"strings"
)

// A glob is a pattern of a path: * stands for one segment, ** for any number of
// them, also none. A slash at the end counts.
type glob struct {
	text     string
	segments []string
}

func compileGlob(text string) (glob, error) {
	segments, err := splitPattern(text)
	if err != nil {
		return glob{}, err
	}
	for _, s := range segments {
		if strings.Contains(s, "*") && s != "*" && s != "**" {
			return glob{}, errors.New("a * stands for a whole segment of a path: write /v1/* or /v1/**")
		}
	}
	return glob{text, segments}, nil
}

func splitPattern(text string) ([]string, error) {
	switch {
	case !strings.HasPrefix(text, "/"):
		return nil, errors.New("a path begins with /")
	case strings.ContainsAny(text, "?#"):
		return nil, errors.New("a path has no query and no fragment")
	}
	return strings.Split(text[1:], "/"), nil
}

// match reports whether a cleaned path fits.
func (g *glob) match(path string) bool {
	return strings.HasPrefix(path, "/") && matchSegments(g.segments, path)
}

// matchSegments matches a rest of a path, which is empty or begins with a slash.
func matchSegments(segments []string, rest string) bool {
	for i, want := range segments {
		if want == "**" {
			return matchAny(segments[i+1:], rest)
		}
		if rest == "" {
			return false
		}
		segment := rest[1:]
		rest = ""
		if end := strings.IndexByte(segment, '/'); end >= 0 {
			segment, rest = segment[:end], segment[end:]
		}
		if want == "*" && segment == "" || want != "*" && want != segment {
			return false
		}
	}
	return rest == ""
}

// matchAny matches what follows a **. Only the last ** of a pattern has to try
// every place: an earlier one is content with the first that works.
func matchAny(after []string, rest string) bool {
	if len(after) == 0 {
		return true
	}
	for {
		if matchSegments(after, rest) {
			return true
		}
		if rest == "" {
			return false
		}
		next := strings.IndexByte(rest[1:], '/')
		if next < 0 {
			rest = ""
		} else {
			rest = rest[1+next:]
		}
	}
}

// cleanPath removes a query, decodes once, and removes dot segments. A path that
// is clean already, as nearly all are, is returned as it is.
func cleanPath(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if strings.IndexByte(path, '%') >= 0 {
		if decoded, err := url.PathUnescape(path); err == nil {
			path = decoded
		}
	}
	if !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".", "..":
			if s == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "") // it names a folder
			}
		default:
			kept = append(kept, s)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// A valueGlob is a pattern of a value: * stands for any characters, also none.
type valueGlob struct {
	first, last string   // before the first and behind the last *
	middle      []string // between them
	literals    int      // characters that are not *
}

func compileValueGlob(text string) (valueGlob, error) {
	parts := strings.Split(text, "*")
	if len(parts) == 1 {
		return valueGlob{}, errors.New("a pattern has a *")
	}
	return valueGlob{
		first: parts[0], last: parts[len(parts)-1], middle: parts[1 : len(parts)-1],
		literals: len(text) - (len(parts) - 1),
	}, nil
}

func (g *valueGlob) match(value string) bool {
	if len(value) < len(g.first)+len(g.last) ||
		!strings.HasPrefix(value, g.first) || !strings.HasSuffix(value, g.last) {
		return false
	}
	value = value[len(g.first) : len(value)-len(g.last)]
	for _, part := range g.middle {
		at := strings.Index(value, part)
		if at < 0 {
			return false
		}
		value = value[at+len(part):]
	}
	return true
}

// A pathParam takes the segment that a pattern names in braces.
type pathParam struct {
	segments []string // the named one is "{}"
}

func compilePathParam(text string) (pathParam, error) {
	segments, err := splitPattern(text)
	if err != nil {
		return pathParam{}, err
	}
	named := 0
	for i, s := range segments {
		switch {
		case len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}':
			segments[i] = "{}"
			named++
		case strings.ContainsAny(s, "{}") || strings.Contains(s, "*") && s != "*" && s != "**":
			return pathParam{}, errors.New("braces and * stand for a whole segment of a path")
		case s == "**" && i != len(segments)-1:
			return pathParam{}, errors.New("here ** can only stand at the end")
		}
	}
	if named != 1 {
		return pathParam{}, errors.New("name exactly one segment in braces, such as /v1/dubs/{id}/**")
	}
	return pathParam{segments}, nil
}

// find returns the named segment of a cleaned path.
func (p *pathParam) find(path string) (value string, ok bool) {
	for _, want := range p.segments {
		if want == "**" {
			return value, true
		}
		if path == "" || path[0] != '/' {
			return "", false
		}
		segment := path[1:]
		path = ""
		if end := strings.IndexByte(segment, '/'); end >= 0 {
			segment, path = segment[:end], segment[end:]
		}
		switch {
		case want == "{}":
			value = segment
		case want == "*" && segment == "" || want != "*" && want != segment:
			return "", false
		}
	}
	return value, path == ""
}
