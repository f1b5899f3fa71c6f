// session.go has the commands by which a client says who it is and what it speaks.

package resp

import "fmt"

// maxName bounds the name that a client gives its connection, in bytes.
const maxName = 512

// maxWrongTokens is how many a connection may send before it is cut off.
const maxWrongTokens = 10

// begin makes the connection as it was when it was new.
func (c *conn) begin() {
	c.version, c.name = resp2, ""
	c.stranger, c.caller = c.server.cfg.Guard != nil, nil
}

// authorize checks a token. The problem is the error to answer, "" if there is none.
// A token that is refused does not take away what one before it gave.
func (c *conn) authorize(token []byte) (problem string) {
	if c.server.cfg.Guard == nil {
		return errTokenUseless
	}
	caller, err := c.server.cfg.Guard.Admit(c.server.ctx, string(token))
	if err != nil {
		c.wrongTokens++
		c.leaving = c.wrongTokens >= maxWrongTokens
		return errWrongToken
	}
	c.stranger, c.caller = false, caller
	return ""
}

// runAuth takes a token, before which a user may stand that does not matter.
func (c *conn) runAuth(words [][]byte) {
	if problem := c.authorize(words[len(words)-1]); problem != "" {
		c.fail(problem)
		return
	}
	c.ok()
}

// A hello is what HELLO asks for. Nil means not given.
type hello struct {
	version     int
	token, name []byte
}

// parseHello reads the words after HELLO. It changes nothing, so that a command with
// an error has no effect.
func (c *conn) parseHello(words [][]byte) (h hello, problem string) {
	h.version = c.version
	if len(words) == 0 {
		return h, ""
	}
	switch n, ok := parseInt(words[0]); {
	case !ok:
		return h, "ERR Protocol version is not an integer or out of range"
	case n != resp2 && n != resp3:
		return h, "NOPROTO unsupported protocol version"
	default:
		h.version = int(n)
	}
	for rest := words[1:]; len(rest) > 0; {
		switch {
		case is(rest[0], "AUTH") && len(rest) >= 3:
			h.token, rest = rest[2], rest[3:]
		case is(rest[0], "SETNAME") && len(rest) >= 2:
			h.name, rest = rest[1], rest[2:]
		default:
			return h, fmt.Sprintf("ERR Syntax error in HELLO option '%s'", cut(rest[0]))
		}
	}
	return h, nameProblem(h.name)
}

// runHello does what a client asks for at once: a version, a token and a name.
func (c *conn) runHello(words [][]byte) {
	h, problem := c.parseHello(words[1:])
	if problem == "" && h.token != nil {
		problem = c.authorize(h.token)
	}
	switch {
	case problem != "":
		c.fail(problem)
		return
	case !c.isKnown():
		c.fail(errNoToken)
		return
	case h.name != nil:
		c.name = string(h.name)
	}
	c.version = h.version
	text := func(key, value string) { c.out = appendBulk(appendBulk(c.out, key), value) }
	number := func(key string, n int64) { c.out = appendInt(appendBulk(c.out, key), n) }
	c.out = appendMap(c.out, c.version, 7)
	text("server", "redis")
	text("version", redisVersion)
	number("proto", int64(c.version))
	number("id", c.id)
	text("mode", "standalone")
	text("role", "master")
	c.out = appendList(appendBulk(c.out, "modules"), 0)
}

// nameProblem returns the error for a name that a connection cannot have. An empty
// one takes the name away.
func nameProblem(name []byte) string {
	if len(name) > maxName {
		return fmt.Sprintf("ERR Client names cannot be longer than %d bytes.", maxName)
	}
	for _, c := range name {
		if c < '!' || c > '~' {
			return "ERR Client names cannot contain spaces, newlines or special characters."
		}
	}
	return ""
}

// clientWords are the second words of CLIENT, each with how many words there are.
var clientWords = map[string]int{
	"SETINFO": 4, "SETNAME": 3, "NO-EVICT": 3, "NO-TOUCH": 3, "GETNAME": 2, "ID": 2,
}

func (c *conn) runClient(words [][]byte) {
	var space [longestName]byte
	name := string(upper(&space, words[1]))
	switch count, known := clientWords[name]; {
	case !known:
		c.failWord(words[1], "CLIENT")
	case len(words) != count:
		c.failCount(words[:2])
	case name == "ID":
		c.out = appendInt(c.out, c.id)
	case name == "GETNAME" && c.name == "":
		c.out = appendNothing(c.out, c.version)
	case name == "GETNAME":
		c.out = appendBulk(c.out, c.name)
	case name == "SETNAME" && nameProblem(words[2]) != "":
		c.fail(nameProblem(words[2]))
	case name == "SETNAME":
		c.name = string(words[2])
		c.ok()
	default:
		c.ok() // nothing here depends on the others
	}
}
