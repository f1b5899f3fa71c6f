// schedule_test.go turns bytes into a schedule of calls and carries it out at a
// table and at the exact model side by side. Random tests, rapid and the fuzzer
// share it, so a failure of one replays in the others.

package bucket_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// shapes are the kinds of limits: every algorithm, and every alignment that it
// can have.
func shapes() []bucketring.Limit {
	var all []bucketring.Limit
	for _, a := range bucketring.Algorithms() {
		for _, align := range []bucketring.Align{bucketring.AlignEpoch, bucketring.AlignFirstRequest, bucketring.AlignCalendar} {
			l := bucketring.Limit{Name: "x", Algorithm: a, Align: align, Amount: 10, Per: time.Minute}
			if align == bucketring.AlignCalendar {
				l.Zone = "Europe/Berlin"
			}
			if l.Validate() == nil {
				all = append(all, l)
			}
		}
	}
	return all
}

// shapeName is short, for the names of subtests.
func shapeName(l bucketring.Limit) string {
	if l.Align == bucketring.AlignEpoch {
		return l.Algorithm.String()
	}
	return l.Align.String()
}

// pers are 6 windows that a shape can have.
func pers(shape bucketring.Limit) []time.Duration {
	const day = 24 * time.Hour
	switch shape.Align {
	case bucketring.AlignCalendar:
		return []time.Duration{time.Minute, time.Hour, day, 7 * day, bucketring.Month, bucketring.Year}
	case bucketring.AlignFirstRequest:
		return []time.Duration{time.Second, 7 * time.Second, time.Hour, bucketring.MaxPer, bucketring.Month, bucketring.Year}
	}
	return []time.Duration{time.Second, 7 * time.Second, time.Minute, time.Hour, 86399 * time.Second, bucketring.MaxPer}
}

// A tape is what a schedule is made from. At its end it yields zeros.
type tape struct{ data []byte }

func (b *tape) byte() byte {
	if len(b.data) == 0 {
		return 0
	}
	c := b.data[0]
	b.data = b.data[1:]
	return c
}

func (b *tape) pick(n int) int { return int(b.byte()) % n }

// any is an int64 of any size, 0 or more.
func (b *tape) any() int64 {
	var raw [8]byte
	n := 1 + b.pick(8) // small numbers as often as large ones
	for i := range n {
		raw[i] = b.byte()
	}
	return int64(binary.LittleEndian.Uint64(raw[:]) & math.MaxInt64)
}

// near is base, or a little beside it, within int64 and not below 0.
func (b *tape) near(base int64) int64 {
	d := int64(b.pick(5)) - 2
	if d > 0 && base > math.MaxInt64-d {
		return base
	}
	return max(base+d, 0)
}

// limit is another amount for a shape.
func (b *tape) limit(l bucketring.Limit) bucketring.Limit {
	// The last ones are awkward: they do not fit a word, or just do.
	amounts := [...]int64{0, 1, 7, 10, 1 << 14, 1e6, 1 << 25, 1 << 26, 1 << 29, 1 << 41, 100000007, math.MaxInt64}
	if i := b.pick(len(amounts) + 4); i < len(amounts) {
		l.Amount = b.near(amounts[i])
	} else {
		l.Amount = b.any()
	}
	switch b.pick(6) {
	case 0:
		l.Burst = b.near(l.Amount)
	case 1:
		l.Burst = b.any()
	case 2:
		l.Burst = l.Amount / 2
	case 3:
		l.Burst = min(l.Amount, math.MaxInt64/4) * 4 // for the longest Per, MaxRefill
	}
	if l.Validate() != nil {
		l.Burst = 0
	}
	return l
}

// A pair is a table and the models of its counters.
type pair struct {
	table  *bucket.Table
	limits []bucketring.Limit // amounts of one counter
	models map[string]*model
	now    bucket.Now
	log    []string
}

// run carries out one schedule and returns what differs first, or nothing. ops
// bounds its length; calls counts what was done.
func run(data []byte, ops int) (calls int, fault string) {
	tape := &tape{data}
	all := shapes()
	shape := all[tape.pick(len(all))]
	shape.Per = pers(shape)[tape.pick(6)]
	p := &pair{table: bucket.New(bucket.Config{}), models: map[string]*model{}}
	for range 3 {
		p.limits = append(p.limits, tape.limit(shape))
	}
	starts := [...]int64{0, 1e18, math.MaxInt64, bucket.FormOf(p.limits[0]).LastMono}
	p.now = bucket.Now{Mono: tape.near(starts[tape.pick(4)]), Wall: tape.near(starts[tape.pick(3)])}
	for calls < ops && len(tape.data) > 0 {
		calls++
		if fault := p.step(tape); fault != "" {
			last := p.log[max(len(p.log)-25, 0):]
			return calls, fmt.Sprintf("%s\nin a schedule that ends with\n%s", fault, strings.Join(last, "\n"))
		}
	}
	return calls, ""
}

// step is one call or one sweep.
func (p *pair) step(tape *tape) string {
	p.now = tape.next(p.now, p.limits[0])
	verbs := [...]bucketring.Verb{bucketring.VerbTake, bucketring.VerbTake, bucketring.VerbTake, bucketring.VerbTake,
		bucketring.VerbPeek, bucketring.VerbRefund, bucketring.VerbReset}
	verb := tape.pick(len(verbs) + 1)
	if verb == len(verbs) {
		return p.sweep()
	}
	choice := tape.byte()
	l := p.limits[0]
	if choice&0x0f == 0 { // seldom, or no counter would live long
		l = p.limits[int(choice>>4)%len(p.limits)]
	}
	key := "k" + string('0'+choice>>4&1)
	n, spent := tape.cost(l), int64(0)
	if choice>>5 == 0 {
		spent = tape.cost(l)
	}
	return p.call(verbs[verb], key, l, spent, n)
}

// next moves the clocks, mostly forward.
func (b *tape) next(now bucket.Now, l bucketring.Limit) bucket.Now {
	d, to := int64(0), func(at int64) bucket.Now { return bucket.Now{Mono: at, Wall: at} }
	switch kind := b.pick(64); {
	case kind < 16:
	case kind < 32:
		d = int64(l.Per) / 64 * int64(b.byte())
	case kind < 40:
		d = int64(l.Per) / max(l.Amount, 1) * int64(b.pick(4))
	case kind < 48:
		d = b.any() % int64(l.Per)
	case kind < 52:
		d = int64(b.byte()) // nanoseconds
	case kind < 56:
		d = -(b.any() % int64(l.Per)) // a reading that another call has overtaken
	case kind < 58:
		d = b.any()
	case kind == 58:
		d = -b.any()
	case kind == 59:
		return to(b.near(0))
	case kind == 60:
		return to(b.near(math.MaxInt64))
	case kind == 61:
		return to(b.near(bucket.FormOf(l).LastMono))
	case kind == 62:
		return to(-b.any())
	}
	return bucket.Now{Mono: plus(now.Mono, d), Wall: plus(now.Wall, d)}
}

// plus is a sum that stays within int64.
func plus(a, d int64) int64 {
	switch sum := a + d; {
	case d > 0 && sum < a:
		return math.MaxInt64
	case d < 0 && sum > a:
		return math.MinInt64
	default:
		return sum
	}
}

// cost is a number of tokens, 0 or more.
func (b *tape) cost(l bucketring.Limit) int64 {
	switch b.pick(8) {
	case 0:
		return b.near(l.Capacity())
	case 1:
		return b.near(l.Capacity() / 2)
	case 2:
		return b.any()
	case 3:
		return l.Capacity() / 16 * int64(b.pick(16))
	default:
		return int64(b.pick(4))
	}
}

// call does one verb at the table and at the model.
func (p *pair) call(verb bucketring.Verb, key string, l bucketring.Limit, spent, n int64) string {
	what := fmt.Sprintf("at mono %d wall %d %v %d of %q with %v", p.now.Mono, p.now.Wall, verb, n, key, l)
	if spent > 0 {
		what += fmt.Sprintf(" spent %d", spent)
	}
	got := p.table.Do(verb, bucket.Counter{Key: key, Limit: &l, Spent: spent}, p.now, n)
	want := p.want(verb, key, l, spent, n)
	p.log = append(p.log, fmt.Sprintf("%s: %+v", what, got))
	if got != want {
		return fmt.Sprintf("%s = %+v, want %+v", what, got, want)
	}
	if got, want := p.table.Stats().Keys, int64(len(p.models)); got != want {
		return fmt.Sprintf("Keys after %s = %d, want %d", what, got, want)
	}
	return ""
}

// want is the model's answer.
func (p *pair) want(verb bucketring.Verb, key string, l bucketring.Limit, spent, n int64) bucket.Result {
	m, res := p.models[key].call(verb, l, p.now, spent, n)
	if m != nil {
		p.models[key] = m
	}
	return res
}

// sweep compares which counters go.
func (p *pair) sweep() string {
	want := 0
	for key, m := range p.models {
		if m.unused(p.now) {
			delete(p.models, key)
			want++
		}
	}
	got := p.table.Sweep(p.now, 1)
	p.log = append(p.log, fmt.Sprintf("at mono %d wall %d sweep: %d", p.now.Mono, p.now.Wall, got))
	if got != want {
		return fmt.Sprintf("Sweep(%+v) = %d, want %d", p.now, got, want)
	}
	return ""
}
