// command.go finds and runs commands, and has those about the connection itself.

package resp

import (
	"fmt"
	"strconv"
	"time"
)

// The level of Redis whose commands clients may assume.
const redisVersion = "7.2.0"

// Errors that more than one command answers.
const (
	errInternal     = "ERR internal error"
	errNoToken      = "NOAUTH Authentication required."
	errWrongToken   = "WRONGPASS invalid username-password pair or user is disabled."
	errTokenUseless = "ERR AUTH called but no token is configured"
	errNotInteger   = "ERR value is not an integer or out of range"
)

// A command says how a command may be called. It is what it does that runs.
type command struct {
	least, most int  // words with the name; most is 0 if there is no such bound
	stranger    bool // may come before the token that a connection owes
	run         func(c *conn, words [][]byte)
}

// offered is the number of commands.
const offered = 35

var commands = map[string]command{
	"CL.THROTTLE": {run: (*conn).runThrottle}, // counts its words itself
	"INCREX":      {least: 2, run: (*conn).runIncrEx},
	"INCR":        {least: 2, most: 2, run: (*conn).runIncr},
	"INCRBY":      {least: 3, most: 3, run: (*conn).runIncrBy},
	"DECR":        {least: 2, most: 2, run: (*conn).runDecr},
	"DECRBY":      {least: 3, most: 3, run: (*conn).runDecrBy},
	"GET":         {least: 2, most: 2, run: (*conn).runGet},
	"SET":         {least: 3, run: (*conn).runSet},
	"EXPIRE":      {least: 3, run: (*conn).runExpire},
	"PEXPIRE":     {least: 3, run: (*conn).runPExpire},
	"TTL":         {least: 2, most: 2, run: (*conn).runTTL},
	"PTTL":        {least: 2, most: 2, run: (*conn).runPTTL},
	"DEL":         {least: 2, run: (*conn).runDel},
	"EXISTS":      {least: 2, run: (*conn).runExists},
	"RL.TAKE":     {least: 2, run: (*conn).runPolicyTake},
	"RL.PEEK":     {least: 2, run: (*conn).runPolicyPeek},
	"RL.RENEW":    {least: 2, run: (*conn).runRenew},
	"RL.RELEASE":  {least: 2, run: (*conn).runRelease},
	"RL.SETTLE":   {least: 3, most: 3, run: (*conn).runSettle},
	"RL.USAGE":    {least: 2, run: (*conn).runPolicyUsage},
	"PING":        {least: 1, most: 2, run: (*conn).runPing},
	"ECHO":        {least: 2, most: 2, run: (*conn).runEcho},
	"QUIT":        {stranger: true, run: (*conn).runQuit},
	"RESET":       {least: 1, most: 1, stranger: true, run: (*conn).runReset},
	"HELLO":       {stranger: true, run: (*conn).runHello},
	"AUTH":        {least: 2, most: 3, stranger: true, run: (*conn).runAuth},
	"SELECT":      {least: 2, most: 2, run: (*conn).runSelect},
	"CLIENT":      {least: 2, run: (*conn).runClient},
	"INFO":        {run: (*conn).runInfo},
	"COMMAND":     {run: (*conn).runCommand},
	"CLUSTER":     {run: (*conn).runCluster},
	"READONLY":    {least: 1, most: 1, run: (*conn).runCluster},
	"READWRITE":   {least: 1, most: 1, run: (*conn).runCluster},
	"ASKING":      {least: 1, most: 1, run: (*conn).runCluster},
	"TIME":        {least: 1, most: 1, run: (*conn).runTime},
}

// longestName bounds how much of a word is compared with the names of commands.
const longestName = 16

// upper returns word in capitals, in the space of to; nothing if it is longer than
// any name.
func upper(to *[longestName]byte, word []byte) []byte {
	if len(word) > longestName {
		return nil
	}
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		to[i] = c
	}
	return to[:len(word)]
}

// is reports whether word is name, which is in capitals, in whatever case.
func is(word []byte, name string) bool {
	var space [longestName]byte
	return string(upper(&space, word)) == name
}

// execute runs one command and appends its reply. A panic costs this command.
func (c *conn) execute(words [][]byte) {
	mark := len(c.out)
	c.count++
	defer func() {
		if v := recover(); v != nil {
			c.server.panicked(v)
			c.out = appendError(c.out[:min(mark, len(c.out))], errInternal)
		}
	}()
	var space [longestName]byte
	cmd, known := commands[string(upper(&space, words[0]))]
	switch {
	case !known && (is(words[0], "POST") || is(words[0], "HOST:")):
		c.leaving = true // a web page makes a browser talk to us: Redis cuts it off, too
	case !cmd.stranger && !c.isKnown():
		c.fail(errNoToken)
	case !known:
		c.fail(unknownText(words))
	case len(words) < cmd.least || cmd.most > 0 && len(words) > cmd.most:
		c.failCount(words[:1])
	default:
		cmd.run(c, words)
	}
}

// unknownText is the error for a command that is not offered. It shows what was
// sent, cut short.
func unknownText(words [][]byte) string {
	var shown []byte
	for _, word := range words[1:] {
		if len(shown) >= maxEcho {
			break
		}
		shown = fmt.Appendf(shown, "'%s' ", word[:min(len(word), maxEcho-len(shown))])
	}
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", cut(words[0]), shown)
}

func (c *conn) fail(text string)   { c.out = appendError(c.out, text) }
func (c *conn) answer(text string) { c.out = appendSimple(c.out, text) }
func (c *conn) ok()                { c.answer("OK") }

// failCount answers that the command, named by one word or two, has too few or too
// many words.
func (c *conn) failCount(name [][]byte) { c.fail(countText(name)) }

func countText(name [][]byte) string {
	var text []byte
	for i, word := range name {
		if i > 0 {
			text = append(text, '|')
		}
		var space [longestName]byte
		for _, b := range upper(&space, word) {
			if 'A' <= b && b <= 'Z' {
				b += 'a' - 'A'
			}
			text = append(text, b)
		}
	}
	return fmt.Sprintf("ERR wrong number of arguments for '%s' command", text)
}

// failWord answers that a command has no such second word.
func (c *conn) failWord(word []byte, command string) {
	c.fail(fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", cut(word), command))
}

func (c *conn) runPing(words [][]byte) {
	if len(words) == 1 {
		c.answer("PONG")
		return
	}
	c.runEcho(words)
}

func (c *conn) runEcho(words [][]byte) { c.out = appendBulk(c.out, words[1]) }

func (c *conn) runQuit([][]byte) {
	c.leaving = true
	c.ok()
}

func (c *conn) runReset([][]byte) {
	c.begin()
	c.answer("RESET")
}

func (c *conn) runSelect(words [][]byte) {
	switch n, ok := parseInt(words[1]); {
	case !ok:
		c.fail(errNotInteger)
	case n != 0:
		c.fail("ERR DB index is out of range")
	default:
		c.ok()
	}
}

// runCluster answers what only clients for clusters send: some ask for READONLY first, and
// show their user this reply.
func (c *conn) runCluster([][]byte) {
	c.fail("ERR This instance has cluster support disabled")
}

// runCommand answers those who ask which commands there are: with their number, and
// else with a list or map of none, at which clients go on with what they know.
func (c *conn) runCommand(words [][]byte) {
	switch {
	case len(words) == 1 || is(words[1], "INFO"):
		c.out = appendList(c.out, 0)
	case is(words[1], "DOCS"):
		c.out = appendMap(c.out, c.version, 0)
	case !is(words[1], "COUNT"):
		c.failWord(words[1], "COMMAND")
	case len(words) > 2:
		c.failCount(words[:2])
	default:
		c.out = appendInt(c.out, offered)
	}
}

func (c *conn) runTime([][]byte) {
	now := time.Now()
	c.out = appendList(c.out, 2)
	c.out = appendBulk(c.out, strconv.FormatInt(now.Unix(), 10))
	c.out = appendBulk(c.out, strconv.Itoa(now.Nanosecond()/int(time.Microsecond)))
}

// runInfo answers all there is, whichever section is asked for.
func (c *conn) runInfo([][]byte) {
	s := c.server
	c.out = appendBulk(c.out, fmt.Sprintf("redis_version:%s\r\nredis_mode:standalone\r\nrole:master\r\nloading:0\r\n"+
		"connected_clients:%d\r\nuptime_in_seconds:%d\r\nbucketring_version:%s\r\n",
		redisVersion, s.Stats().Connections, int64(time.Since(s.began)/time.Second), s.cfg.Version))
}
