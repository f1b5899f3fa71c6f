// options.go reads the commands on counters that have options.

package resp

import "math"

const errSyntax = "ERR syntax error"

// expiryWords are the options that say when a counter ends.
var expiryWords = map[string]int64{"EX": inSeconds, "PX": inMillis, "EXAT": atSecond, "PXAT": atMilli}

// numberOr reads the word of an option, if there is one.
func numberOr(word []byte, otherwise int64) (n int64, ok bool) {
	if word == nil {
		return otherwise, true
	}
	return exactInt(word)
}

func (c *conn) runSet(words [][]byte) {
	k, problem := parseSet(words)
	c.runCounter(words[1], k, problem)
}

// parseSet reads SET k n with its options. As in Redis one that is repeated counts once.
func parseSet(words [][]byte) (k counting, problem string) {
	k = counting{operation: operation{op: opSet, expiry: noExpiry}, makes: true, command: "set", reply: replyOK}
	var time []byte
	for rest := words[3:]; len(rest) > 0; rest = rest[1:] {
		var space [longestName]byte
		name := string(upper(&space, rest[0]))
		expiry, timed := expiryWords[name]
		switch {
		case name == "NX" && k.flags&ifThere == 0:
			k.flags |= ifAbsent
		case name == "XX" && k.flags&ifAbsent == 0:
			k.flags |= ifThere
			k.makes = false
		case name == "GET":
			k.reply = replyText
		case name == "KEEPTTL" && time == nil:
			k.expiry = keepExpiry
		case timed && len(rest) > 1 && (k.expiry == noExpiry || k.expiry == expiry):
			k.expiry, time, rest = expiry, rest[1], rest[1:]
		default:
			return k, errSyntax
		}
	}
	var whole, valid bool
	k.number, whole = exactInt(words[2])
	k.time, valid = numberOr(time, 0)
	return k, unless(whole && valid, errNotInteger)
}

func (c *conn) runIncrEx(words [][]byte) {
	k, problem := parseIncrEx(words)
	c.runCounter(words[1], k, problem)
}

// An increx is the options of INCREX.
type increx struct {
	by, low, high, time []byte // words of numbers; nil for none
	expiry              int64
	saturate, once      bool // SATURATE, ENX
}

// parseIncrEx reads INCREX k with its options.
func parseIncrEx(words [][]byte) (k counting, problem string) {
	x, problem := readIncrEx(words[2:])
	switch {
	case problem != "":
		return k, problem
	case x.once && x.time == nil:
		return k, "ERR ENX flag requires an expiration"
	}
	k = counting{operation: operation{op: opAdd, expiry: x.expiry}, makes: true, command: "increx", reply: replyAdded}
	for _, number := range []struct {
		to        *int64
		word      []byte
		otherwise int64
	}{{&k.number, x.by, 1}, {&k.low, x.low, math.MinInt64}, {&k.high, x.high, math.MaxInt64}, {&k.time, x.time, 0}} {
		var ok bool
		if *number.to, ok = numberOr(number.word, number.otherwise); !ok {
			return k, errNotInteger
		}
	}
	if x.saturate {
		k.flags |= saturates
	}
	if x.once {
		k.flags |= ifLasting
	}
	return k, unless(k.low <= k.high, "ERR LBOUND can't be greater than UBOUND")
}

// readIncrEx finds out which options there are. Each may come once.
func readIncrEx(rest [][]byte) (x increx, problem string) {
	for ; len(rest) > 0; rest = rest[1:] {
		var space [longestName]byte
		name := string(upper(&space, rest[0]))
		var number *[]byte // the option is followed by one
		switch expiry, timed := expiryWords[name]; {
		case name == "BYFLOAT":
			return x, "ERR BYFLOAT is not supported"
		case name == "BYINT":
			number = &x.by
		case name == "LBOUND":
			number = &x.low
		case name == "UBOUND":
			number = &x.high
		case timed && x.expiry == keepExpiry:
			x.expiry, number = expiry, &x.time
		case name == "SATURATE" && !x.saturate:
			x.saturate = true
			continue
		case name == "ENX" && !x.once && x.expiry != noExpiry:
			x.once = true
			continue
		case name == "PERSIST" && !x.once && x.expiry == keepExpiry:
			x.expiry = noExpiry
			continue
		default:
			return x, errSyntax
		}
		if len(rest) < 2 || *number != nil {
			return x, errSyntax
		}
		rest = rest[1:]
		*number = rest[0]
	}
	return x, ""
}

func (c *conn) runExpire(words [][]byte)  { c.runExpireIn(words, "expire", inSeconds) }
func (c *conn) runPExpire(words [][]byte) { c.runExpireIn(words, "pexpire", inMillis) }

func (c *conn) runExpireIn(words [][]byte, command string, unit int64) {
	k := counting{operation: operation{op: opExpire, expiry: unit}, command: command, reply: replyDone}
	var problem string
	if k.flags, problem = readConditions(words[3:]); problem == "" {
		var ok bool
		k.time, ok = exactInt(words[2])
		problem = unless(ok, errNotInteger)
	}
	c.runCounter(words[1], k, problem)
}

// conditions are the options of EXPIRE.
var conditions = map[string]int64{"NX": ifLasting, "XX": ifEnding, "GT": ifLater, "LT": ifSooner}

func readConditions(words [][]byte) (flags int64, problem string) {
	for _, word := range words {
		var space [longestName]byte
		flag := conditions[string(upper(&space, word))]
		if flag == 0 {
			return 0, "ERR Unsupported option " + string(cut(word))
		}
		flags |= flag
	}
	never := flags&ifLasting != 0 && flags != ifLasting || flags&ifLater != 0 && flags&ifSooner != 0
	return flags, unless(!never, "ERR NX and XX, GT or LT options at the same time are not compatible")
}
