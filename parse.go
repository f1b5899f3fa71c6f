// parse.go reads limits from text such as "100/s burst=20, 5000/h".

package bucketring

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// maxLimitText bounds the text of all limits of a call, in bytes.
const maxLimitText = 1024

// Parse reads one to MaxLimits limits separated by commas:
//
//	limit      = ( rate | concurrent ) { blank option }
//	rate       = amount "/" [count] unit [ "@" zone ]
//	concurrent = count blank "concurrent"
//	amount     = digits [ "." digits ] [ size ]       "25", "1.5MB"
//	unit       = s | m | h | d | w | month | y and their longer names
//	option     = burst=AMOUNT | algorithm=NAME | ttl=COUNT UNIT
//	           | accuracy=strict|leased|approx | unavailable=local|allow|deny
//
// A rate is a TokenBucket with a burst of its amount unless an option says
// otherwise. One in a time zone is a FixedWindow that follows the calendar there,
// which months and years must. Leases of a concurrent limit last for DefaultTTL.
// The error is ErrInvalid and names the limit, the column and, for a misspelt
// word, the nearest right one.
func Parse(text string) ([]Limit, error) {
	if len(text) > maxLimitText {
		return nil, Invalidf("limit has %d bytes, at most %d are allowed", len(text), maxLimitText)
	}
	limits := make([]Limit, 0, min(1+strings.Count(text, ","), MaxLimits))
	for part := range strings.SplitSeq(text, ",") {
		if len(limits) == MaxLimits {
			return nil, Invalidf("more than %d limits in one call", MaxLimits)
		}
		l := Limit{Name: inlineName(len(limits))}
		p := parser{text: strings.Trim(part, " "), no: len(limits) + 1}
		if err := p.limit(&l); err != nil {
			return nil, err
		}
		limits = append(limits, l)
	}
	return limits, nil
}

// MustParse is Parse for limits that are known at compile time; it panics on
// an error.
func MustParse(text string) []Limit {
	limits, err := Parse(text)
	if err != nil {
		panic("bucketring: MustParse(" + strconv.Quote(text) + "): " + err.Error())
	}
	return limits
}

// inlineName names the i-th limit of a call; the first needs no number.
func inlineName(i int) string {
	if i == 0 {
		return "inline"
	}
	return "inline-" + strconv.Itoa(i+1)
}

// A parser walks the text of one limit. Columns count from 1 within it.
type parser struct {
	text string
	pos  int
	no   int
}

func (p *parser) errorf(col int, format string, args ...any) error {
	return Invalidf("limit %d, column %d: "+format, append([]any{p.no, col + 1}, args...)...)
}

func (p *parser) limit(l *Limit) error {
	if p.text == "" {
		return p.errorf(0, "a limit is missing: write one such as 100/m")
	}
	amount, err := p.amount()
	if err != nil {
		return err
	}
	l.Amount = amount
	if held, err := p.concurrent(l); err != nil {
		return err
	} else if !held {
		if err := p.window(l); err != nil {
			return err
		}
	}
	if err := p.options(l); err != nil {
		return err
	}
	if err := l.Validate(); err != nil {
		return p.errorf(0, "%s", err)
	}
	return nil
}

// take returns the longest run of bytes that ok accepts, and moves behind it.
func (p *parser) take(ok func(byte) bool) string {
	start := p.pos
	for p.pos < len(p.text) && ok(p.text[p.pos]) {
		p.pos++
	}
	return p.text[start:p.pos]
}

func isBlank(c byte) bool  { return c == ' ' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isWord(c byte) bool   { return c != ' ' && c != '=' }

// rest shows where an error is: the next word, or that the text ended.
func (p *parser) rest() string {
	if p.pos == len(p.text) {
		return "the end"
	}
	word, _, _ := strings.Cut(p.text[p.pos:], " ")
	if word == "" {
		return "a blank"
	}
	if len(word) > 20 {
		word = strings.ToValidUTF8(word[:20], "") + "..."
	}
	return strconv.Quote(word)
}

var sizes = map[string]int64{
	"": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50,
}

// amount reads a number that comes out whole after its size suffix.
func (p *parser) amount() (int64, error) {
	start := p.pos
	whole := p.take(isDigit)
	if whole == "" {
		return 0, p.errorf(start, "expected a number, found %s", p.rest())
	}
	fraction := ""
	if p.pos < len(p.text) && p.text[p.pos] == '.' {
		p.pos++
		if fraction = p.take(isDigit); fraction == "" {
			return 0, p.errorf(p.pos, "expected digits after the point, found %s", p.rest())
		}
	}
	suffixAt := p.pos
	suffix := p.take(isLetter)
	size, ok := sizes[suffix]
	if !ok {
		return 0, p.errorf(suffixAt, "unknown size %q%s", suffix, Suggest(suffix, keys(sizes)))
	}
	// 123.45 with size s is 12345*s / 10^2.
	digits := strings.TrimLeft(whole+strings.TrimRight(fraction, "0"), "0")
	if digits == "" {
		return 0, nil
	}
	scale := len(strings.TrimRight(fraction, "0"))
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || scale > 18 {
		return 0, p.errorf(start, "number is too large or has too many digits")
	}
	hi, lo := bits.Mul64(n, uint64(size))
	den := uint64(math.Pow10(scale))
	if hi >= den {
		return 0, p.errorf(start, "number is too large: at most %d", int64(math.MaxInt64))
	}
	quo, rem := bits.Div64(hi, lo, den)
	if rem != 0 {
		return 0, p.errorf(start, "%s is not a whole number", p.text[start:p.pos])
	}
	if quo > math.MaxInt64 {
		return 0, p.errorf(start, "number is too large: at most %d", int64(math.MaxInt64))
	}
	return int64(quo), nil
}

var units = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hour": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
	"month": Month, "y": Year, "year": Year,
}

// concurrent reads " concurrent" if that follows, and makes the limit one.
func (p *parser) concurrent(l *Limit) (bool, error) {
	amount := p.text[:p.pos]
	if p.take(isBlank) == "" {
		return false, nil
	}
	at := p.pos
	word := p.take(isLetter)
	switch nearest := Suggest(word, []string{"concurrent"}); {
	case word != "concurrent" && nearest != "":
		return false, p.errorf(at, "unknown word %q%s", word, nearest)
	case word != "concurrent":
		p.pos = len(amount)
		return false, nil
	case amount[0] == '0' || strings.Trim(amount, "0123456789") != "":
		return false, p.errorf(0, "%q is not a count of 1 or more without leading zeros", amount)
	}
	l.Kind, l.TTL = KindConcurrency, DefaultTTL
	return true, nil
}

// window reads "/30s" or "/day@Europe/Berlin".
func (p *parser) window(l *Limit) error {
	if p.pos == len(p.text) || p.text[p.pos] != '/' {
		return p.errorf(p.pos, "expected \"/\" and a window such as /m or /30s, found %s", p.rest())
	}
	p.pos++
	countAt := p.pos
	count, err := p.count()
	if err != nil {
		return err
	}
	unitAt := p.pos
	unit, err := p.unit()
	if err != nil {
		return err
	}
	word := p.text[unitAt:p.pos]
	zoned := p.pos < len(p.text) && p.text[p.pos] == '@'
	switch {
	case !zoned && (unit == Month || unit == Year):
		return p.errorf(unitAt, "months and years need a time zone: write %s@UTC or another", word)
	case !zoned && count > int64(MaxPer/unit):
		return p.errorf(countAt, "window is too long: at most 366d")
	case zoned && !calendarPer(unit):
		return p.errorf(unitAt, "a window in a time zone is a minute, hour, day, week, month or year, not %q", word)
	case zoned && count != 1:
		return p.errorf(countAt, "a window in a time zone lasts one unit: write /%s", word)
	}
	l.Per = time.Duration(count) * unit
	if zoned {
		return p.zone(l)
	}
	return nil
}

// count reads the number before a unit; none means 1.
func (p *parser) count() (int64, error) {
	at := p.pos
	digits := p.take(isDigit)
	if digits == "" {
		return 1, nil
	}
	count, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || digits[0] == '0' {
		return 0, p.errorf(at, "%q is not a count of 1 or more without leading zeros", digits)
	}
	return count, nil
}

func (p *parser) unit() (time.Duration, error) {
	at := p.pos
	word := p.take(isLetter)
	unit, ok := units[word]
	switch {
	case word == "":
		return 0, p.errorf(at, "expected a unit such as s, m, h or d, found %s", p.rest())
	case !ok:
		return 0, p.errorf(at, "unknown unit %q%s", word, Suggest(word, keys(units)))
	}
	return unit, nil
}

// zone reads "@Europe/Berlin".
func (p *parser) zone(l *Limit) error {
	p.pos++
	at, rest := p.pos, p.rest()
	l.Algorithm, l.Align, l.Zone = FixedWindow, AlignCalendar, p.take(func(c byte) bool { return !isBlank(c) })
	if l.Zone == "" {
		return p.errorf(at, "expected a time zone such as UTC or Europe/Berlin, found %s", rest)
	}
	if _, err := l.Location(); err != nil {
		return p.errorf(at, "unknown time zone %s: use an IANA name such as Europe/Berlin", rest)
	}
	return nil
}

var optionNames = []string{"burst", "algorithm", "accuracy", "unavailable", "ttl"}

func (p *parser) options(l *Limit) error {
	seen := map[string]bool{}
	for p.pos < len(p.text) {
		if p.take(isBlank) == "" {
			return p.errorf(p.pos, "expected a blank before %s", p.rest())
		}
		at := p.pos
		name := p.take(isWord)
		if p.pos == len(p.text) || p.text[p.pos] != '=' {
			return p.errorf(at, "expected an option such as burst=20, found %s", strconv.Quote(name))
		}
		p.pos++
		if seen[name] {
			return p.errorf(at, "option %q is given twice", name)
		}
		seen[name] = true
		if err := p.option(l, name, at); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) option(l *Limit, name string, at int) error {
	switch name {
	case "burst", "algorithm":
		if l.Kind != KindRate {
			return p.errorf(at, "%s is for rates such as 10/m, not for concurrent", name)
		}
		if name == "burst" {
			return p.burst(l, at)
		}
		return p.algorithm(l)
	case "accuracy":
		i, err := p.choice("accuracy", accuracyNames[:])
		l.Accuracy = Accuracy(i)
		return err
	case "unavailable":
		i, err := p.choice("unavailable mode", unavailableNames[:])
		l.Unavailable = Unavailable(i)
		return err
	case "ttl":
		if l.Kind != KindConcurrency {
			return p.errorf(at, "ttl is for limits such as \"10 concurrent\", not for rates")
		}
		return p.ttl(l)
	}
	return p.errorf(at, "unknown option %q%s", name, Suggest(name, optionNames))
}

func (p *parser) burst(l *Limit, at int) error {
	if l.Align == AlignCalendar {
		return p.errorf(at, "burst is for token buckets, and a window in a time zone is none")
	}
	at = p.pos
	burst, err := p.amount()
	if err != nil {
		return err
	}
	if burst == 0 {
		return p.errorf(at, "burst must be at least 1")
	}
	l.Burst = burst
	return nil
}

func (p *parser) algorithm(l *Limit) error {
	at := p.pos
	i, err := p.choice("algorithm", algorithmNames[:])
	if err != nil {
		return err
	}
	if l.Algorithm = Algorithm(i); l.Align == AlignCalendar && l.Algorithm != FixedWindow {
		return p.errorf(at, "a window in a time zone is a fixed_window, not a %v", l.Algorithm)
	}
	return nil
}

func (p *parser) ttl(l *Limit) error {
	at := p.pos
	count, err := p.count()
	if err != nil {
		return err
	}
	unitAt := p.pos
	unit, err := p.unit()
	switch {
	case err != nil:
		return err
	case unit == Month || unit == Year:
		return p.errorf(unitAt, "a ttl does not follow the calendar: write days, such as 30d")
	case count > int64(MaxPer/unit):
		return p.errorf(at, "ttl is too long: at most 366d")
	}
	l.TTL = time.Duration(count) * unit
	return nil
}

// choice reads one of names and returns its index.
func (p *parser) choice(what string, names []string) (int, error) {
	at := p.pos
	word := p.take(isWord)
	for i, name := range names {
		if name == word {
			return i, nil
		}
	}
	return 0, p.errorf(at, "unknown %s %q%s", what, word, Suggest(word, names))
}

func keys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	return names
}
