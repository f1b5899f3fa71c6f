// counter.go has the commands on counters, but for their options.

package resp

import (
	"math"
	"strconv"
	"time"
)

// Errors of counters, in the words of Redis.
const (
	errOverflow     = "ERR increment or decrement would overflow"
	errDecrOverflow = "ERR decrement would overflow"
	errOlder        = "ERR the node that owns this key runs a version that does not know this command or option"
)

// exactInt reads a number as a counter prints it, the only form that Redis takes for one.
func exactInt(word []byte) (n int64, ok bool) {
	var space [20]byte
	n, ok = parseInt(word)
	return n, ok && string(strconv.AppendInt(space[:0], n, 10)) == string(word)
}

// runCounter does k here and now if that can be, else beside the connection.
func (c *conn) runCounter(key []byte, k counting, problem string) {
	if problem == "" {
		problem = keyProblem(key)
	}
	if problem == "" {
		problem = c.mayNot(k.needs())
	}
	if problem != "" {
		c.fail(problem)
		return
	}
	k.key, k.version, k.idle = string(key), c.version, int64(c.server.cfg.IdleExpiry)
	o, err := k.do(c.server.ctx, c.server, c, c.out)
	if err != nil {
		later := k
		c.beside(0, &job{key: k.key, task: &later})
		return
	}
	c.out = o.reply
}

func (c *conn) runGet(words [][]byte) {
	c.runCounter(words[1], counting{operation: operation{op: opGet}, reply: replyText}, "")
}

func (c *conn) runIncr(words [][]byte) { c.runCounter(words[1], plus(1), "") }
func (c *conn) runDecr(words [][]byte) { c.runCounter(words[1], plus(-1), "") }

func (c *conn) runIncrBy(words [][]byte) {
	n, ok := exactInt(words[2])
	c.runCounter(words[1], plus(n), unless(ok, errNotInteger))
}

func (c *conn) runDecrBy(words [][]byte) {
	n, ok := exactInt(words[2])
	problem := unless(ok, errNotInteger)
	if ok && n == math.MinInt64 {
		problem = errDecrOverflow
	}
	c.runCounter(words[1], plus(-n), problem)
}

func (c *conn) runTTL(words [][]byte)  { c.runCounter(words[1], look(replySeconds), "") }
func (c *conn) runPTTL(words [][]byte) { c.runCounter(words[1], look(replyMillis), "") }

// unless returns the problem there is unless ok.
func unless(ok bool, problem string) string {
	if ok {
		return ""
	}
	return problem
}

// plus adds n to a counter.
func plus(n int64) counting {
	return counting{
		operation: operation{op: opAdd, number: n, low: math.MinInt64, high: math.MaxInt64, flags: overflows},
		makes:     true, reply: replyValue,
	}
}

// look asks what there is under a key, a bucket or a counter.
func look(reply replier) counting {
	return counting{operation: operation{op: opLook}, either: true, reply: reply}
}

// runDel and runExists count the keys under which there is a bucket that is not full, or a
// counter. Each key is a matter of its own, as each may live on another node.
func (c *conn) runDel(words [][]byte) {
	c.runCount(words[1:], counting{operation: operation{op: opDelete}, either: true})
}

func (c *conn) runExists(words [][]byte) { c.runCount(words[1:], look(nil)) }

func (c *conn) runCount(keys [][]byte, k counting) {
	for _, key := range keys {
		if problem := keyProblem(key); problem != "" {
			c.fail(problem)
			return
		}
	}
	if problem := c.mayNot(k.needs()); problem != "" {
		c.fail(problem)
		return
	}
	var total int64
	var jobs []*job
	for _, key := range keys {
		k.key = string(key)
		if o, err := k.do(c.server.ctx, c.server, c, nil); err == nil {
			total += o.total
			continue
		}
		later := k
		jobs = append(jobs, &job{key: k.key, task: &later})
	}
	if len(jobs) > 0 {
		c.beside(total, jobs...)
		return
	}
	c.out = appendInt(c.out, total)
}

// A replier appends the reply that an answer stands for. The answer has no outcome that is
// an error.
type replier func(b []byte, version int, a answer) []byte

func replyValue(b []byte, _ int, a answer) []byte { return appendInt(b, a.value) }

// replyAdded says how much was added as well.
func replyAdded(b []byte, _ int, a answer) []byte {
	return appendInt(appendInt(appendList(b, 2), a.value), a.value-a.old)
}

// replyText says what the value was before.
func replyText(b []byte, version int, a answer) []byte {
	if a.before == 0 {
		return appendNothing(b, version)
	}
	var space [20]byte
	return appendBulk(b, strconv.AppendInt(space[:0], a.old, 10))
}

func replyOK(b []byte, version int, a answer) []byte {
	if a.outcome != done {
		return appendNothing(b, version)
	}
	return appendSimple(b, "OK")
}

func replyDone(b []byte, _ int, a answer) []byte {
	if a.outcome != done {
		return appendInt(b, 0)
	}
	return appendInt(b, 1)
}

func replyMillis(b []byte, _ int, a answer) []byte { return appendInt(b, a.left) }

// replySeconds rounds to the nearest second, as Redis does.
func replySeconds(b []byte, _ int, a answer) []byte {
	left := a.left
	if left >= 0 {
		left = left/1000 + left%1000/500
	}
	return appendInt(b, left)
}

// millis rounds up. As in wholeSeconds the longest Duration stands for what fits none.
func millis(d time.Duration) int64 {
	if d == math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(d/time.Millisecond) + min(int64(d%time.Millisecond), 1)
}
