// decode.go cuts the bytes of a connection into commands.

package resp

import (
	"bytes"
	"io"
	"math"
)

// Bounds of a command, in bytes or in arguments. The two smaller ones are for
// connections that owe a token: strangers get little room.
const (
	maxArguments         = 1024
	maxArgument          = 64 << 10
	maxCommand           = 1 << 20
	maxLine              = 64 << 10
	maxStrangerArguments = 10
	maxStrangerArgument  = 16 << 10
)

// Sizes of the read buffer, in bytes. It grows to keepBuffer if reads fill it and
// above that for a large command only, and then shrinks again.
const (
	firstBuffer = 4 << 10
	keepBuffer  = 64 << 10
)

// keepSpans bounds what a command with many arguments leaves behind.
const keepSpans = 64

// A protocolError says which rule of the protocol a client broke. Nothing behind
// that place can be understood, so it ends the connection.
type protocolError string

// Error returns the text that follows the words "Protocol error" in the reply.
func (e protocolError) Error() string { return string(e) }

const (
	errArguments         protocolError = "invalid multibulk length"
	errArgument          protocolError = "invalid bulk length"
	errStrangerArguments protocolError = "unauthenticated multibulk length"
	errStrangerArgument  protocolError = "unauthenticated bulk length"
	errCountLine         protocolError = "too big mbulk count string"
	errLengthLine        protocolError = "too big bulk count string"
	errInlineLine        protocolError = "too big inline request"
	errQuotes            protocolError = "unbalanced quotes in request"
)

// A span is where an argument lies, counted from the first byte of its command.
type span struct{ from, to int32 }

// A decoder holds the bytes that have arrived and walks over them once. It
// remembers how far it came in a command of which only a part is there, so that a
// client that sends single bytes costs no more than one that does not.
type decoder struct {
	buf   []byte
	start int // of the command at hand, in buf; all below is counted from it
	pos   int // what is before it is understood
	seen  int // what is before it has no end of a line from pos on
	left  int // arguments still to come; noCount before their number is known
	bulk  int // length of the argument at pos; noLength before that is known
	spans []span
	args  [][]byte
	full  bool // the last read filled the buffer
}

const (
	noCount  = -1
	noLength = -1
)

func newDecoder() decoder { return decoder{left: noCount, bulk: noLength} }

// next returns the words of the next command. They lie in the buffer and are good
// until the next call of next or fill. Nil without an error means that more bytes
// are needed. stranger says that the connection owes a token.
func (d *decoder) next(stranger bool) ([][]byte, error) {
	for d.start+d.pos < len(d.buf) {
		if d.left == noCount {
			if d.pos == 0 && d.buf[d.start] != '*' {
				if found, err := d.inline(stranger); err != nil || !found {
					return nil, err
				}
				if args := d.done(); len(args) > 0 {
					return args, nil
				}
				continue
			}
			if found, err := d.count(stranger); err != nil || !found {
				return nil, err
			}
		}
		for d.left > 0 {
			if found, err := d.argument(stranger); err != nil || !found {
				return nil, err
			}
		}
		if args := d.done(); len(args) > 0 {
			return args, nil
		}
	}
	return nil, nil
}

// done ends the command at hand and returns its words.
func (d *decoder) done() [][]byte {
	d.args = d.args[:0]
	command := d.buf[d.start:]
	for _, s := range d.spans {
		d.args = append(d.args, command[s.from:s.to:s.to])
	}
	args := d.args
	if cap(d.spans) > keepSpans {
		d.spans, d.args = nil, nil
	}
	d.spans = d.spans[:0]
	d.start += d.pos
	d.pos, d.seen, d.left, d.bulk = 0, 0, noCount, noLength
	return args
}

// line returns the line at pos without its end, and moves behind it. Not found
// means that its end has not arrived. A line above maxLine is tooLong.
func (d *decoder) line(tooLong protocolError) (line []byte, found bool, err error) {
	const ending = 2 // \r\n
	rest := d.buf[d.start+d.pos:]
	rest = rest[:min(len(rest), maxLine+ending)]
	from := max(d.seen-d.pos, 0)
	at := bytes.IndexByte(rest[from:], '\n')
	if at < 0 {
		if len(rest) == maxLine+ending {
			return nil, false, tooLong
		}
		d.seen = d.pos + len(rest)
		return nil, false, nil
	}
	line = rest[:from+at]
	d.pos += len(line) + 1
	if len(line) > 0 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	if len(line) > maxLine {
		return nil, false, tooLong
	}
	return line, true, nil
}

// count reads the line that says how many arguments follow.
func (d *decoder) count(stranger bool) (found bool, err error) {
	n, found, err := d.number(errCountLine)
	switch {
	case err != nil || !found:
		return false, err
	case n == noNumber:
		return false, errArguments
	case stranger && n > maxStrangerArguments:
		return false, errStrangerArguments
	case n > maxArguments:
		return false, errArguments
	}
	d.left = n
	return true, nil
}

// argument reads one argument: its length, if that is not known yet, and its bytes.
func (d *decoder) argument(stranger bool) (found bool, err error) {
	if d.bulk == noLength {
		if found, err := d.length(stranger); err != nil || !found {
			return false, err
		}
	}
	from, to := d.pos, d.pos+d.bulk
	command := d.buf[d.start:]
	if len(command) < to+2 {
		return false, nil
	}
	if command[to] != '\r' || command[to+1] != '\n' {
		return false, errArgument // the length does not lead to the end
	}
	d.spans = append(d.spans, span{int32(from), int32(to)})
	d.pos, d.bulk = to+2, noLength
	d.left--
	return true, nil
}

// length reads the line that says how long the next argument is.
func (d *decoder) length(stranger bool) (found bool, err error) {
	if d.start+d.pos == len(d.buf) {
		return false, nil
	}
	if c := d.buf[d.start+d.pos]; c != '$' {
		return false, protocolError("expected '$', got '" + string([]byte{c}) + "'")
	}
	n, found, err := d.number(errLengthLine)
	switch {
	case err != nil || !found:
		return false, err
	case n == noNumber:
		return false, errArgument
	case stranger && n > maxStrangerArgument:
		return false, errStrangerArgument
	case n > maxArgument || d.pos+n+2 > maxCommand:
		return false, errArgument
	}
	d.bulk = n
	return true, nil
}

// noNumber stands for a line that holds none.
const noNumber = -1

// number reads the line at pos, whose first byte says of what it is the number.
func (d *decoder) number(tooLong protocolError) (n int, found bool, err error) {
	if n, size := shortNumber(d.buf[d.start+d.pos:]); size > 0 {
		d.pos += size
		return n, true, nil
	}
	line, found, err := d.line(tooLong)
	if err != nil || !found {
		return 0, false, err
	}
	if string(line) == "*-1" {
		return 0, true, nil // no arguments, as *0
	}
	n, ok := parseLength(line[1:])
	if !ok {
		n = noNumber
	}
	return n, true, nil
}

// shortNumber reads a whole line with a number of one digit or two, as nearly all
// are. A search for its end would cost more than the rest. size 0 means another line.
func shortNumber(b []byte) (n, size int) {
	if len(b) < len("$1\r\n") {
		return 0, 0
	}
	tens, ones := b[1]-'0', b[2]-'0'
	switch {
	case tens <= 9 && b[2] == '\r' && b[3] == '\n':
		return int(tens), 4
	case len(b) > 4 && 1 <= tens && tens <= 9 && ones <= 9 && b[3] == '\r' && b[4] == '\n':
		return 10*int(tens) + int(ones), 5
	}
	return 0, 0
}

// parseLength reads a decimal number without a sign and without zeros before it, of
// at most nine digits: no bound is near that.
func parseLength(b []byte) (n int, ok bool) {
	if len(b) == 0 || len(b) > 9 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// parseInt reads a signed 64-bit number, with or without a sign and zeros before it.
func parseInt(b []byte) (n int64, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative || len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	var u uint64
	for _, c := range b {
		digit := uint64(c - '0')
		if digit > 9 || u > (limit-digit)/10 {
			return 0, false
		}
		u = u*10 + digit
	}
	if negative {
		return -int64(u), true
	}
	return int64(u), true
}

// fill reads once from r and keeps what comes. The words of the last command are
// gone then.
func (d *decoder) fill(r io.Reader) error {
	d.makeRoom()
	n, err := r.Read(d.buf[len(d.buf):cap(d.buf)])
	d.buf = d.buf[:len(d.buf)+n]
	d.full = len(d.buf) == cap(d.buf)
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// makeRoom leaves space for at least one byte behind what has arrived. Above
// keepBuffer it never reserves more than twice of what is there.
func (d *decoder) makeRoom() {
	kept := d.buf[d.start:]
	size := max(cap(d.buf), firstBuffer)
	switch {
	case cap(d.buf) > keepBuffer && len(kept) <= keepBuffer/2:
		size = keepBuffer // the large command is over
	case len(kept) == cap(d.buf) && len(kept) > 0:
		size = 2 * cap(d.buf)
	case d.full && cap(d.buf) < keepBuffer:
		size = 2 * cap(d.buf) // more than one read could take is waiting
	}
	d.full = false
	if size != cap(d.buf) {
		d.buf = append(make([]byte, 0, size), kept...)
	} else if d.start > 0 {
		d.buf = d.buf[:copy(d.buf, kept)]
	}
	d.start = 0
}
