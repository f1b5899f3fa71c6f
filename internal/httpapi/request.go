// request.go reads requests from JSON bodies.

package httpapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/bucketring/bucketring"
)

// Bounds of what is read. What is larger is refused, never truncated.
const (
	maxBody           = 256 << 10 // bytes of a body
	maxBatch          = 1000      // requests of a batch
	maxAttributes     = 32        // attributes of a request
	maxAttributeName  = 64        // bytes
	maxAttributeValue = 512       // bytes, and of a namespace
)

// read reads the body of a POST into b.in. It holds at most one byte more than
// maxBody, and no more than twice what has arrived.
func (b *buffers) read(r *http.Request) error {
	switch {
	case r.URL.RawQuery != "":
		return bucketring.Invalidf("a POST takes its fields from the body: leave the query out")
	case len(r.Header["Content-Encoding"]) > 0:
		return errEncoded
	case !isJSON(r.Header["Content-Type"]):
		return errNotJSON
	case r.ContentLength > maxBody:
		return errBodyTooLarge
	}
	b.in = b.in[:0]
	for {
		if len(b.in) == cap(b.in) {
			b.in = append(b.in, 0)[:len(b.in)]
		}
		n, err := r.Body.Read(b.in[len(b.in):min(cap(b.in), maxBody+1)])
		b.in = b.in[:len(b.in)+n]
		switch {
		case len(b.in) > maxBody:
			return errBodyTooLarge
		case err == io.EOF:
			return nil
		case err != nil:
			return bodyError(err)
		}
	}
}

// bodyError says what to do about a body that could not be read.
func bodyError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problemf(http.StatusRequestTimeout, "the body did not arrive in time: send it within %v", readTime)
	}
	return bucketring.Invalidf("the body could not be read to its end")
}

// isJSON reports whether the one Content-Type is JSON in UTF-8.
func isJSON(types []string) bool {
	if len(types) != 1 {
		return false
	}
	if types[0] == "application/json" {
		return true
	}
	kind, params, err := mime.ParseMediaType(types[0])
	charset := params["charset"]
	return err == nil && kind == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// begin returns a scanner of a body that holds something in UTF-8.
func begin(body []byte, example string) (*scanner, error) {
	s := &scanner{data: body}
	if !utf8.Valid(body) {
		return nil, bucketring.Invalidf("the body is not valid UTF-8: send other bytes in the query of a GET")
	}
	if s.peek(); s.pos == len(body) {
		return nil, bucketring.Invalidf("the body is empty: send a request such as %s", example)
	}
	return s, nil
}

const takeExample = `{"key":"alice","limit":"3/m"}`

// decodeRequest reads a body that is one request.
func decodeRequest(body []byte) (bucketring.Request, error) {
	s, err := begin(body, takeExample)
	if err != nil {
		return bucketring.Request{}, err
	}
	req, err := s.request()
	return req, s.finish(err)
}

// finish demands that nothing follows and returns what is wrong with the text, or
// else err.
func (s *scanner) finish(err error) error {
	if s.end(); s.err != nil {
		return s.err
	}
	return err
}

// requestFields are the names in a request; a field's bit in a set is its index.
var requestFields = []string{"key", "limit", "cost", "namespace", "attributes", "token"}

// request reads one request. Its error is about the request alone, which has
// been read to its end; what is wrong with the text is in s.err.
func (s *scanner) request() (bucketring.Request, error) {
	req := bucketring.Request{Cost: 1}
	if s.peek() != '{' {
		s.skip()
		return req, bucketring.Invalidf("a request must be an object such as %s", takeExample)
	}
	var first error
	var seen fieldSet
	var cost []byte
	priced := false
	for s.enter(); s.more('}'); {
		i, err := s.member(&seen, requestFields)
		switch {
		case err != nil:
		case requestFields[i] == "cost":
			cost, priced = s.numeral(), true
		default:
			err = s.field(&req, i)
		}
		if first == nil {
			first = err
		}
	}
	if priced && first == nil && s.err == nil {
		first = setCost(&req, string(cost))
	}
	return req, first
}

// setCost reads a cost: whole for limits that came with the call, else with
// decimals. Which it is shows when the request has been read to its end.
func setCost(req *bucketring.Request, text string) (err error) {
	if req.Namespace == "" {
		req.Cost, err = whole("cost", text)
	} else {
		req.Cost, req.CostNanos, err = amount("cost", text)
	}
	return err
}

// member reads the name of an object's member and returns its index in fields. The
// value of a member that may not be there is skipped.
func (s *scanner) member(seen *fieldSet, fields []string) (int, error) {
	i, err := seen.add(s.name(), fields)
	if err != nil {
		s.skip()
	}
	return i, err
}

// field reads the value of requestFields[i] into req.
func (s *scanner) field(req *bucketring.Request, i int) (err error) {
	switch name := requestFields[i]; name {
	case "key":
		req.Key, err = s.text(name)
	case "limit":
		var limit string
		if limit, err = s.text(name); err == nil {
			req.Limits, err = bucketring.Parse(limit)
		}
	case "namespace":
		if req.Namespace, err = s.text(name); err == nil {
			err = checkNamespace(req.Namespace)
		}
	case "attributes":
		req.Attributes, err = s.attributes()
	case "token":
		req.Token, err = s.text(name)
	}
	return err
}

func checkNamespace(namespace string) error {
	if len(namespace) > maxAttributeValue {
		return bucketring.Invalidf("namespace has %d bytes, at most %d are allowed", len(namespace), maxAttributeValue)
	}
	return nil
}

// text reads a string.
func (s *scanner) text(field string) (string, error) {
	if s.peek() != '"' {
		s.skip()
		return "", bucketring.Invalidf("%s must be a string in double quotes", field)
	}
	return string(s.str()), nil
}

// numeral reads a number and returns its text, empty for anything else.
func (s *scanner) numeral() []byte {
	if c := s.peek(); c != '-' && (c < '0' || '9' < c) {
		s.skip()
		return nil
	}
	return s.number()
}

// attributes reads an object of strings within the bounds.
func (s *scanner) attributes() (map[string]string, error) {
	if s.peek() != '{' {
		s.skip()
		return nil, bucketring.Invalidf(`attributes must be an object of strings such as {"user":"u1"}`)
	}
	var first error
	all := map[string]string{}
	for s.enter(); s.more('}'); {
		name := string(s.name())
		value, err := s.text("an attribute")
		if err == nil {
			err = addAttribute(all, name, value)
		}
		if first == nil {
			first = err
		}
	}
	return all, first
}

// addAttribute adds an attribute within the bounds.
func addAttribute(all map[string]string, name, value string) error {
	_, has := all[name]
	switch {
	case has:
		return bucketring.Invalidf("attribute %s is given twice", short(name))
	case name == "" || len(name) > maxAttributeName:
		return bucketring.Invalidf("the name of an attribute has %d bytes, it must have 1 to %d", len(name), maxAttributeName)
	case len(value) > maxAttributeValue:
		return bucketring.Invalidf("attribute %s has %d bytes, at most %d are allowed", short(name), len(value), maxAttributeValue)
	case len(all) == maxAttributes:
		return bucketring.Invalidf("more than %d attributes in one request", maxAttributes)
	}
	all[name] = value
	return nil
}
