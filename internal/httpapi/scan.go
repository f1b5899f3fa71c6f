// scan.go reads JSON strictly: RFC 8259, one value, nothing after it.

package httpapi

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/bucketring/bucketring"
)

// maxDepth bounds how deep arrays and objects may nest.
const maxDepth = 16

// A scanner walks over a JSON text. After the first error it finds nothing
// more, so that callers look at err once, at the end.
type scanner struct {
	data  []byte
	pos   int
	depth int
	first bool // the array or object just entered has had no member yet
	err   error
}

// fail records that the text is not JSON at the present place.
func (s *scanner) fail(expected string) {
	if s.err == nil {
		s.err = bucketring.Invalidf("the body is not valid JSON at byte %d: %s", s.pos+1, expected)
	}
	s.pos = len(s.data)
}

// peek returns the next byte that is not white space; 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// end demands that nothing follows.
func (s *scanner) end() {
	if s.peek(); s.pos < len(s.data) {
		s.fail("expected nothing after the value")
	}
}

// enter steps into an array or object, whose opening byte is next.
func (s *scanner) enter() {
	if s.depth == maxDepth {
		if s.err == nil {
			s.err = bucketring.Invalidf("the body nests more than %d levels deep at byte %d", maxDepth, s.pos+1)
		}
		s.pos = len(s.data)
		return
	}
	s.pos++
	s.depth++
	s.first = true
}

// more reports whether the array or object has another member, moves to it, and
// leaves at the closing byte.
func (s *scanner) more(closing byte) bool {
	c := s.peek()
	switch {
	case s.err != nil:
		return false
	case c == closing:
		s.pos++
		s.depth--
		s.first = false
		return false
	case s.first:
		s.first = false
		return true
	case c != ',':
		s.fail("expected a comma or " + strconv.Quote(string(closing)))
		return false
	}
	s.pos++
	return true
}

// name reads the name of an object's member and its colon.
func (s *scanner) name() []byte {
	if s.peek() != '"' {
		s.fail("expected a name in double quotes")
		return nil
	}
	name := s.str()
	if s.peek() != ':' {
		s.fail("expected a colon")
		return nil
	}
	s.pos++
	return name
}

// str reads a string, whose quote is next. What it returns may lie in the text.
func (s *scanner) str() []byte {
	s.pos++
	start := s.pos
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start : s.pos-1]
		case c == '\\':
			return s.escaped(append([]byte(nil), s.data[start:s.pos]...))
		case c < ' ':
			s.fail("a control character in a string must be escaped")
			return nil
		}
	}
	s.fail("a string does not end")
	return nil
}

// escaped reads the rest of a string from its first backslash on.
func (s *scanner) escaped(b []byte) []byte {
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			s.pos++
			return b
		case c < ' ':
			s.fail("a control character in a string must be escaped")
			return nil
		case c == '\\':
			r, ok := s.escape()
			if !ok {
				return nil
			}
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, c)
			s.pos++
		}
	}
	s.fail("a string does not end")
	return nil
}

// escape reads one escape, or two that make one character.
func (s *scanner) escape() (r rune, ok bool) {
	if s.pos+1 < len(s.data) {
		c := s.data[s.pos+1]
		if c == 'u' {
			return s.unicode()
		}
		if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
			s.pos += 2
			return rune("\"\\/\b\f\n\r\t"[i]), true
		}
	}
	s.fail(`expected one of \" \\ \/ \b \f \n \r \t \u`)
	return 0, false
}

// unicode reads \uXXXX, or two of them where they are a surrogate pair. Half a
// pair is refused: replaced, it would make different keys equal.
func (s *scanner) unicode() (rune, bool) {
	r, ok := hex4(s.data[s.pos:])
	if !ok {
		s.fail(`expected four hexadecimal digits after \u`)
		return 0, false
	}
	if !utf16.IsSurrogate(r) {
		s.pos += 6
		return r, true
	}
	if low, ok := hex4(s.data[s.pos+6:]); ok {
		if r := utf16.DecodeRune(r, low); r != utf8.RuneError {
			s.pos += 12
			return r, true
		}
	}
	s.fail(`half of a surrogate pair is not a character`)
	return 0, false
}

// hex4 reads \uXXXX at the beginning of b.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}

// number reads a number, whose first byte is next, and returns its text.
func (s *scanner) number() []byte {
	start := s.pos
	digits := func() bool {
		from := s.pos
		for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
			s.pos++
		}
		return s.pos > from
	}
	has := func(set string) bool {
		for i := range len(set) {
			if s.pos < len(s.data) && s.data[s.pos] == set[i] {
				s.pos++
				return true
			}
		}
		return false
	}
	has("-")
	ok := has("0") || digits()
	if ok && has(".") {
		ok = digits()
	}
	if ok && has("eE") {
		has("+-")
		ok = digits()
	}
	if !ok {
		s.fail("expected a digit")
		return nil
	}
	return s.data[start:s.pos]
}

// skip reads any value and forgets it.
func (s *scanner) skip() {
	switch c := s.peek(); {
	case c == '"':
		s.str()
	case c == '-' || '0' <= c && c <= '9':
		s.number()
	case c == '{':
		for s.enter(); s.more('}'); {
			s.name()
			s.skip()
		}
	case c == '[':
		for s.enter(); s.more(']'); {
			s.skip()
		}
	default:
		s.word()
	}
}

// word reads true, false or null.
func (s *scanner) word() {
	for _, word := range [...]string{"true", "false", "null"} {
		if rest := s.data[s.pos:]; len(rest) >= len(word) && string(rest[:len(word)]) == word {
			s.pos += len(word)
			return
		}
	}
	s.fail("expected a value")
}
