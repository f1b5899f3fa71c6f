package resp

import "bytes"

// What the tests look at from inside.
const (
	ThrottleID  = throttleID
	MaxInFlight = maxInFlight
	MaxUnread   = maxUnread
	KeepBuffer  = keepBuffer
	Offered     = offered
)

var (
	ParseInt     = parseInt
	ParseAmount  = parseAmount
	WholeSeconds = wholeSeconds
	AppendError  = appendError
)

// CommandNames are those of all commands.
func CommandNames() (names []string) {
	for name := range commands {
		names = append(names, name)
	}
	return names
}

// A Decoder shows the commands in bytes that it is given.
type Decoder struct {
	d        decoder
	Stranger bool
}

func NewDecoder() *Decoder { return &Decoder{d: newDecoder()} }

// Feed adds bytes and returns the commands that are whole with them.
func (d *Decoder) Feed(b []byte) (commands [][]string, err error) {
	for r := bytes.NewReader(b); r.Len() > 0; {
		if err := d.d.fill(r); err != nil {
			return commands, err
		}
		for {
			words, err := d.d.next(d.Stranger)
			if err != nil || words == nil {
				if err != nil {
					return commands, err
				}
				break
			}
			command := []string{}
			for _, w := range words {
				command = append(command, string(w))
			}
			commands = append(commands, command)
		}
	}
	return commands, nil
}

// Capacity is how many bytes the decoder has reserved.
func (d *Decoder) Capacity() int { return cap(d.d.buf) + 8*cap(d.d.spans) + 24*cap(d.d.args) }

// Commands lists the names of all commands.
func Commands() (names []string) {
	for name := range commands {
		names = append(names, name)
	}
	return names
}
