// query.go reads requests from the query of a GET, for shells.

package httpapi

import (
	"net/url"
	"strings"

	"github.com/bucketring/bucketring"
)

// queryFields are the parameters of GET /v1/take and GET /v1/peek. Beside a
// namespace all others are attributes.
var queryFields = []string{"key", "limit", "cost", "namespace", "token"}

// queryRequest reads a request from a raw query. Its key may be any bytes.
func queryRequest(raw string) (bucketring.Request, error) {
	req := bucketring.Request{Cost: 1}
	q, err := readQuery(raw, queryFields)
	if err != nil {
		return req, err
	}
	if req.Namespace = q.values[3].text; req.Namespace == "" {
		err = q.unknown
	} else {
		req.Attributes, err = q.others, q.bad
	}
	if err != nil {
		return req, err
	}
	req.Key, req.Token = q.values[0].text, q.values[4].text
	if limit := q.values[1]; limit.given {
		if req.Limits, err = bucketring.Parse(limit.text); err != nil {
			return req, err
		}
	}
	if cost := q.values[2]; cost.given {
		if err = setCost(&req, cost.text); err != nil {
			return req, err
		}
	}
	return req, checkNamespace(req.Namespace)
}

// A parameter is the value of a field in a query.
type parameter struct {
	text  string
	given bool
}

// maxParameters bounds the fields that a call looks for in its query.
const maxParameters = 5

// A query is what a raw query gives.
type query struct {
	values  [maxParameters]parameter // in the order of the fields
	others  map[string]string        // parameters that are no fields; nil if there are none
	bad     error                    // says why others cannot be attributes
	unknown error                    // says that the first of others is no field
}

// readQuery reads a raw query that may give each field once. Whether it may give
// anything else is for the caller to say.
func readQuery(raw string, fields []string) (q query, err error) {
	var seen fieldSet
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, text, _ := strings.Cut(pair, "=")
		name, err = url.QueryUnescape(name)
		if err == nil {
			text, err = url.QueryUnescape(text)
		}
		if err != nil {
			return q, bucketring.Invalidf("the query has a %% that two hexadecimal digits do not follow: write %%25 for a percent sign")
		}
		i, err := seen.add([]byte(name), fields)
		switch {
		case err == nil:
			q.values[i] = parameter{text, true}
		case i >= 0:
			return q, err
		default:
			q.other(name, text, err)
		}
	}
	return q, nil
}

// other takes in a parameter that is no field, as unknown says.
func (q *query) other(name, text string, unknown error) {
	if q.others == nil {
		q.others, q.unknown = map[string]string{}, unknown
	}
	if err := addAttribute(q.others, name, text); q.bad == nil {
		q.bad = err
	}
}

// parameters reads a raw query that may give each field once and nothing else, and
// returns the values in the order of fields.
func parameters(raw string, fields []string) ([maxParameters]parameter, error) {
	q, err := readQuery(raw, fields)
	if err == nil {
		err = q.unknown
	}
	return q.values, err
}
