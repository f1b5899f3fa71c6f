// request.go reads requests from JSON bodies.

package httpapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
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
		case errors.Is(err, os.ErrDeadlineExceeded):
			return problemf(http.StatusRequestTimeout, "the body did not arrive in time: send it within %v", readTime)
		case err != nil:
			return bucketring.Invalidf("the body could not be read to its end")
		}
	}
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
func begin(body []byte) (*scanner, error) {
	s := &scanner{data: body}
	if !utf8.Valid(body) {
		return nil, bucketring.Invalidf("the body is not valid UTF-8: send other bytes in the query of a GET")
	}
	if s.peek(); s.pos == len(body) {
		return nil, bucketring.Invalidf(`the body is empty: send a request such as {"key":"alice","limit":"3/m"}`)
	}
	return s, nil
}

// decodeRequest reads a body that is one request.
func decodeRequest(body []byte) (bucketring.Request, error) {
	s, err := begin(body)
	if err != nil {
		return bucketring.Request{}, err
	}
	req, err := s.request()
	if s.end(); s.err != nil {
		err = s.err
	}
	return req, err
}

// requestFields are the names in a request; a field's bit in a set is its index.
var requestFields = []string{"key", "limit", "cost", "namespace", "attributes"}

// request reads one request. Its error is about the request alone, which has
// been read to its end; what is wrong with the text is in s.err.
func (s *scanner) request() (bucketring.Request, error) {
	req := bucketring.Request{Cost: 1}
	if s.peek() != '{' {
		s.skip()
		return req, bucketring.Invalidf(`a request must be an object such as {"key":"alice","limit":"3/m"}`)
	}
	var first error
	var seen fieldSet
	for s.enter(); s.more('}'); {
		i, err := seen.add(s.name(), requestFields)
		if err == nil {
			err = s.field(&req, i)
		} else {
			s.skip()
		}
		if first == nil {
			first = err
		}
	}
	return req, first
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
	case "cost":
		req.Cost, err = s.cost()
	case "namespace":
		if req.Namespace, err = s.text(name); err == nil {
			err = checkNamespace(req.Namespace)
		}
	case "attributes":
		req.Attributes, err = s.attributes()
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

func (s *scanner) cost() (int64, error) {
	if c := s.peek(); c != '-' && (c < '0' || '9' < c) {
		s.skip()
		return 0, bucketring.Invalidf("cost must be a whole number written in digits only, such as 5")
	}
	return whole("cost", string(s.number()))
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
		_, twice := all[name]
		value, err := s.text("an attribute")
		switch {
		case err != nil:
		case twice:
			err = bucketring.Invalidf("attribute %s is given twice", short(name))
		case name == "" || len(name) > maxAttributeName:
			err = bucketring.Invalidf("the name of an attribute has %d bytes, it must have 1 to %d", len(name), maxAttributeName)
		case len(value) > maxAttributeValue:
			err = bucketring.Invalidf("attribute %s has %d bytes, at most %d are allowed", short(name), len(value), maxAttributeValue)
		case len(all) == maxAttributes:
			err = bucketring.Invalidf("more than %d attributes in one request", maxAttributes)
		default:
			all[name] = value
		}
		if first == nil {
			first = err
		}
	}
	return all, first
}

// A fieldSet is a set of fields, one bit each.
type fieldSet uint8

// add returns the index of name in fields and refuses unknown and repeated ones.
func (set *fieldSet) add(name []byte, fields []string) (int, error) {
	for i, field := range fields {
		if string(name) != field {
			continue
		}
		if *set&(1<<i) != 0 {
			return 0, bucketring.Invalidf("%s is given twice", field)
		}
		*set |= 1 << i
		return i, nil
	}
	near := bucketring.Suggest(string(name), fields)
	switch {
	case len(fields) == 0:
		near = ": this call takes none"
	case near == "":
		near = ": known are " + strings.Join(fields, ", ")
	}
	return 0, bucketring.Invalidf("unknown field %s%s", short(string(name)), near)
}

// short quotes the caller's own word, cut where it is long.
func short(word string) string {
	const most = 20
	if len(word) > most {
		word = strings.ToValidUTF8(word[:most], "") + "..."
	}
	return strconv.Quote(word)
}
