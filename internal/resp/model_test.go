package resp_test

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring/internal/resp"
)

// A model is what the document says of counters, in numbers without bounds.
type model struct {
	now  *big.Int // ms since 1970
	keys map[string]*modelled
}

type modelled struct{ value, end *big.Int } // end is nil without an expiry

var (
	lowest  = new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 63))
	highest = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 63), big.NewInt(1))
)

func fits(n *big.Int) bool { return n.Cmp(lowest) >= 0 && n.Cmp(highest) <= 0 }

func number(word string) *big.Int {
	n, ok := new(big.Int).SetString(word, 10)
	if !ok {
		panic(word)
	}
	return n
}

// get returns what a read of a key sees.
func (m *model) get(key string) *modelled {
	if k := m.keys[key]; k != nil && (k.end == nil || k.end.Cmp(m.now) > 0) {
		return k
	}
	return nil
}

// put stores a counter; one that has ended is none.
func (m *model) put(key string, value, end *big.Int) {
	m.keys[key] = &modelled{value, end}
	if m.get(key) == nil {
		delete(m.keys, key)
	}
}

// after is what follows an option, nil if it is not there.
func after(words []string, option string) *big.Int {
	if i := slices.Index(words, option); i >= 0 {
		return number(words[i+1])
	}
	return nil
}

// end is when the options want a counter to end; nil if they do not say.
func (m *model) end(words []string) (end *big.Int, invalid bool) {
	for _, unit := range []struct {
		option   string
		ms       int64
		relative bool
	}{{"EX", 1000, true}, {"PX", 1, true}, {"EXAT", 1000, false}, {"PXAT", 1, false}} {
		if n := after(words, unit.option); n != nil {
			if end = new(big.Int).Mul(n, big.NewInt(unit.ms)); unit.relative {
				end.Add(end, m.now)
			}
			return end, n.Sign() <= 0 || !fits(end)
		}
	}
	return nil, false
}

// do carries a command out and returns its reply as wanted understands it.
func (m *model) do(words []string) string {
	command, key, rest := words[0], words[1], words[2:]
	k := m.get(key)
	switch command {
	case "GET":
		if k == nil {
			return "nil"
		}
		return fmt.Sprintf("'%v'", k.value)
	case "DEL", "EXISTS":
		if command == "DEL" {
			delete(m.keys, key)
		}
		return map[bool]string{true: "0", false: "1"}[k == nil]
	case "PTTL":
		switch {
		case k == nil:
			return "-2"
		case k.end == nil:
			return "-1"
		}
		return new(big.Int).Sub(k.end, m.now).String()
	case "INCRBY", "DECRBY":
		return m.plus(command, key, k, number(rest[0]))
	case "EXPIRE", "PEXPIRE":
		return m.expire(command, key, k, rest)
	case "SET":
		return m.set(key, k, rest)
	}
	return m.increx(key, k, rest)
}

func (m *model) plus(command, key string, k *modelled, n *big.Int) string {
	if command == "DECRBY" {
		if n.Cmp(lowest) == 0 {
			return "-ERR decrement would overflow"
		}
		n.Neg(n)
	}
	var end *big.Int
	if k != nil {
		n.Add(n, k.value)
		end = k.end
	}
	if !fits(n) {
		return overflow
	}
	m.put(key, n, end)
	return n.String()
}

func (m *model) expire(command, key string, k *modelled, words []string) string {
	end := number(words[0])
	if command == "EXPIRE" {
		end.Mul(end, big.NewInt(1000))
	}
	bare := fits(end)
	if end.Add(end, m.now); !bare || !fits(end) {
		return fmt.Sprintf("-ERR invalid expire time in '%s' command", strings.ToLower(command))
	}
	has := func(option string) bool { return slices.Contains(words, option) }
	old := new(big.Int).Lsh(big.NewInt(1), 100) // never
	if k != nil && k.end != nil {
		old = k.end
	}
	if k == nil || has("NX") && k.end != nil || has("XX") && k.end == nil || has("GT") && end.Cmp(old) <= 0 || has("LT") && end.Cmp(old) >= 0 {
		return "0"
	}
	m.put(key, k.value, end)
	return "1"
}

func (m *model) set(key string, k *modelled, words []string) string {
	end, invalid := m.end(words)
	if invalid {
		return "-ERR invalid expire time in 'set' command"
	}
	reply, old := "OK", "nil"
	if k != nil {
		old = fmt.Sprintf("'%v'", k.value)
	}
	if k != nil && slices.Contains(words, "NX") || k == nil && slices.Contains(words, "XX") {
		reply = "nil"
	} else {
		if k != nil && slices.Contains(words, "KEEPTTL") {
			end = k.end
		}
		m.put(key, number(words[0]), end)
	}
	if slices.Contains(words, "GET") {
		return old
	}
	return reply
}

func (m *model) increx(key string, k *modelled, words []string) string {
	end, invalid := m.end(words)
	low, high, n := after(words, "LBOUND"), after(words, "UBOUND"), after(words, "BYINT")
	switch {
	case low == nil && high == nil:
		low, high = lowest, highest
	case low == nil:
		low = lowest
	case high == nil:
		high = highest
	}
	switch {
	case low.Cmp(high) > 0:
		return "-ERR LBOUND can't be greater than UBOUND"
	case invalid:
		return "-ERR invalid expire time in 'increx' command"
	case n == nil:
		n = big.NewInt(1)
	}
	old := new(big.Int)
	var kept *big.Int
	if k != nil {
		old, kept = k.value, k.end
	}
	value := new(big.Int).Add(old, n)
	if value.Cmp(low) < 0 || value.Cmp(high) > 0 {
		if !slices.Contains(words, "SATURATE") {
			return fmt.Sprintf("[%v 0]", old)
		}
		if value.Cmp(low) < 0 {
			value = low
		} else {
			value = high
		}
	}
	added := new(big.Int).Sub(value, old)
	if !fits(added) {
		return overflow
	}
	if slices.Contains(words, "PERSIST") {
		kept = nil
	} else if end != nil && (kept == nil || !slices.Contains(words, "ENX")) {
		kept = end
	}
	m.put(key, value, kept)
	return fmt.Sprintf("[%v %v]", value, added)
}

// numbersDrawn are small, near the ends of what fits, or any.
func numbersDrawn() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(-4, 12), rapid.SampledFrom([]int64{-1 << 63, -1<<63 + 1, 1<<63 - 1, 1<<63 - 2, 1 << 62, -1 << 62}), rapid.Int64())
}

// commandDrawn is one that has no error in its words.
func commandDrawn(rt *rapid.T) (words []string) {
	drawn := func(label string) string { return strconv.FormatInt(numbersDrawn().Draw(rt, label), 10) }
	maybe := func(options ...string) {
		if rapid.Bool().Draw(rt, "with "+options[0]) {
			words = append(words, options...)
		}
	}
	time := func(orElse string) {
		switch unit := rapid.SampledFrom([]string{"", orElse, "EX", "PX", "EXAT", "PXAT"}).Draw(rt, "unit"); unit {
		case "", orElse:
			words = append(words, strings.Fields(unit)...)
		default:
			n := rapid.OneOf(rapid.Int64Range(-1, 5), rapid.Int64Range(1, 5000), rapid.Int64Range(epoch-2, epoch+6),
				rapid.Int64Range(epoch*1000, epoch*1000+9000), numbersDrawn()).Draw(rt, "time")
			words = append(words, unit, strconv.FormatInt(n, 10))
			if orElse == "PERSIST" {
				maybe("ENX")
			}
		}
	}
	words = []string{
		rapid.SampledFrom([]string{"GET", "DEL", "EXISTS", "PTTL", "INCRBY", "DECRBY", "EXPIRE", "PEXPIRE", "SET", "SET", "INCREX", "INCREX", "INCREX"}).Draw(rt, "command"),
		rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "key"),
	}
	switch words[0] {
	case "INCRBY", "DECRBY":
		words = append(words, drawn("n"))
	case "EXPIRE", "PEXPIRE":
		words = append(words, strconv.FormatInt(rapid.OneOf(rapid.Int64Range(-1, 5000), numbersDrawn()).Draw(rt, "n"), 10))
		words = append(words, strings.Fields(rapid.SampledFrom([]string{"", "NX", "XX", "GT", "LT", "XX LT", "GT XX"}).Draw(rt, "condition"))...)
	case "SET":
		words = append(words, drawn("n"))
		words = append(words, strings.Fields(rapid.SampledFrom([]string{"", "NX", "XX"}).Draw(rt, "condition"))...)
		time("KEEPTTL")
		maybe("GET")
	case "INCREX":
		maybe("BYINT", drawn("n"))
		maybe("LBOUND", drawn("low"))
		maybe("UBOUND", drawn("high"))
		maybe("SATURATE")
		time("PERSIST")
	}
	return words
}

// TestAgainstTheModel makes random commands at random times.
func TestAgainstTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newCell()
		d := open(t, resp.Config{Limiter: c})
		defer d.close()
		client := d.client()
		m := &model{keys: map[string]*modelled{}}
		for range rapid.IntRange(1, 30).Draw(rt, "commands") {
			c.step(fraction(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 3e6)).Draw(rt, "µs"), 1e6))
			m.now = big.NewInt(c.wall() / 1e6)
			words := commandDrawn(rt)
			if want, got := wanted(m.do(words), 2), client.do(words...); got != want {
				rt.Fatalf("%q at %v = %q, want %q", words, m.now, got, want)
			}
		}
	})
}

// TestWindow lets callers come at random and counts what passes: from the first that does
// it is no more than the bound until the window is over, and no less if enough come.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bound, seconds := rapid.Int64Range(1, 5).Draw(rt, "bound"), rapid.Int64Range(1, 3).Draw(rt, "seconds")
		c := newCell()
		d := open(t, resp.Config{Limiter: c})
		defer d.close()
		client := d.client()
		words := strings.Fields(fmt.Sprintf("INCREX k UBOUND %d EX %d ENX", bound, seconds))
		var end, passed int64 // of the window
		for range rapid.IntRange(1, 60).Draw(rt, "calls") {
			c.step(fraction(rapid.Int64Range(0, 700).Draw(rt, "ms"), 1000))
			now := c.wall()
			if now >= end {
				end, passed = now+seconds*1e9, 0
			}
			want := numbers(passed, 0)
			if passed < bound {
				passed++
				want = numbers(passed, 1)
			}
			if got := client.do(words...); got != want {
				rt.Fatalf("at %d, %d before the window ends: %q, want %q", now, end-now, got, want)
			}
		}
	})
}
