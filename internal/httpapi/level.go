// level.go serves levels, and what a caller has used.

package httpapi

import (
	"net/http"
	"strconv"

	"github.com/bucketring/bucketring"
)

const levelExample = `{"namespace":"storage","attributes":{"user":"u1"},"add":-5}`

// levelFields are the names in a change of a level.
var levelFields = []string{"namespace", "attributes", "add", "set", "version"}

const (
	levelAdd = 2 + iota // indices in levelFields
	levelSet
	levelVersion
)

// decodeLevel reads the body of POST /v1/level.
func decodeLevel(body []byte) (bucketring.Request, error) {
	s, err := begin(body, levelExample)
	if err != nil {
		return bucketring.Request{}, err
	}
	req, err := s.level()
	return req, s.finish(err)
}

func (s *scanner) level() (bucketring.Request, error) {
	req := bucketring.Request{Verb: bucketring.VerbAdd}
	if s.peek() != '{' {
		s.skip()
		return req, bucketring.Invalidf("a level must be an object such as %s", levelExample)
	}
	var first error
	var seen fieldSet
	for s.enter(); s.more('}'); {
		i, err := s.member(&seen, levelFields)
		if err == nil {
			err = s.levelField(&req, i)
		}
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return req, first
	}
	return req, checkLevel(&req, seen)
}

// levelField reads the value of levelFields[i] into req.
func (s *scanner) levelField(req *bucketring.Request, i int) (err error) {
	name := levelFields[i]
	switch i {
	case levelAdd:
		req.Cost, req.CostNanos, err = amount(name, string(s.numeral()))
	case levelSet:
		req.Verb = bucketring.VerbSet
		req.Cost, req.CostNanos, err = amount(name, string(s.numeral()))
	case levelVersion:
		req.Version, err = whole(name, string(s.numeral()))
	default:
		if name == "attributes" {
			req.Attributes, err = s.attributes()
		} else if req.Namespace, err = s.text(name); err == nil {
			err = checkNamespace(req.Namespace)
		}
	}
	return err
}

func checkLevel(req *bucketring.Request, seen fieldSet) error {
	switch {
	case req.Namespace == "":
		return bucketring.Invalidf("namespace is missing: levels belong to a policy")
	case seen.has(levelAdd) && seen.has(levelSet):
		return bucketring.Invalidf("give either add or set, not both")
	case seen.has(levelAdd) && seen.has(levelVersion):
		return bucketring.Invalidf("version orders what is set: leave it out with add")
	case seen.has(levelAdd):
		return nil
	case !seen.has(levelSet):
		return bucketring.Invalidf("give add to change the level by a number, or set to make it one")
	case req.Cost < 0 || req.CostNanos < 0:
		return bucketring.Invalidf("set is negative, a level must be 0 or more")
	case req.Version < 0:
		return bucketring.Invalidf("version is negative, it must be 0 or more")
	}
	return nil
}

var errNoPage = problemf(http.StatusNotFound,
	"there is nothing to render: the policy has no usage page, or the attributes lack one that it is for")

// usage serves GET /v1/usage.
func (h *Handler) usage(w http.ResponseWriter, r *http.Request) {
	req, render, err := usageRequest(r.URL.RawQuery)
	if err == nil {
		err = h.may(r.Context(), &req)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	d, err := h.limiter.Take(r.Context(), req)
	switch {
	case err != nil:
		h.failRequest(w, r, &req, err)
	case !render:
		b := h.buffers.Get().(*buffers)
		defer h.release(b)
		b.out = append(appendPage(b.out[:0], req.Namespace, &d), '\n')
		writeJSON(w, http.StatusOK, b.out)
	case d.Response == nil:
		h.fail(w, r, errNoPage)
	default:
		writeJSON(w, d.Response.Status, d.Response.Body)
	}
}

// usageFields are the parameters of GET /v1/usage that are no attributes.
var usageFields = []string{"namespace", "render"}

// usageRequest reads whose usage is asked for, and whether as the policy's page.
func usageRequest(raw string) (req bucketring.Request, render bool, err error) {
	q, err := readQuery(raw, usageFields)
	namespace, as := q.values[0].text, q.values[1]
	req = bucketring.Request{Verb: bucketring.VerbUsage, Namespace: namespace, Attributes: q.others}
	switch {
	case err != nil:
	case namespace == "":
		err = bucketring.Invalidf("namespace is missing: usage is shown by a policy")
	case as.given && as.text != "policy":
		err = bucketring.Invalidf("render must be policy, for the page that the policy describes")
	case q.bad != nil:
		err = q.bad
	default:
		err = checkNamespace(namespace)
	}
	return req, as.given, err
}

// appendPage appends what every limit of a caller says, and the policy's own page
// if it has one.
func appendPage(b []byte, namespace string, d *bucketring.Decision) []byte {
	b = appendString(append(b, `{"namespace":`...), namespace)
	b = append(b, `,"limits":[`...)
	for i := range d.Limits {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendUsage(b, &d.Limits[i])
	}
	b = appendString(append(b, `],"source":`...), d.Source.String())
	b = strconv.AppendBool(append(b, `,"degraded":`...), d.Degraded)
	if d.Response != nil {
		b = appendResponse(append(b, `,"response":`...), d.Response)
	}
	return append(b, '}')
}
