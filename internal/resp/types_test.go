package resp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

// five is a reply of CL.THROTTLE.
const five = "[0 3 2 -1 20]"

func TestTwoTypes(t *testing.T) {
	play(t, [][]vector{
		{ // a bucket is no counter
			{"0", "CL.THROTTLE k 2 3 60", five}, {"0", "GET k", wrongType}, {"0", "SET k 1", wrongType}, {"0", "SET k 1 XX GET", wrongType},
			{"0", "SET k 1 NX", wrongType}, {"0", "INCR k", wrongType}, {"0", "DECRBY k 5", wrongType}, {"0", "INCREX k UBOUND 0", wrongType},
			{"0", "EXPIRE k 5", wrongType}, {"0", "PEXPIRE k 0 XX", wrongType}, {"0", "CL.THROTTLE k 2 3 60 0", five},
			// What is wrong with the words is said first.
			{"0", "EXPIRE k " + most, "-ERR invalid expire time in 'expire' command"}, {"0", "INCRBY k x", "-ERR value is not an integer or out of range"},
			// When it is full nothing is there.
			{"19.999", "INCR k", wrongType}, {"20", "GET k", "nil"}, {"20", "EXPIRE k 5", "0"}, {"20", "INCR k", "1"},
		},
		{ // a counter is no bucket
			{"0", "SET k 1 EX 5", "OK"}, {"0", "CL.THROTTLE k 2 3 60", wrongType}, {"0", "CL.THROTTLE k 2 3 60 0", wrongType},
			{"0", "CL.THROTTLE k 2 3 60 -1", wrongType}, {"0", "GET k", "'1'"}, {"0", "TTL k", "5"}, {"0", "CL.THROTTLE other 2 3 60", five},
			{"5", "CL.THROTTLE k 2 3 60", five}, {"5", "GET k", wrongType},
		},
		{ // DEL takes away either, and then the other may be there
			{"0", "SET a 1", "OK"}, {"0", "CL.THROTTLE b 2 3 60", five}, {"0", "EXISTS a b c a", "3"}, {"0", "DEL a b c", "2"}, {"0", "EXISTS a b", "0"},
			{"0", "CL.THROTTLE a 2 3 60", five}, {"0", "INCR b", "1"}, {"0", "CL.THROTTLE b 2 3 60", wrongType}, {"0", "EXPIRE b 0", "1"},
			{"0", "CL.THROTTLE b 2 3 60", five}, {"0", "DEL b a", "2"},
		},
		{ // the time that is left is that of either
			{"0", "CL.THROTTLE k 2 3 60", five}, {"0", "TTL k", "20"}, {"0", "PTTL k", "20000"}, {"0.4995", "PTTL k", "19501"}, {"0.4995", "TTL k", "20"},
			{"0.6", "TTL k", "19"}, {"19.9999", "PTTL k", "1"}, {"20", "PTTL k", "-2"}, {"20", "TTL k", "-2"},
			{"20", "CL.THROTTLE long 0 1 " + most, "[0 1 0 -1 " + most + "]"}, {"20", "PTTL long", most}, {"20", "TTL long", "9223372036854776"},
		},
	})
}

// TestCounterOfAnother is what decision 0030 does not promise: a server that has not heard
// of a counter lets a bucket be made beside it. Neither touches the other.
func TestCounterOfAnother(t *testing.T) {
	cell := newCell()
	one, two := open(t, resp.Config{Limiter: cell}), open(t, resp.Config{Limiter: cell})
	defer one.close()
	defer two.close()
	a, b := one.client(), two.client()
	a.talk(said{"SET k 7", ok}, said{"SET heard 7", ok})
	b.talk(said{"CL.THROTTLE k 2 3 60", numbers(0, 3, 2, -1, 20)}, said{"GET heard", bulk("7")}, said{"CL.THROTTLE heard 2 3 60", wrongType + "\r\n"})
	a.talk(said{"GET k", bulk("7")}, said{"INCR k", ":8\r\n"}, said{"TTL k", ":-1\r\n"}, said{"CL.THROTTLE k 2 3 60", wrongType + "\r\n"})
	b.talk(said{"EXISTS k", ":1\r\n"}, said{"CL.THROTTLE k 2 3 60", wrongType + "\r\n"}, said{"DEL k", ":1\r\n"})
	if len(cell.arrivals) != 0 || len(cell.registers) != 1 {
		t.Errorf("left are the buckets %v and the counters %v, want that of heard", cell.arrivals, cell.registers)
	}
}

// TestQuestions counts what the Limiter is asked: a bucket costs one question as ever, and
// so does a counter that is there.
func TestQuestions(t *testing.T) {
	cell := newCell()
	d := open(t, resp.Config{Limiter: cell})
	defer d.close()
	c := d.client()
	for _, tt := range []struct {
		words string
		asked int
	}{
		{"CL.THROTTLE a 2 3 60", 1}, {"INCR k", 3}, {"INCR k", 1}, {"INCREX k", 1}, {"SET k 1 XX", 1}, {"EXPIRE k 5", 1}, {"GET k", 1},
		{"CL.THROTTLE a 2 3 60", 1}, {"CL.THROTTLE k 2 3 60", 1}, {"DEL k", 2}, {"CL.THROTTLE k 2 3 60", 1}, {"DEL k", 3},
		{"GET k", 2}, {"SET k 1 XX", 2},
	} {
		cell.asked = 0
		if c.do(strings.Fields(tt.words)...); cell.asked != tt.asked {
			t.Errorf("%s asks %d times, want %d", tt.words, cell.asked, tt.asked)
		}
	}
}

func TestCounterErrors(t *testing.T) {
	const (
		notInt = "-ERR value is not an integer or out of range"
		syntax = "-ERR syntax error"
		clash  = "-ERR NX and XX, GT or LT options at the same time are not compatible"
	)
	cell := newCell()
	d := open(t, resp.Config{Limiter: cell})
	defer d.close()
	c := d.client()
	c.talk(said{"SET k 5 EX 100", ok})
	before := fmt.Sprint(cell.registers)
	for want, all := range map[string][]string{
		notInt: {
			"SET k x", "SET k 1.5", "SET k 05", "SET k +5", "SET k -0", "SET k 9223372036854775808", "SET k 5 EX x", "SET k 5 EX 1.0", "SET k 5 PXAT 08",
			"INCRBY k x", "INCRBY k 01", "INCRBY k -9223372036854775809", "DECRBY k 9223372036854775808", "EXPIRE k 1.5", "PEXPIRE k x", "EXPIRE k +1 NX",
			"INCREX k BYINT x", "INCREX k LBOUND 1.5", "INCREX k UBOUND inf", "INCREX k EX x", "INCREX k LBOUND 5 UBOUND x",
		},
		syntax: {
			"SET k 5 X", "SET k 5 NX XX", "SET k 5 XX NX", "SET k 5 EX", "SET k 5 EX 1 PX 1", "SET k 5 EX 1 KEEPTTL", "SET k 5 KEEPTTL PXAT 1",
			"SET k 5 6", "SET k x PERSIST", "SET k 5 averyveryverylongoption", "INCREX k 5", "INCREX k BYINT", "INCREX k UBOUND", "INCREX k EX",
			"INCREX k BYINT 1 BYINT 1", "INCREX k EX 1 PX 1", "INCREX k EX 1 EX 1", "INCREX k PERSIST EX 1", "INCREX k EX 1 PERSIST", "INCREX k PERSIST ENX",
			"INCREX k ENX PERSIST", "INCREX k ENX ENX EX 1", "INCREX k SATURATE SATURATE", "INCREX k PERSIST PERSIST", "INCREX k KEEPTTL", "INCREX k NX",
			"INCREX k LBOUND 1 LBOUND 1", "INCREX k UBOUND 1 UBOUND 1", "INCREX k EX 1 ENX PERSIST",
		},
		"-ERR ENX flag requires an expiration":          {"INCREX k ENX", "INCREX k ENX BYINT x"},
		"-ERR LBOUND can't be greater than UBOUND":      {"INCREX k LBOUND 2 UBOUND 1", "INCREX k UBOUND -2 LBOUND -1 SATURATE", "INCREX k EX 0 LBOUND 2 UBOUND 1"},
		"-ERR BYFLOAT is not supported":                 {"INCREX k BYFLOAT 1.5", "INCREX k byfloat 1"},
		"-ERR invalid expire time in 'set' command":     {"SET k 5 EX 0", "SET k 5 PX -1", "SET k 5 EXAT 0", "SET k 5 PXAT -5 XX", "SET k 5 EX 9223372036854776", "SET k 5 EX 9223372036854775", "SET k 5 PX " + most, "SET k 5 EXAT " + most, "SET absent 5 XX EX 0", "SET k 5 NX EX 0"},
		"-ERR invalid expire time in 'increx' command":  {"INCREX k EX 0", "INCREX k PX -1", "INCREX k EXAT -5", "INCREX absent PXAT 0", "INCREX k EX " + most, "INCREX k UBOUND 0 ENX PX " + most},
		"-ERR invalid expire time in 'expire' command":  {"EXPIRE k 9223372036854776", "EXPIRE k -9223372036854776", "EXPIRE absent " + most, "EXPIRE k 9223372036854775 GT"},
		"-ERR invalid expire time in 'pexpire' command": {"PEXPIRE k " + most, "PEXPIRE absent 9223370236854775808"},
		clash:                           {"EXPIRE k 1 NX XX", "EXPIRE k 1 NX GT", "EXPIRE k 1 LT NX", "PEXPIRE k 1 GT LT", "EXPIRE k x NX XX"},
		"-ERR Unsupported option Y":     {"EXPIRE k 1 Y", "EXPIRE k 1 NX Y", "EXPIRE k x Y"},
		"-ERR decrement would overflow": {"DECRBY k " + least},
		"-ERR wrong number of arguments for 'get' command":     {"GET", "GET a b"},
		"-ERR wrong number of arguments for 'set' command":     {"SET", "SET a"},
		"-ERR wrong number of arguments for 'incr' command":    {"INCR", "INCR a 1"},
		"-ERR wrong number of arguments for 'incrby' command":  {"INCRBY a", "IncrBy a 1 2"},
		"-ERR wrong number of arguments for 'decr' command":    {"DECR", "DECR a 1"},
		"-ERR wrong number of arguments for 'decrby' command":  {"DECRBY a", "DECRBY a 1 2"},
		"-ERR wrong number of arguments for 'increx' command":  {"INCREX"},
		"-ERR wrong number of arguments for 'expire' command":  {"EXPIRE a"},
		"-ERR wrong number of arguments for 'pexpire' command": {"PEXPIRE a"},
		"-ERR wrong number of arguments for 'ttl' command":     {"TTL", "TTL a b"},
		"-ERR wrong number of arguments for 'pttl' command":    {"PTTL", "PTTL a b"},
		"-ERR key must be 1 to 512 bytes":                      {"GET " + strings.Repeat("k", 513), "INCREX " + strings.Repeat("k", 513) + " UBOUND 5"},
	} {
		for _, words := range all {
			c.expect(want+"\r\n", strings.Fields(words)...)
		}
	}
	c.expect("-ERR Unsupported option a  :1\r\n", "EXPIRE", "k", "1", "a\r\n:1")
	if after := fmt.Sprint(cell.registers); after != before {
		t.Errorf("errors have changed %s to %s", before, after)
	}
}

// TestCountersWithoutTheOwner makes no numbers up.
func TestCountersWithoutTheOwner(t *testing.T) {
	all := []string{"GET k", "SET k 1", "INCR k", "INCREX k", "EXPIRE k 1", "TTL k", "PTTL k", "DEL k", "EXISTS k"}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"unavailable": {fmt.Errorf("n2: %w", bucketring.ErrUnavailable), "-UNAVAILABLE key owner not reachable\r\n"},
		"not here":    {&bucketring.NotOwner{Hint: "n2"}, "-UNAVAILABLE key owner not reachable\r\n"},
		"too late":    {context.DeadlineExceeded, "-UNAVAILABLE key owner not reachable\r\n"},
		"no step":     {bucketring.Invalidf("no such step"), "-ERR no such step\r\n"},
		"other":       {errors.New("broken"), "-UNAVAILABLE broken\r\n"},
		"older":       {nil, "-ERR the node that owns this key runs a version that does not know this command or option\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, resp.Config{Limiter: limiterFunc(func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
				if req.Verb == bucketring.VerbStep {
					return bucketring.Decision{Allowed: true}, tt.err
				}
				return bucketring.Decision{Source: bucketring.SourceOwner}, nil
			})})
			defer d.close()
			for _, words := range all {
				d.client().expect(tt.want, strings.Fields(words)...)
			}
		})
	}
}

// TestForwardedOnce has one time for all that a command asks, and stops at the first
// question that nobody answers: what may have been done is not done again.
func TestForwardedOnce(t *testing.T) {
	asked := 0
	var deadline time.Time
	d := open(t, resp.Config{ForwardWithin: time.Hour, Limiter: limiterFunc(func(ctx context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
		if asked++; asked == 3 {
			return d, bucketring.ErrUnavailable
		}
		last := deadline
		if deadline, _ = ctx.Deadline(); asked > 1 && !deadline.Equal(last) {
			t.Errorf("question %d may take until %v, the one before until %v", asked, deadline, last)
		}
		if req.Verb == bucketring.VerbStep {
			d.Allowed, d.Values = true, resp.CounterStep(&bucketring.Register{}, req.Args)
		}
		return d, nil
	})})
	defer d.close()
	d.client().expect("-UNAVAILABLE key owner not reachable\r\n", "INCR", "k")
	if asked != 3 {
		t.Errorf("%d questions, want 3: whether there is a counter, whether a bucket, and to make one", asked)
	}
}

func TestNoRoom(t *testing.T) {
	const full = "-OOM command not allowed when used memory > 'maxmemory'."
	c := newCell()
	d := open(t, resp.Config{Limiter: c})
	defer d.close()
	client := d.client()
	client.talk(said{"SET k 1", ok})
	c.full = true
	for words, want := range map[string]string{
		"SET a 1": full, "INCR a": full, "INCREX a": full, "SET a 1 NX GET": full, "GET a": "nil", "SET a 1 XX": "nil", "TTL a": "-2", "DEL a": "0",
		"EXISTS a": "0", "EXPIRE a 1": "0", "INCREX a UBOUND 0": "[0 0]", "GET k": "'1'", "SET k 1": "OK",
	} {
		client.expect(wanted(want, 2), strings.Fields(words)...)
	}
}

// TestPipelineOfBoth mixes counters and buckets on few keys in one piece: replies and
// effects are in order, whichever of them have to wait.
func TestPipelineOfBoth(t *testing.T) {
	for way, limiter := range ways {
		cell := newCell()
		d := open(t, resp.Config{Limiter: limiter(cell)})
		c, text := d.client(), ""
		var want, got []string
		for i := range 100 {
			key := fmt.Sprint("n", i%3)
			for _, one := range []said{
				{"INCR " + key, fmt.Sprintf(":%d\r\n", i/3+1)}, {"CL.THROTTLE b 99 1 60", numbers(0, 100, int64(99-i), -1, int64(60*i+60))},
				{"CL.THROTTLE " + key + " 2 3 60", wrongType + "\r\n"}, {"EXISTS b " + key, ":2\r\n"}, {"GET b", wrongType + "\r\n"}, {"PING", "+PONG\r\n"},
				{"INCREX x BYINT 2 UBOUND 151", numbers(int64(min(2*i+2, 150)), int64(2*map[bool]int{true: 1}[i < 75]))},
				{"SET once 1 GET", map[bool]string{true: "$-1\r\n", false: bulk("1")}[i == 0]},
			} {
				text += wire(strings.Fields(one.words)...)
				want = append(want, one.want)
			}
		}
		go func() { _, _ = io.WriteString(c, text) }()
		for range want {
			got = append(got, c.reply())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", way, diff)
		}
		d.close()
	}
}
