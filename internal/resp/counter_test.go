package resp_test

import (
	"fmt"
	"hash/fnv"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

func TestCounterID(t *testing.T) {
	h := fnv.New64a()
	_, _ = h.Write([]byte("_redis counter"))
	if h.Sum64() != resp.CounterID {
		t.Errorf("CounterID = %#x, want %#x", uint64(resp.CounterID), h.Sum64())
	}
}

// wanted is the reply that a short text stands for: OK, nil, an integer, a 'text', the
// integers of a [list], or -AN ERROR.
func wanted(text string, version int) string {
	switch {
	case text == "OK":
		return ok
	case text == "nil":
		return map[int]string{2: "$-1\r\n", 3: "_\r\n"}[version]
	case text[0] == '-' && text[1] >= 'A':
		return text + "\r\n"
	case text[0] == '\'':
		return bulk(strings.Trim(text, "'"))
	case text[0] == '[':
		return numbers(parsed(strings.Trim(text, "[]"))...)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(":%d\r\n", n)
}

// ways are the ways in which a limiter may decide: all at once, all but steps, nothing.
var ways = map[string]func(*cell) bucketring.Limiter{
	"at once": func(c *cell) bucketring.Limiter { return c },
	"steps beside": func(c *cell) bucketring.Limiter {
		return immediate{c.Take, func(req *bucketring.Request, d *bucketring.Decision) bool {
			return req.Verb != bucketring.VerbStep && c.TakeNow(0, req, d)
		}}
	},
	"beside": func(c *cell) bucketring.Limiter { return limiterFunc(c.Take) },
}

// play runs histories, each with keys of its own, in every way and both versions.
func play(t *testing.T, histories [][]vector) {
	t.Helper()
	for way, limiter := range ways {
		for i, history := range histories {
			c := newCell()
			d := open(t, resp.Config{Limiter: limiter(c)})
			version := 2 + i%2
			client := d.client()
			client.do("HELLO", strconv.Itoa(version))
			for _, v := range history {
				c.now, _ = new(big.Rat).SetString(v.at)
				client.expect(wanted(v.want, version), strings.Fields(v.words)...)
				if t.Failed() {
					t.Fatalf("%s: history %d at %s: %s", way, i, v.at, v.words)
				}
			}
			d.close()
		}
	}
}

const (
	most      = "9223372036854775807"
	least     = "-9223372036854775808"
	overflow  = "-ERR increment or decrement would overflow"
	wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value"
)

func TestCounters(t *testing.T) {
	play(t, [][]vector{
		{ // reading and counting
			{"0", "GET k", "nil"}, {"0", "INCR k", "1"}, {"0", "incr k", "2"}, {"0", "INCRBY k 40", "42"}, {"0", "DECR k", "41"},
			{"0", "DECRBY k 42", "-1"}, {"0", "INCRBY k -9", "-10"}, {"0", "DECRBY k -11", "1"}, {"0", "INCRBY k 0", "1"},
			{"0", "GET k", "'1'"}, {"0", "TTL k", "-1"}, {"0", "PTTL k", "-1"},
			{"0", "DECR other", "-1"}, {"0", "DECRBY third 5", "-5"}, {"0", "INCRBY fourth 0", "0"}, {"0", "EXISTS k other third fourth", "4"},
		},
		{ // the ends of what is a number
			{"0", "SET k " + most, "OK"}, {"0", "INCR k", overflow}, {"0", "INCRBY k 1", overflow}, {"0", "DECRBY k -1", overflow},
			{"0", "GET k", "'" + most + "'"}, {"0", "INCRBY k " + least, "-1"}, {"0", "INCRBY k " + least, overflow},
			{"0", "DECRBY k " + most, least}, {"0", "DECR k", overflow}, {"0", "GET k", "'" + least + "'"},
			{"0", "DECRBY k " + least, "-ERR decrement would overflow"}, {"0", "INCRBY k " + most, "-1"}, {"0", "TTL k", "-1"},
		},
		{ // an expiry is kept, and is the end
			{"0", "SET k 5 EX 10", "OK"}, {"1", "INCR k", "6"}, {"1", "DECR k", "5"}, {"1", "INCRBY k 2", "7"}, {"1", "DECRBY k 1", "6"},
			{"9.999", "PTTL k", "1"}, {"9.999", "GET k", "'6'"}, {"9.9999", "GET k", "'6'"}, {"10", "GET k", "nil"},
			{"10", "TTL k", "-2"}, {"10", "PTTL k", "-2"}, {"10", "EXISTS k", "0"}, {"10", "DEL k", "0"}, {"10", "INCR k", "1"}, {"10", "TTL k", "-1"},
		},
		{ // seconds that are left are those next to the time that is left
			{"0", "SET k 1 PX 10000", "OK"}, {"0", "TTL k", "10"}, {"0.5", "TTL k", "10"}, {"0.501", "TTL k", "9"}, {"9.5", "TTL k", "1"},
			{"9.501", "TTL k", "0"}, {"9.501", "PTTL k", "499"}, {"9.9999", "PTTL k", "1"},
		},
		{ // times are cut to milliseconds
			{"0.0019", "SET k 1 PX 10", "OK"}, {"0.0109", "PTTL k", "1"}, {"0.011", "PTTL k", "-2"},
		},
		{ // DEL and EXISTS
			{"0", "SET a 1", "OK"}, {"0", "SET b 2 EX 9", "OK"}, {"0", "EXISTS a b a c", "3"}, {"0", "DEL a c a", "1"}, {"0", "EXISTS a b", "1"},
			{"0", "GET a", "nil"}, {"0", "INCR a", "1"}, {"0", "DEL a b", "2"}, {"0", "GET b", "nil"},
		},
		{ // nobody uses it
			{"0", "SET k 5", "OK"}, {"86399", "GET k", "'5'"}, {"172798", "INCR k", "6"}, {"259197", "TTL k", "-1"},
			{"259197.9", "EXISTS k", "1"}, {"259198", "GET k", "nil"},
		},
		{ // an expiry may be later than that
			{"0", "SET k 5 EX 1000000", "OK"}, {"999999", "GET k", "'5'"}, {"1000000", "GET k", "nil"},
		},
	})
}

func TestSet(t *testing.T) {
	play(t, [][]vector{
		{ // each SET takes the expiry away, unless it says so
			{"0", "SET k 1 EX 100", "OK"}, {"1", "SET k 2 KEEPTTL", "OK"}, {"1", "TTL k", "99"}, {"1", "set k 3", "OK"}, {"1", "TTL k", "-1"},
			{"1", "SET k 4 KEEPTTL", "OK"}, {"1", "TTL k", "-1"}, {"1", "SET k 5 px 1500", "OK"}, {"1", "PTTL k", "1500"},
			{"1", "SET k 6 EXAT 1800000050", "OK"}, {"1", "TTL k", "49"}, {"1", "SET k 7 PXAT 1800000050001", "OK"}, {"1", "PTTL k", "49001"},
			{"1", "GET k", "'7'"}, {"1", "SET new 8 KEEPTTL", "OK"}, {"1", "TTL new", "-1"},
		},
		{ // conditions
			{"0", "SET k 1 XX", "nil"}, {"0", "EXISTS k", "0"}, {"0", "SET k 2 NX EX 9", "OK"}, {"0", "SET k 3 NX", "nil"}, {"0", "GET k", "'2'"},
			{"0", "TTL k", "9"}, {"0", "SET k 4 XX", "OK"}, {"0", "GET k", "'4'"}, {"0", "TTL k", "-1"}, {"0", "SET k 5 XX EX 9", "OK"},
			{"0", "SET k 6 nx EX 100", "nil"}, {"0", "TTL k", "9"},
		},
		{ // GET says what was there, whether there is a new value or not
			{"0", "SET k 1 GET", "nil"}, {"0", "SET k -2 GET", "'1'"}, {"0", "SET k 3 GET NX", "'-2'"}, {"0", "GET k", "'-2'"},
			{"0", "SET k 4 XX GET EX 5", "'-2'"}, {"0", "SET k 5 KEEPTTL GET", "'4'"}, {"0", "TTL k", "5"},
			{"0", "SET other 1 XX GET", "nil"}, {"0", "EXISTS other", "0"}, {"0", "SET other 1 NX GET", "nil"}, {"0", "GET other", "'1'"},
		},
		{ // what is over before it began
			{"0", "SET k 1", "OK"}, {"0", "SET k 2 EXAT 1", "OK"}, {"0", "GET k", "nil"}, {"0", "SET k 3 PXAT 1800000000000 GET", "nil"},
			{"0", "EXISTS k", "0"}, {"0", "SET k 4 PXAT 1800000000001", "OK"}, {"0", "GET k", "'4'"},
		},
		{ // once more of the same is the last one
			{"0", "SET k 1 EX 5 EX 7", "OK"}, {"0", "TTL k", "7"}, {"0", "SET k 2 XX XX GET GET", "'1'"}, {"0", "SET k 3 KEEPTTL KEEPTTL", "OK"},
		},
		{ // the largest times
			{"0", "SET k 1 PX 9223370236854775807", "OK"}, {"0", "PTTL k", "9223370236854775807"}, {"0", "SET k 1 PXAT " + most, "OK"},
			{"0", "PTTL k", "9223370236854775807"}, {"0", "SET k 1 EXAT 9223372036854775", "OK"}, {"0", "PTTL k", "9223370236854775000"},
			{"0", "TTL k", "9223370236854775"}, {"99999999", "GET k", "'1'"},
		},
	})
}

func TestExpire(t *testing.T) {
	play(t, [][]vector{
		{
			{"0", "EXPIRE k 5", "0"}, {"0", "EXISTS k", "0"}, {"0", "SET k 1", "OK"}, {"0", "EXPIRE k 5", "1"}, {"0", "TTL k", "5"},
			{"1", "PEXPIRE k 4500", "1"}, {"1", "PTTL k", "4500"}, {"5.499", "GET k", "'1'"}, {"5.5", "GET k", "nil"},
		},
		{ // a time that is over deletes
			{"0", "SET k 1", "OK"}, {"0", "EXPIRE k 0", "1"}, {"0", "GET k", "nil"}, {"0", "EXPIRE k 0", "0"}, {"0", "SET k 1", "OK"},
			{"0", "PEXPIRE k -1", "1"}, {"0", "EXISTS k", "0"}, {"0", "SET k 1", "OK"}, {"0", "PEXPIRE k " + least, "1"}, {"0", "EXISTS k", "0"},
			{"0", "SET k 1", "OK"}, {"0", "EXPIRE k -9223372036854775", "1"}, {"0", "EXISTS k", "0"},
		},
		{ // conditions
			{"0", "SET k 1", "OK"}, {"0", "EXPIRE k 10 XX", "0"}, {"0", "EXPIRE k 10 GT", "0"}, {"0", "TTL k", "-1"}, {"0", "EXPIRE k 10 NX", "1"},
			{"0", "EXPIRE k 20 NX", "0"}, {"0", "TTL k", "10"}, {"0", "EXPIRE k 20 XX", "1"}, {"0", "TTL k", "20"}, {"0", "EXPIRE k 20 GT", "0"},
			{"0", "EXPIRE k 19 gt", "0"}, {"0", "EXPIRE k 21 GT", "1"}, {"0", "EXPIRE k 21 LT", "0"}, {"0", "EXPIRE k 22 LT", "0"},
			{"0", "EXPIRE k 20 LT", "1"}, {"0", "TTL k", "20"}, {"0", "EXPIRE k 30 XX GT", "1"}, {"0", "EXPIRE k 29 LT XX", "1"},
			{"0", "EXPIRE k -5 GT", "0"}, {"0", "EXPIRE k -5 NX", "0"}, {"0", "GET k", "'1'"}, {"0", "EXPIRE k -5 LT", "1"}, {"0", "GET k", "nil"},
		},
		{ // one that never ends is held for later than any other
			{"0", "SET k 1", "OK"}, {"0", "EXPIRE k 10 LT", "1"}, {"0", "TTL k", "10"}, {"0", "SET k 1", "OK"}, {"0", "EXPIRE k 9 XX LT", "0"},
			{"0", "EXPIRE k 9 NX NX", "1"},
		},
		{ // the largest times
			{"0", "SET k 1", "OK"}, {"0", "PEXPIRE k 9223370236854775807", "1"}, {"0", "PTTL k", "9223370236854775807"},
			{"0", "EXPIRE k 9223370236854775", "1"}, {"0", "PTTL k", "9223370236854775000"},
		},
	})
}

func TestIncrEx(t *testing.T) {
	play(t, [][]vector{
		// The table of the document.
		{{"0", "INCREX k", "[1 1]"}, {"0", "GET k", "'1'"}, {"0", "TTL k", "-1"}},
		{{"0", "SET k 99 EX 50", "OK"}, {"0", "INCREX k BYINT 5 UBOUND 100 EX 9", "[99 0]"}, {"0", "GET k", "'99'"}, {"0", "TTL k", "50"}},
		{{"0", "SET k 99", "OK"}, {"0", "INCREX k BYINT 5 UBOUND 100 SATURATE", "[100 1]"}, {"0", "GET k", "'100'"}, {"0", "TTL k", "-1"}},
		{{"0", "INCREX k BYINT 5 UBOUND 3 EX 60", "[0 0]"}, {"0", "EXISTS k", "0"}},
		{
			{"0", "INCREX k UBOUND 2 EX 60 ENX", "[1 1]"}, {"1", "INCREX k UBOUND 2 EX 60 ENX", "[2 1]"}, {"2", "INCREX k UBOUND 2 EX 60 ENX", "[2 0]"},
			{"2", "GET k", "'2'"}, {"2", "TTL k", "58"}, {"60", "INCREX k UBOUND 2 EX 60 ENX", "[1 1]"},
		},
		{{"0", "SET k 10 EX 500", "OK"}, {"0", "INCREX k EX 10 ENX", "[11 1]"}, {"0", "TTL k", "500"}},
		{{"0", "SET k 5 EX 1000", "OK"}, {"0", "INCREX k PERSIST", "[6 1]"}, {"0", "TTL k", "-1"}},

		{ // without a word about it the expiry is kept, with one it is that
			{"0", "SET k 1 EX 9", "OK"}, {"0", "increx k byint -3", "[-2 -3]"}, {"0", "TTL k", "9"}, {"0", "INCREX k ex 20", "[-1 1]"},
			{"0", "TTL k", "20"}, {"0", "INCREX k PX 1500", "[0 1]"}, {"0", "PTTL k", "1500"}, {"0", "INCREX k EXAT 1800000009", "[1 1]"},
			{"0", "TTL k", "9"}, {"0", "INCREX k PXAT 1800000000007", "[2 1]"}, {"0", "PTTL k", "7"}, {"0", "INCREX new PERSIST", "[1 1]"}, {"0", "TTL new", "-1"},
		},
		{ // bounds are for the result, whichever way it goes
			{"0", "SET k 10", "OK"}, {"0", "INCREX k BYINT 5 UBOUND 15", "[15 5]"}, {"0", "INCREX k BYINT -5 LBOUND 10", "[10 -5]"},
			{"0", "INCREX k BYINT -5 LBOUND 8", "[10 0]"}, {"0", "INCREX k BYINT -3 UBOUND 5", "[10 0]"}, {"0", "INCREX k BYINT 3 LBOUND 20", "[10 0]"},
			{"0", "INCREX k BYINT -5 UBOUND 5", "[5 -5]"}, {"0", "INCREX k LBOUND 5 UBOUND 5", "[5 0]"}, {"0", "INCREX k BYINT 0 LBOUND 5 UBOUND 5", "[5 0]"},
		},
		{ // SATURATE goes to the bound, from either side, and then expiry options apply
			{"0", "SET k 10", "OK"}, {"0", "INCREX k BYINT 5 UBOUND 5 SATURATE EX 9", "[5 -5]"}, {"0", "TTL k", "9"},
			{"0", "INCREX k BYINT -5 LBOUND 20 SATURATE PERSIST", "[20 15]"}, {"0", "TTL k", "-1"}, {"0", "INCREX k UBOUND 20 SATURATE", "[20 0]"},
			{"0", "INCREX new UBOUND 0 SATURATE EX 5", "[0 0]"}, {"0", "TTL new", "5"}, {"0", "INCREX low LBOUND 5 SATURATE", "[5 5]"},
		},
		{ // 64 bits are bounds as well
			{"0", "SET k " + most, "OK"}, {"0", "INCREX k EX 5", "[" + most + " 0]"}, {"0", "TTL k", "-1"}, {"0", "INCREX k SATURATE EX 5", "[" + most + " 0]"},
			{"0", "TTL k", "5"}, {"0", "INCREX k BYINT -7", "[9223372036854775800 -7]"}, {"0", "INCREX k BYINT 10 SATURATE", "[" + most + " 7]"},
			{"0", "INCREX k BYINT " + least, "[-1 " + least + "]"}, {"0", "INCREX k BYINT " + least, "[-1 0]"},
			{"0", "INCREX k BYINT " + least + " SATURATE", "[" + least + " -9223372036854775807]"}, {"0", "INCREX k BYINT " + most + " LBOUND 0", "[" + least + " 0]"},
			{"0", "INCREX k BYINT " + most + " LBOUND 0 SATURATE", overflow}, {"0", "GET k", "'" + least + "'"}, {"0", "TTL k", "5"},
			{"0", "INCREX k UBOUND " + least + " LBOUND " + least + " SATURATE", "[" + least + " 0]"}, {"0", "INCREX k LBOUND -1 SATURATE", "[-1 " + most + "]"},
		},
		{ // ENX is for what has no expiry
			{"0", "SET k 1", "OK"}, {"0", "INCREX k ENX EX 7", "[2 1]"}, {"0", "TTL k", "7"}, {"0", "INCREX k EXAT 5 ENX", "[3 1]"}, {"0", "TTL k", "7"},
			{"0", "INCREX k UBOUND 3 PX 1 ENX SATURATE", "[3 0]"}, {"0", "TTL k", "7"},
		},
		{ // an end in the past takes away what was counted
			{"0", "SET k 4", "OK"}, {"0", "INCREX k EXAT 5 ENX", "[5 1]"}, {"0", "EXISTS k", "0"}, {"0", "INCREX k PXAT 1800000000000", "[1 1]"}, {"0", "EXISTS k", "0"},
		},
	})
}

// TestIdleExpiry drops what nobody uses; to look whether it is there is no use.
func TestIdleExpiry(t *testing.T) {
	c := newCell()
	d := open(t, resp.Config{Limiter: c, IdleExpiry: time.Minute})
	defer d.close()
	client := d.client()
	for _, v := range []vector{
		{"0", "SET k 1", "OK"}, {"59", "GET k", "'1'"}, {"118", "INCREX k UBOUND 0", "[1 0]"}, {"177", "EXISTS k", "1"}, {"177", "TTL k", "-1"},
		{"177.9", "PTTL k", "-1"}, {"178", "EXISTS k", "0"}, {"178", "SET k 1 EX 100", "OK"}, {"277", "GET k", "'1'"},
	} {
		c.now, _ = new(big.Rat).SetString(v.at)
		client.expect(wanted(v.want, 2), strings.Fields(v.words)...)
	}
}
