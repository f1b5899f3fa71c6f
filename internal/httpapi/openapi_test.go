// openapi_test.go holds the description of the API against the tables of calls. That
// each call answers as it is described is tested in internal/doortest.

package httpapi_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
)

var (
	describedPath   = regexp.MustCompile(`^  (/\S*):$`)
	describedMethod = regexp.MustCompile(`^    (get|put|post|patch|delete|head|options):$`)
)

// described lists the calls of openapi.yaml as "METHOD path".
func described(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if p := describedPath.FindStringSubmatch(line); p != nil {
			path = p[1]
		}
		if m := describedMethod.FindStringSubmatch(line); m != nil {
			all = append(all, strings.ToUpper(m[1])+" "+path)
		}
	}
	return all
}

func TestEveryCallIsDescribed(t *testing.T) {
	served := httpapi.Routes(newHandler(answering(bucketring.Decision{}, nil)), httpapi.NewAdmin(httpapi.AdminConfig{Admin: &fakeAdmin{}}))
	want := described(t)
	slices.Sort(served)
	slices.Sort(want)
	if diff := cmp.Diff(want, served); diff != "" {
		t.Errorf("openapi.yaml and routes.go differ (-described +served):\n%s", diff)
	}
}
