package resp_test

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

func TestThrottleID(t *testing.T) {
	h := fnv.New64a()
	_, _ = h.Write([]byte("_redis cl.throttle"))
	if h.Sum64() != resp.ThrottleID {
		t.Errorf("throttleID = %#x, want %#x", uint64(resp.ThrottleID), h.Sum64())
	}
}

// A vector is one call: when, with which words, and the five numbers.
type vector struct{ at, words, want string }

// vectors are the histories of one key each.
var vectors = [][]vector{
	{{"0", "15 30 60", "0 16 15 -1 2"}},
	{{"0", "0 1 2", "0 1 0 -1 2"}, {"0", "0 1 2", "1 1 0 2 2"}, {"2", "0 1 2", "0 1 0 -1 2"}},
	{{"0", "15 30 60 0", "0 16 16 -1 0"}},
	{{"0", "15 30 60 17", "1 16 16 -1 0"}},
	{
		{"0", "15 30 60 16", "0 16 0 -1 32"}, {"0", "15 30 60 0", "0 16 0 -1 32"}, {"0", "15 30 60 1", "1 16 0 2 32"},
		{"0", "15 30 60 -4", "0 16 4 -1 24"}, {"0", "15 30 60 1", "0 16 3 -1 26"}, {"0", "15 30 60 -100", "0 16 16 -1 0"},
	},
	{
		{"0", "6 7 60", "0 7 6 -1 9"}, {"0", "6 7 60", "0 7 5 -1 18"}, {"0", "6 7 60", "0 7 4 -1 26"},
		{"0", "6 7 60", "0 7 3 -1 35"}, {"0", "6 7 60", "0 7 2 -1 43"}, {"0", "6 7 60", "0 7 1 -1 52"},
		{"0", "6 7 60", "0 7 0 -1 60"}, {"0", "6 7 60", "1 7 0 9 60"},
		{"8.5", "6 7 60", "1 7 0 1 52"}, {"9", "6 7 60", "0 7 0 -1 60"},
	},
	{{"0", "0 1 604800", "0 1 0 -1 604800"}, {"0.5", "0 1 604800", "1 1 0 604800 604800"}},
	{{"0", "0 10000000 1", "0 1 0 -1 1"}, {"0", "0 10000000 1", "1 1 0 1 1"}, {"0.0000001", "0 10000000 1", "0 1 0 -1 1"}},
	{
		{"0", "9 10 60 10", "0 10 0 -1 60"},
		{"0", "9 20 60 0", "1 10 0 30 60"}, {"0", "19 20 60 0", "0 20 0 -1 60"}, {"0", "4 10 60 0", "1 5 0 30 60"},
	},
	{{"0", "2 1 1 3", "0 3 0 -1 3"}, {"0.6", "2 1 1 1", "1 3 0 1 3"}},

	// Beyond those of the document: a bucket that is just empty by fractions is in no
	// debt, and what does not fit a number is the largest one.
	{{"0", "2 7 60 3", "0 3 0 -1 26"}, {"0", "2 7 60 0", "0 3 0 -1 26"}},
	{{"0", "0 1 9223372036854775807", "0 1 0 -1 9223372036854775807"}},
	{{"0", "9223372036854775806 1 1 9223372036854775807", "0 9223372036854775807 0 -1 9223372036854775807"}},
	{{"0", "5 1 1 -9223372036854775808", "0 6 6 -1 0"}},
	{{"0", "5 1 1 9223372036854775807", "1 6 6 -1 0"}},
	{{"0", "+5 01 1", "0 6 5 -1 1"}},
}

func TestVectors(t *testing.T) {
	for _, slow := range []bool{false, true} {
		for i, history := range vectors {
			c := newCell()
			cfg := resp.Config{Limiter: c}
			if slow {
				cfg.Limiter = limiterFunc(c.Take)
			}
			d := open(t, cfg)
			client := d.client()
			for _, v := range history {
				c.now, _ = new(big.Rat).SetString(v.at)
				client.expect(numbers(parsed(v.want)...), append([]string{"cl.Throttle", "k"}, strings.Fields(v.words)...)...)
				if t.Failed() {
					t.Fatalf("history %d at %s, slow %v: %s", i, v.at, slow, v.words)
				}
			}
			if i == 2 && len(c.arrivals) != 0 {
				t.Error("a look has made a key")
			}
			d.close()
		}
	}
}

// parsed reads numbers that stand in one text.
func parsed(text string) (all []int64) {
	for word := range strings.FieldsSeq(text) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			panic(err)
		}
		all = append(all, n)
	}
	return all
}

// expected is the reply by the document's table, in fractions: tat is the time that is
// stored before the call, and what it returns the one after it.
func expected(now, tat *big.Rat, maxBurst, count, period, quantity int64) (want []int64, after *big.Rat) {
	one := fraction(1, 1)
	e := fraction(period, count)
	dvt := times(e, fraction(maxBurst+1, 1))
	after = later(now, plus(later(now, tat), times(e, fraction(quantity, 1))))
	deniedUntil := minus(plus(later(now, tat), times(e, fraction(quantity, 1))), dvt)
	limited, retry := int64(0), int64(-1)
	if quantity >= 0 && deniedUntil.Cmp(now) > 0 {
		limited, after = 1, tat
		if quantity <= maxBurst+1 {
			retry = saturated(roundedUp(later(one, minus(deniedUntil, now))))
		}
	}
	debt := minus(later(now, after), now)
	remaining := roundedDown(later(new(big.Rat), by(minus(dvt, debt), e)))
	return []int64{limited, maxBurst + 1, min(saturated(remaining), maxBurst+1), retry, saturated(roundedUp(debt))}, after
}

// TestAgainstTheTable makes random calls and compares each with the formulas. Counts
// divide a nanosecond's multiple, so that no time has a part below one: that is as
// fine as a Decision tells a debt.
func TestAgainstTheTable(t *testing.T) {
	counts := rapid.SampledFrom([]int64{1, 2, 5, 8, 1000, 15625, 1e9})
	rapid.Check(t, func(rt *rapid.T) {
		c := newCell()
		d := open(t, resp.Config{Limiter: c})
		defer d.close()
		client := d.client()
		tat := new(big.Rat)
		for range rapid.IntRange(1, 12).Draw(rt, "calls") {
			c.step(fraction(rapid.Int64Range(0, 3e9).Draw(rt, "step"), 1e9))
			burst := rapid.Int64Range(0, 20).Draw(rt, "burst")
			count := counts.Draw(rt, "count")
			period := rapid.Int64Range(1, 100).Draw(rt, "period")
			quantity := rapid.Int64Range(-3, 22).Draw(rt, "quantity")
			var want []int64
			want, tat = expected(c.now, tat, burst, count, period, quantity)
			words := []string{"CL.THROTTLE", "k"}
			for _, n := range []int64{burst, count, period, quantity} {
				words = append(words, strconv.FormatInt(n, 10))
			}
			if diff := cmp.Diff(numbers(want...), client.do(words...)); diff != "" {
				rt.Fatalf("%v at %v: (-want +got)\n%s", words, c.now, diff)
			}
		}
	})
}

func TestThrottleErrors(t *testing.T) {
	const usage = "Usage: cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]"
	d := open(t, resp.Config{Limiter: limiterFunc(allowing)})
	defer d.close()
	c := d.client()
	for words, want := range map[string]string{
		"":                                  "Cell error: Store error: " + usage,
		"k 1 2":                             "Cell error: Store error: " + usage,
		"k 1 2 3 4 5":                       "Cell error: Store error: " + usage,
		"k x 1 1":                           "Cell error: Store error: Couldn't parse as integer: x",
		"k 1 1.5 1":                         "Cell error: Store error: Couldn't parse as integer: 1.5",
		"k 1 1 9223372036854775808":         "Cell error: Store error: Couldn't parse as integer: 9223372036854775808",
		"k -1 0 1 y":                        "Cell error: Store error: Couldn't parse as integer: y",
		"k 1 0 1":                           "Cell error: Store error: Zero rates are not supported",
		"k 1 1 0":                           "Cell error: Store error: Zero rates are not supported",
		"k 1 -1 1":                          "Cell error: Store error: Zero rates are not supported",
		"k -1 1 1":                          "Cell error: Store error: max_burst is out of range",
		"k 9223372036854775807 1 1":         "Cell error: Store error: max_burst is out of range",
		strings.Repeat("k", 513) + " 1 1 1": "ERR key must be 1 to 512 bytes",
	} {
		c.expect("-"+want+"\r\n", append([]string{"CL.THROTTLE"}, strings.Fields(words)...)...)
	}
	c.expect("-ERR key must be 1 to 512 bytes\r\n", "CL.THROTTLE", "", "1", "1", "1")
	c.expect("-Cell error: Store error: Couldn't parse as integer: 1  :9\r\n", "CL.THROTTLE", "k", "1\r\n:9", "1", "1")
	c.expect(numbers(0, 2, 0, -1, 0), "CL.THROTTLE", strings.Repeat("k", 512), "1", "1", "1")
}

func TestRequestOfThrottle(t *testing.T) {
	var got bucketring.Request
	d := open(t, resp.Config{Unavailable: bucketring.UnavailableDeny, Limiter: immediate{allowing,
		func(req *bucketring.Request, d *bucketring.Decision) bool {
			if !cmp.Equal(*d, bucketring.Decision{}) {
				t.Errorf("the decision to be made is %+v before", *d)
			}
			got, *d = *req, bucketring.Decision{Allowed: true, Node: "n1"}
			return true
		}}})
	defer d.close()
	c := d.client()
	want := func(verb bucketring.Verb, cost, amount, burst int64, per time.Duration) {
		t.Helper()
		if diff := cmp.Diff(bucketring.Request{Verb: verb, Key: "\x00k", Cost: cost, Limits: []bucketring.Limit{{
			Name: "cl.throttle", ID: resp.ThrottleID, Algorithm: bucketring.Cell, Amount: amount, Burst: burst, Per: per,
			Unavailable: bucketring.UnavailableDeny,
		}}}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if err := got.Validate(); err != nil {
			t.Error(err)
		}
	}
	c.do("CL.THROTTLE", "\x00k", "15", "30", "60")
	want(bucketring.VerbTake, 1, 30, 16, time.Minute)
	c.do("CL.THROTTLE", "\x00k", "0", "1", "9223372036", "0")
	want(bucketring.VerbPeek, 0, 1, 1, 9223372036*time.Second)
	c.do("CL.THROTTLE", "\x00k", "9223372036854775806", "1", "9223372037", "-9223372036854775808")
	want(bucketring.VerbRefund, math.MaxInt64, 1, math.MaxInt64, math.MaxInt64)
	c.do("CL.THROTTLE", "\x00k", "15", "30", "60", "-3")
	want(bucketring.VerbRefund, 3, 30, 16, time.Minute)
}

func TestWhatTheLimiterSays(t *testing.T) {
	second := bucketring.LimitState{RetryAfter: 1500 * time.Millisecond, ResetAfter: time.Second, Remaining: -5}
	never := bucketring.LimitState{RetryAfter: bucketring.Never, Remaining: 99}
	for name, tt := range map[string]struct {
		d    bucketring.Decision
		err  error
		want string
	}{
		"denied":      {bucketring.Decision{LimitState: second}, nil, numbers(1, 10, 0, 2, 1)},
		"never":       {bucketring.Decision{LimitState: never}, nil, numbers(1, 10, 10, -1, 0)},
		"at once":     {bucketring.Decision{}, nil, numbers(1, 10, 0, 1, 0)},
		"closed":      {bucketring.Decision{Source: bucketring.SourceFallbackClosed, LimitState: never}, nil, numbers(1, 10, 0, 1, 1)},
		"open":        {bucketring.Decision{Source: bucketring.SourceFallbackOpen, Allowed: true}, nil, numbers(0, 10, 0, -1, 0)},
		"invalid":     {bucketring.Decision{}, bucketring.Invalidf("so\r\nnot"), "-ERR so  not\r\n"},
		"unavailable": {bucketring.Decision{}, &bucketring.NotOwner{Hint: "n2"}, "-UNAVAILABLE bucketring: not the owner of this key, ask n2\r\n"},
		"other":       {bucketring.Decision{}, errors.New("broken"), "-UNAVAILABLE broken\r\n"},
		"too late":    {bucketring.Decision{}, context.DeadlineExceeded, "-UNAVAILABLE no node could decide this command in time, try again in 1 second\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, resp.Config{Limiter: limiterFunc(
				func(context.Context, bucketring.Request) (bucketring.Decision, error) { return tt.d, tt.err })})
			defer d.close()
			d.client().expect(tt.want, "CL.THROTTLE", "k", "9", "1", "1")
		})
	}
}

// TestMoreThanEverFits knows without the Limiter that waiting cannot help.
func TestMoreThanEverFits(t *testing.T) {
	d := open(t, resp.Config{Limiter: limiterFunc(
		func(context.Context, bucketring.Request) (d bucketring.Decision, err error) {
			d.LimitState.RetryAfter = time.Minute
			return d, nil
		})})
	defer d.close()
	d.client().talk(said{"CL.THROTTLE k 9 1 1 10", numbers(1, 10, 0, 60, 0)}, said{"CL.THROTTLE k 9 1 1 11", numbers(1, 10, 0, -1, 0)})
}

func TestWholeSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		-1: 0, 0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, math.MaxInt64 - 1: 9223372037, math.MaxInt64: math.MaxInt64,
	} {
		if got := resp.WholeSeconds(d); got != want {
			t.Errorf("WholeSeconds(%d) = %d, want %d", d, got, want)
		}
	}
}
