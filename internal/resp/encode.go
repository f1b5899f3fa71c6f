// encode.go writes replies in either version of the protocol.

package resp

import "strconv"

// The versions of the protocol. They differ where a list is meant as a map, and in
// how they write nothing.
const (
	resp2 = 2
	resp3 = 3
)

// maxEcho bounds, in bytes, how much of what a client sent stands in an error.
const maxEcho = 128

// cut returns the beginning of b that may stand in an error.
func cut(b []byte) []byte { return b[:min(len(b), maxEcho)] }

func appendLine(b []byte, kind byte, text string) []byte {
	return append(append(append(b, kind), text...), '\r', '\n')
}

// appendSimple appends a short text of ours, such as OK.
func appendSimple(b []byte, text string) []byte { return appendLine(b, '+', text) }

// appendError appends an error, whose first word is its code. Ends of lines become
// blanks: the text may hold what a client sent, which must not look like a reply.
func appendError(b []byte, text string) []byte {
	from := len(b) + 1
	b = appendLine(b, '-', text)
	for i := from; i < len(b)-2; i++ {
		if b[i] == '\r' || b[i] == '\n' {
			b[i] = ' '
		}
	}
	return b
}

// appendNumber appends n as a line of its kind.
func appendNumber(b []byte, kind byte, n int64) []byte {
	return append(strconv.AppendInt(append(b, kind), n, 10), '\r', '\n')
}

func appendInt(b []byte, n int64) []byte { return appendNumber(b, ':', n) }

// appendBulk appends a text of any bytes.
func appendBulk[T string | []byte](b []byte, text T) []byte {
	b = appendNumber(b, '$', int64(len(text)))
	return append(append(b, text...), '\r', '\n')
}

// appendList begins a list of n values.
func appendList(b []byte, n int) []byte { return appendNumber(b, '*', int64(n)) }

// appendMap begins a map of n pairs, which is a flat list in RESP2.
func appendMap(b []byte, version, n int) []byte {
	if version == resp2 {
		return appendList(b, 2*n)
	}
	return appendNumber(b, '%', int64(n))
}

// appendNothing appends the absence of a value.
func appendNothing(b []byte, version int) []byte {
	if version == resp2 {
		return append(b, "$-1\r\n"...)
	}
	return append(b, "_\r\n"...)
}
