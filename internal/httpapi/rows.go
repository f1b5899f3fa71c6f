// rows.go reads rows of lookup tables. Their keys may be digests of credentials,
// so errors count rows instead of naming them.

package httpapi

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bucketring/bucketring"
)

const rowsExample = `{"KEY":{"user":"u1","plan":"pro"}}`

// decodeRows reads a JSON object of rows, each an object of strings. With merge a
// row may be null, to be deleted.
func decodeRows(body []byte, merge bool) (map[string]map[string]string, error) {
	s, err := begin(body, rowsExample)
	if err != nil {
		return nil, err
	}
	rows, err := s.rows(merge)
	return rows, s.finish(err)
}

func (s *scanner) rows(merge bool) (map[string]map[string]string, error) {
	if s.peek() != '{' {
		s.skip()
		return nil, bucketring.Invalidf("rows must be given in an object such as %s", rowsExample)
	}
	var first error
	rows := map[string]map[string]string{}
	n := 0
	for s.enter(); s.more('}'); {
		n++
		key := string(s.name())
		row, err := s.row(merge)
		_, twice := rows[key]
		switch {
		case err != nil:
		case twice:
			err = errors.New("its key is given twice")
		case key == "" || len(key) > maxAttributeValue:
			err = fmt.Errorf("its key has %d bytes, it must have 1 to %d", len(key), maxAttributeValue)
		}
		rows[key] = row
		if first == nil && err != nil {
			first = bucketring.Invalidf("row %d: %v", n, err)
		}
	}
	return rows, first
}

// row reads one row, nil if it is to be deleted.
func (s *scanner) row(merge bool) (map[string]string, error) {
	switch c := s.peek(); {
	case c == 'n' && merge:
		s.word()
		return nil, nil
	case c == 'n':
		s.word()
		return nil, errors.New("null deletes a row with PATCH; a PUT replaces the table: leave the row out")
	case c != '{':
		s.skip()
		return nil, errors.New(`it must be an object of strings such as {"user":"u1"}`)
	}
	var first error
	row := map[string]string{}
	for s.enter(); s.more('}'); {
		name := string(s.name())
		value, err := s.text("a field")
		_, twice := row[name]
		switch {
		case err != nil:
		case twice:
			err = errors.New("a field is given twice")
		case name == "" || len(name) > maxAttributeName:
			err = fmt.Errorf("the name of a field has %d bytes, it must have 1 to %d", len(name), maxAttributeName)
		case len(value) > maxAttributeValue:
			err = fmt.Errorf("a field has %d bytes, at most %d are allowed", len(value), maxAttributeValue)
		case len(row) == maxAttributes:
			err = fmt.Errorf("it has more than %d fields", maxAttributes)
		}
		row[name] = value
		if first == nil {
			first = err
		}
	}
	return row, first
}

// withoutRows returns err, or one that says less if its text holds a row's key.
func withoutRows(rows map[string]map[string]string, err error) error {
	text := err.Error()
	for key := range rows {
		if strings.Contains(text, key) {
			return withheld{err}
		}
	}
	return err
}

// A withheld is an error whose text would tell too much.
type withheld struct{ err error }

func (w withheld) Error() string { return fmt.Sprintf("a %T, its text is withheld", w.err) }
func (w withheld) Unwrap() error { return w.err }
