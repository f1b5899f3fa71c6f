// openapi_test.go holds internal/httpapi/openapi.yaml against itself and against a real node.

package doortest_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A trial is an example of a request with the answer that has its name.
type trial struct {
	name, target, method string
	call                 call
	status, media        string // of the answer; no media for an answer without body
}

// trials returns all examples, in the order of their names.
func (a *api) trials(t *testing.T) (all []trial) {
	t.Helper()
	for _, target := range slices.Sorted(maps.Keys(a.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(a.Paths[target])) {
			c := a.Paths[target][method]
			names := c.asks()
			if len(names) == 0 && c.RequestBody == nil && len(c.Parameters) == 0 { // there is only one way to ask
				names = c.answers("200")
			}
			if len(names) == 0 {
				t.Errorf("%s %s has no example", method, target)
			}
			for _, name := range names {
				tr := trial{name: name, target: target, method: method, call: c}
				tr.status, tr.media = c.answer(name)
				if tr.status == "" {
					t.Errorf("%s %s: no answer has the example %q", method, target, name)
					continue
				}
				all = append(all, tr)
			}
		}
	}
	return all
}

// asks lists the names of the examples of a request.
func (c *call) asks() []string {
	names := map[string]bool{}
	for _, p := range c.Parameters {
		for name := range p.Examples {
			names[name] = true
		}
	}
	if c.RequestBody != nil {
		for _, m := range c.RequestBody.Content {
			for name := range m.Examples {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// answers lists the names of the examples of one answer.
func (c *call) answers(status string) (names []string) {
	r := c.Responses[status]
	for _, m := range r.Content {
		names = append(names, slices.Sorted(maps.Keys(m.Examples))...)
	}
	return append(names, r.XExamples...)
}

// answer finds the status and type of the answer that has an example.
func (c *call) answer(name string) (status, media string) {
	for status, r := range c.Responses {
		if slices.Contains(r.XExamples, name) {
			return status, ""
		}
		for media, m := range r.Content {
			if _, ok := m.Examples[name]; ok {
				return status, media
			}
		}
	}
	return "", ""
}

// request makes the call of an example. Its values are texts as the file has them.
func (tr *trial) request(t *testing.T, base string) *http.Request {
	t.Helper()
	target, query, header := tr.target, url.Values{}, http.Header{}
	for _, p := range tr.call.Parameters {
		e, ok := p.Examples[tr.name]
		switch {
		case !ok:
		case p.In == "path":
			target = strings.ReplaceAll(target, "{"+p.Name+"}", url.PathEscape(fmt.Sprint(e.Value)))
		case p.In == "header":
			header.Set(p.Name, fmt.Sprint(e.Value))
		case p.Explode:
			for name, value := range e.Value.(map[string]any) {
				query.Set(name, fmt.Sprint(value))
			}
		default:
			query.Set(p.Name, fmt.Sprint(e.Value))
		}
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var body io.Reader
	if tr.call.RequestBody != nil {
		for kind, m := range tr.call.RequestBody.Content {
			header.Set("Content-Type", kind)
			body = strings.NewReader(text(t, kind, m.Examples[tr.name].Value))
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), strings.ToUpper(tr.method), base+target, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	return req
}

// text is a value as a body of some type.
func text(t *testing.T, kind string, value any) string {
	t.Helper()
	if s, ok := value.(string); ok && !strings.Contains(kind, "json") {
		return s
	}
	var b bytes.Buffer
	if err := encodeJSON(&b, value); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Each example of the file is what its schema says. Invalid requests are excepted:
// their schema must refuse them, unless only a policy knows better.
func TestExamplesOfTheAPIFitTheirSchemas(t *testing.T) {
	a := readAPI(t)
	checked := 0
	for target, p := range a.Paths {
		for method, c := range p {
			for status, r := range c.Responses {
				for media, m := range r.Content {
					for name, e := range m.Examples {
						tr := trial{name, target, method, c, status, media}
						if err := a.checkAnswer(&tr, asJSON(t, e.Value)); err != nil {
							t.Errorf("%s %s, %s, example %s: %v", method, target, status, name, err)
						}
						checked++
					}
				}
			}
			a.checkAsks(t, target, method, &c)
		}
	}
	if checked < 50 {
		t.Errorf("%d examples of answers were checked, want all", checked)
	}
}

// checkAsks holds the requests of a call against their schemas.
func (a *api) checkAsks(t *testing.T, target, method string, c *call) {
	t.Helper()
	if c.RequestBody == nil {
		return
	}
	for media, m := range c.RequestBody.Content {
		for name, e := range m.Examples {
			err := a.check(c.ref+"/requestBody/content/"+escape(media)+"/schema", asJSON(t, e.Value))
			if name == "invalid" {
				continue // some are only known to be when they are read
			}
			if err != nil {
				t.Errorf("%s %s, example %s: %v", method, target, name, err)
			}
		}
	}
}

// checkAnswer holds the body of an answer against its schema.
func (a *api) checkAnswer(tr *trial, body any) error {
	return a.check(tr.call.Responses[tr.status].at+"/content/"+escape(tr.media)+"/schema", body)
}

// Each call has its own name, a tag that there is, and the place where it is served.
func TestCallsOfTheAPIAreOrdered(t *testing.T) {
	a := readAPI(t)
	tags, ids := map[string]bool{}, map[string]bool{}
	for _, tag := range a.Tags {
		tags[tag.Name] = true
	}
	for target, p := range a.Paths {
		for method, c := range p {
			if len(c.Tags) != 1 || !tags[c.Tags[0]] || c.OperationID == "" || ids[c.OperationID] || c.Summary == "" {
				t.Errorf("%s %s has tags %q, id %q, summary %q: want one known tag, an id of its own and a summary", method, target, c.Tags, c.OperationID, c.Summary)
			}
			ids[c.OperationID] = true
			isAdmin := strings.HasPrefix(target, "/v1/admin/")
			if port := c.server[strings.LastIndexByte(c.server, ':'):]; isAdmin != (port == ":7753") || isAdmin != (c.Tags[0] == "admin") {
				t.Errorf("%s %s is served at %s with tag %q", method, target, c.server, c.Tags[0])
			}
		}
	}
}

// endings are calls after which a node is good for nothing else.
var endings = []string{"/v1/admin/drain", "/v1/admin/leave"}

// Each example gets the answer that the file names, from a real node.
func TestExamplesOfTheAPI(t *testing.T) {
	binary(t) // without it there is nothing to ask
	a := readAPI(t)
	policies, err := filepath.Abs(filepath.Join(house, "deploy", "policies"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--policies", policies, "--forward-budget", "5s"}
	n, web := startNode(t, args...), newWeb(t)
	for _, tr := range a.trials(t) {
		t.Run(tr.method+" "+tr.target+" "+tr.name, func(t *testing.T) {
			at := n
			if tr.method == "post" && slices.Contains(endings, tr.target) {
				at = startNode(t, args...)
			}
			a.try(t, web, at, &tr)
		})
	}
	t.Run("ids", func(t *testing.T) { a.tryIDs(t, web, n) })
}

// door returns where a call is served.
func (n *node) door(c *call) string {
	if strings.HasSuffix(c.server, ":7753") {
		return "http://" + n.doors["admin"]
	}
	return "http://" + n.doors["http"]
}

// try sends an example and reads the answer.
func (a *api) try(t *testing.T, web web, n *node, tr *trial) {
	t.Helper()
	resp, err := web.Do(tr.request(t, n.door(&tr.call)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	status := strconv.Itoa(resp.StatusCode)
	if _, named := tr.call.Responses[status]; !named && resp.StatusCode/100 == 4 {
		status = "4XX"
	}
	if status != tr.status {
		t.Fatalf("status %d, want %s; the body is %s", resp.StatusCode, tr.status, body)
	}
	for name := range tr.call.Responses[status].Headers {
		if strings.HasPrefix(name, "X-RateLimit-") && resp.Header.Get(name) == "" {
			t.Errorf("the answer has no %s", name)
		}
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	switch {
	case kind != tr.media:
		t.Errorf("Content-Type %q, want %q", kind, tr.media)
	case tr.media == "" && len(body) > 0:
		t.Errorf("a body that the file does not have: %s", body)
	case strings.Contains(kind, "json"):
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err == nil {
			err = a.checkAnswer(tr, doc)
		}
		if err != nil {
			t.Errorf("the answer %s: %v", body, err)
		}
	}
}

// TestWaysToShowATokenAreDescribed: nothing, as nodes without a tokens file want it, or one of
// the two ways that a node knows.
func TestWaysToShowATokenAreDescribed(t *testing.T) {
	a := readAPI(t)
	var ways []string
	for _, one := range a.Security {
		way := "nothing"
		for name := range one {
			s, known := a.Components.Security[name]
			if !known {
				t.Errorf("security names %s, which is not described", name)
			}
			way = strings.TrimSpace(s.Type + " " + s.Scheme + s.In + " " + s.Name)
		}
		ways = append(ways, way)
	}
	if got, want := strings.Join(ways, ", "), "nothing, http bearer, apiKey header X-Bucketring-Token"; got != want {
		t.Errorf("the ways are %s, want %s", got, want)
	}
}
