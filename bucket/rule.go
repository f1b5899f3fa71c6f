// rule.go prepares a limit for counting: which form its state has, and the
// integers that the steps use.

package bucket

import (
	"math"
	"math/bits"
	"time"

	"github.com/bucketring/bucketring"
)

// A form says how a counter's state is laid out.
type form uint8

const (
	formGCRA   form = iota // word: theoretical arrival time in units
	formWindow             // word: number of the window, count
	formFirst              // word: start of the window plus 1, count
	formWide               // several words under a lock
)

const (
	// maxUnit bounds the units of a microsecond, so that a word lasts 13 years
	// of uptime beside a bucket that takes MaxRefill to fill.
	maxUnit = 1 << 14
	// firstBits are the bits of the count in formFirst; the others hold 8 years
	// of milliseconds.
	firstBits = 25
	// calendarBits are likewise for windows that begin at a Unix second: the
	// others hold it until the year 2254.
	calendarBits = 29

	tick = int64(time.Microsecond)
	inMs = int64(time.Millisecond)

	// lastTime leaves room above any reading for the end of a window and for the
	// refill of a bucket.
	lastTime = math.MaxInt64 - 2*int64(bucketring.MaxRefill)
	// firstDate is the earliest date of a calendar, at the end of 1971: so no
	// window begins before 1970, and a start of 0 is none.
	firstDate = 2 * 365 * aDay * inSec
)

// A rule is a limit ready for counting. It is immutable and shared.
type rule struct {
	limit    bucketring.Limit
	form     form
	capacity int64 // tokens

	// Token bucket: unit/token is the rate in tokens per microsecond, in lowest
	// terms. A microsecond is worth unit units and a token costs token of them.
	unit, token int64
	tick        int64 // in nanoseconds; the microsecond above, but for a Cell
	full        int64 // capacity in units; formGCRA only

	// Windows: bits of the count in the word, and the slots of a wide one.
	countBits uint
	slots     int64
	perSlots  int64 // that many slots make one Per

	calendar  *calendar // of calendar windows, months and years; else nil
	startUnit int64     // first-request windows begin at multiples of it
	firstWall int64     // an earlier wall clock is taken for this one

	// lastMono is the reading at which the monotonic clock stands still for this
	// limit, so that no sum can wrap: 8 years for a word, longer for wide states.
	lastMono int64
}

// newRule compiles a valid limit.
func newRule(l bucketring.Limit) *rule {
	r := &rule{limit: l, capacity: l.Capacity(), lastMono: lastTime, tick: tickOf(&l)}
	switch {
	case l.Kind != bucketring.KindRate:
		r.form = formWide
	case l.Refills():
		r.compileBucket()
	case l.Algorithm == bucketring.FixedWindow:
		r.compileWindow()
	case l.Algorithm == bucketring.SlidingWindow:
		r.form, r.slots, r.perSlots = formWide, 61, 60
	}
	return r
}

// tickOf is the grain of the clock of a limit that refills.
func tickOf(l *bucketring.Limit) int64 {
	if l.Algorithm == bucketring.Cell {
		return 1
	}
	return tick
}

func (r *rule) compileBucket() {
	r.unit, r.token = 1, 1 // an amount of 0: capacity 0, nothing ever fits
	if amount := r.limit.Amount; amount > 0 {
		per := int64(r.limit.Per) / r.tick
		g := gcd(amount, per)
		r.unit, r.token = amount/g, per/g
	}
	if r.unit > maxUnit || r.limit.Algorithm == bucketring.Cell {
		r.form = formWide
		return
	}
	r.full = r.capacity * r.token // at most MaxRefill·maxUnit, below 2^61
	if last := (math.MaxInt64 - r.full) / r.unit; last < lastTime/tick {
		r.lastMono = last * tick
	}
}

func (r *rule) compileWindow() {
	r.slots, r.perSlots = 1, 1
	first, byDate := r.limit.Align == bucketring.AlignFirstRequest, r.limit.Align == bucketring.AlignCalendar
	if byDate || r.limit.Per%time.Second != 0 {
		r.calendar, r.countBits, r.startUnit, r.firstWall = newCalendar(&r.limit), calendarBits, inSec, firstDate
	}
	switch {
	case first:
		r.form = formFirst
		if r.calendar == nil {
			r.countBits, r.startUnit = firstBits, inMs
			r.lastMono = (1<<(63-firstBits) - 2) * inMs
		}
	case byDate:
		r.form = formWindow
	default:
		windows := uint64(math.MaxInt64 / int64(r.limit.Per)) // that a wall clock can show
		r.form, r.countBits = formWindow, 63-uint(bits.Len64(windows))
	}
	if r.capacity>>r.countBits != 0 {
		r.form, r.lastMono = formWide, lastTime
	}
}

// mono and wall are the clocks within the range that the sums can bear.
func (r *rule) mono(now Now) int64 { return min(max(now.Mono, 0), r.lastMono) }
func (r *rule) wall(now Now) int64 { return min(max(now.Wall, r.firstWall), lastTime) }

// is reports whether a limit of the same counter has the same amounts.
func (r *rule) is(l *bucketring.Limit) bool {
	return r.limit.Amount == l.Amount && r.limit.Burst == l.Burst && r.limit.Per == l.Per
}

// step is the one table of the algorithms whose state is a word.
func (r *rule) step(op *Op, word uint64, now Now, res *Result) uint64 {
	switch r.form {
	case formGCRA:
		return r.stepGCRA(op, word, now, res)
	case formWindow:
		return r.stepWindow(op, word, now, res)
	default:
		return r.stepFirst(op, word, now, res)
	}
}

// fits reports whether a word can bear a settlement of n tokens more.
func (r *rule) fits(word uint64, now Now, n int64) bool {
	if n <= 0 {
		return true
	}
	if r.form == formGCRA {
		return r.debtFits(word, now, n)
	}
	_, count := r.unpack(word)
	return n < 1<<r.countBits-count
}

// unused reports whether the word says no more than an absent counter would.
func (r *rule) unused(word uint64, now Now) bool {
	switch r.form {
	case formGCRA:
		return int64(word) <= r.clock(now)
	case formWindow:
		window, count := r.unpack(word)
		return count == 0 || window < r.window(now)
	default:
		start, count := r.unpack(word)
		return !started{start, count}.open(r, now)
	}
}

// gcd is Euclid's greatest common divisor of two positive numbers.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// ceilDiv divides a ≥ 0 by b > 0 and rounds up. Most units are 1, and a division takes as
// long as ten sums.
func ceilDiv(a, b int64) int64 {
	if b == 1 {
		return a
	}
	q := a / b
	if q*b < a {
		q++
	}
	return q
}
