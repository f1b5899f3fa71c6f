// inline.go splits commands that a person types as one line.

package resp

// inline reads a command that is one line of words, with quotes around words that
// have blanks in them. The words are put together where the line lies: what quotes
// and escapes stand for is never longer than they are.
func (d *decoder) inline(stranger bool) (found bool, err error) {
	begin := d.pos
	line, found, err := d.line(errInlineLine)
	if err != nil || !found {
		return false, err
	}
	for rest := 0; ; {
		for rest < len(line) && isBlank(line[rest]) {
			rest++
		}
		if rest == len(line) {
			return true, nil
		}
		size, next, ok := word(line, rest)
		switch {
		case !ok:
			return false, errQuotes
		case stranger && len(d.spans) == maxStrangerArguments:
			return false, errStrangerArguments
		case len(d.spans) == maxArguments:
			return false, errArguments
		case stranger && size > maxStrangerArgument:
			return false, errStrangerArgument
		}
		from := begin + rest
		d.spans = append(d.spans, span{int32(from), int32(from + size)})
		rest = next
	}
}

// isBlank reports whether c parts words.
func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// word reads the word that begins at from, puts what it stands for at the same place
// and returns its size and where the line goes on. It is not ok if a quote is left
// open or more than a blank follows the closing one.
func word(line []byte, from int) (size, next int, ok bool) {
	to, i := from, from
	for i < len(line) && !isBlank(line[i]) {
		quote := line[i]
		if quote != '"' && quote != '\'' {
			line[to] = quote
			to++
			i++
			continue
		}
		for i++; ; {
			if i == len(line) {
				return 0, 0, false
			}
			if line[i] == quote {
				break
			}
			c, width := quoted(line[i:], quote)
			line[to] = c
			to++
			i += width
		}
		if i++; i < len(line) && !isBlank(line[i]) {
			return 0, 0, false
		}
	}
	return to - from, i, true
}

// quoted returns the first byte of b, which is inside of quotes, and how many bytes
// stand for it.
func quoted(b []byte, quote byte) (c byte, width int) {
	if b[0] != '\\' || len(b) == 1 {
		return b[0], 1
	}
	if quote == '\'' {
		if b[1] == '\'' {
			return '\'', 2
		}
		return '\\', 1
	}
	if b[1] == 'x' && len(b) >= 4 {
		high, ok1 := hexDigit(b[2])
		low, ok2 := hexDigit(b[3])
		if ok1 && ok2 {
			return high<<4 | low, 4
		}
	}
	switch b[1] {
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'b':
		return '\b', 2
	case 'a':
		return '\a', 2
	}
	return b[1], 2
}

func hexDigit(c byte) (n byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
