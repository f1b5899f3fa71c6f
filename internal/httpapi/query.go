// query.go reads requests from the query of a GET, for shells.

package httpapi

import (
	"net/url"
	"strings"

	"github.com/bucketring/bucketring"
)

// queryFields are the parameters of GET /v1/take and GET /v1/peek.
var queryFields = []string{"key", "limit", "cost", "namespace"}

// queryRequest reads a request from a raw query. Its key may be any bytes.
func queryRequest(raw string) (bucketring.Request, error) {
	req := bucketring.Request{Cost: 1}
	values, err := parameters(raw, queryFields)
	if err != nil {
		return req, err
	}
	req.Key = values[0].text
	if limit := values[1]; limit.given {
		if req.Limits, err = bucketring.Parse(limit.text); err != nil {
			return req, err
		}
	}
	if cost := values[2]; cost.given {
		if req.Cost, err = whole("cost", cost.text); err != nil {
			return req, err
		}
	}
	req.Namespace = values[3].text
	return req, checkNamespace(req.Namespace)
}

// A parameter is the value of a field in a query.
type parameter struct {
	text  string
	given bool
}

// parameters reads a raw query that may give each of at most four fields once,
// and returns their values in the order of fields.
func parameters(raw string, fields []string) (values [4]parameter, err error) {
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
			return values, bucketring.Invalidf("the query has a %% that two hexadecimal digits do not follow: write %%25 for a percent sign")
		}
		i, err := seen.add([]byte(name), fields)
		if err != nil {
			return values, err
		}
		values[i] = parameter{text, true}
	}
	return values, nil
}
