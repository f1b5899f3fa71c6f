// rfc9651_test.go reads Lists as RFC 9651, section 4.2, does, as far as the fields
// need: items that are Strings, parameters that are Integers or Strings.

package ratefield_test

import (
	"regexp"
	"strings"
	"testing"
)

type item struct {
	name       string
	parameters map[string]string
}

var (
	sfString  = regexp.MustCompile(`^"(?:[ !#-\[\]-~]|\\["\\])*"`)
	sfInteger = regexp.MustCompile(`^-?[0-9]{1,15}`)
	sfKey     = regexp.MustCompile(`^[a-z*][a-z0-9_.*-]*`)
)

// The type that each parameter has.
var parameterTypes = map[string]*regexp.Regexp{
	"q": sfInteger, "r": sfInteger, "w": sfInteger, "t": sfInteger, "qu": sfString,
	"bucketring-unit": sfString, "bucketring-burst": sfInteger,
}

// parseList reads the whole of text or fails the test.
func parseList(t *testing.T, text string) (items []item) {
	t.Helper()
	rest := text
	cut := func(what string, pattern *regexp.Regexp) string {
		t.Helper()
		found := pattern.FindString(rest)
		if found == "" {
			t.Fatalf("no %s at %q of %q", what, rest, text)
		}
		rest = rest[len(found):]
		return found
	}
	for {
		it := item{name: cut("String", sfString), parameters: map[string]string{}}
		for strings.HasPrefix(rest, ";") {
			rest = rest[1:]
			key := cut("key", sfKey)
			if _, twice := it.parameters[key]; twice || parameterTypes[key] == nil || !strings.HasPrefix(rest, "=") {
				t.Fatalf("parameter %s is unknown, twice there or a Boolean in %q", key, text)
			}
			rest = rest[1:]
			it.parameters[key] = cut("value of "+key, parameterTypes[key])
			if strings.HasPrefix(it.parameters[key], "-") {
				t.Fatalf("parameter %s is negative in %q", key, text)
			}
		}
		items = append(items, it)
		if rest == "" {
			return items
		}
		if rest = strings.TrimPrefix(rest, ", "); !strings.HasPrefix(rest, `"`) {
			t.Fatalf("no comma and item at %q of %q", rest, text)
		}
	}
}
