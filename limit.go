package bucketring

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"sync"
	"time"
)

// A Kind says what a limit counts. The zero value is KindRate.
type Kind uint8

const (
	// KindRate counts what is taken within a time.
	KindRate Kind = iota
	// KindConcurrency counts leases that are out at one moment.
	KindConcurrency
	// KindLevel is a number that goes up and down and never expires.
	KindLevel
	// KindCap compares the cost of one call and counts nothing.
	KindCap
	// KindRegister is a few numbers that a Step changes. Only doors have such limits; they
	// have no text form.
	KindRegister
	numKinds
)

var kindNames = [...]string{"rate", "concurrency", "level", "cap", "register"}

// String returns the kind's name as it is written in policies.
func (k Kind) String() string {
	if k < numKinds {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// An Algorithm is a rule for counting. The zero value is TokenBucket.
type Algorithm uint8

const (
	// TokenBucket starts with its burst and refills continuously: in any
	// interval of length Per at most burst + amount pass.
	TokenBucket Algorithm = iota
	// FixedWindow counts from zero in each window; around a boundary up to
	// twice the amount can pass within Per.
	FixedWindow
	// SlidingWindow counts the last Per in 60 slots: in any interval of length
	// Per at most the amount passes.
	SlidingWindow
	numAlgorithms

	// Cell is a TokenBucket of Burst tokens as redis-cell has it: Per is any time, also
	// many years, the clock counts in nanoseconds, and a call with another amount finds
	// the bucket as many seconds from full as the one before left it. Only the Redis door
	// has such limits; they have no text form.
	Cell Algorithm = numAlgorithms
)

var algorithmNames = [...]string{"token_bucket", "fixed_window", "sliding_window"}

// Algorithms lists every algorithm. Parsers, fuzz tests and benchmarks iterate
// over it, so that a new one is covered without an edit.
func Algorithms() []Algorithm {
	all := make([]Algorithm, numAlgorithms)
	for i := range all {
		all[i] = Algorithm(i)
	}
	return all
}

// String returns the algorithm's name as it is written in limits.
func (a Algorithm) String() string {
	if a < numAlgorithms {
		return algorithmNames[a]
	}
	if a == Cell {
		return "cell"
	}
	return fmt.Sprintf("algorithm(%d)", uint8(a))
}

// An Align says where the windows of a FixedWindow begin.
type Align uint8

const (
	// AlignEpoch begins windows at multiples of Per since 1970-01-01 UTC.
	AlignEpoch Align = iota
	// AlignFirstRequest begins a window with the first charge while none is
	// open, rounded up to a whole millisecond.
	AlignFirstRequest
	// AlignCalendar begins windows with the minute, hour, day, ISO week, month or
	// year of the clocks in Zone.
	AlignCalendar
	numAligns
)

// String returns the alignment's name as it is written in policies.
func (a Align) String() string {
	if a < numAligns {
		return [...]string{"epoch", "first_request", "calendar"}[a]
	}
	return fmt.Sprintf("align(%d)", uint8(a))
}

// Unavailable says what to answer while a key's owner cannot be asked.
type Unavailable uint8

const (
	// UnavailableLocal lets the asked node enforce its share of the limit.
	UnavailableLocal Unavailable = iota
	// UnavailableAllow lets the call pass.
	UnavailableAllow
	// UnavailableDeny refuses the call.
	UnavailableDeny
	numUnavailables
)

var unavailableNames = [...]string{"local", "allow", "deny"}

// String returns the mode's name as it is written in limits.
func (u Unavailable) String() string {
	if u < numUnavailables {
		return unavailableNames[u]
	}
	return fmt.Sprintf("unavailable(%d)", uint8(u))
}

// Accuracy says how far a busy node may answer without asking the owner each
// time.
type Accuracy uint8

const (
	// Leased lets nodes hold small slices of the limit: see Limit.Lendable.
	Leased Accuracy = iota
	// Strict asks the owner for every call.
	Strict
	// Approx allows a node to be less exact than that. So far it is treated as Leased.
	Approx
	numAccuracies
)

var accuracyNames = [...]string{"leased", "strict", "approx"}

// String returns the accuracy's name as it is written in limits.
func (a Accuracy) String() string {
	if a < numAccuracies {
		return accuracyNames[a]
	}
	return fmt.Sprintf("accuracy(%d)", uint8(a))
}

// A Limit is what one counter is held to, such as 10 requests per minute. It is a
// comparable value.
//
// A counter belongs to a key and to what SameCounter compares. Amount, Burst, TTL
// and MaxAge are not part of that: a call with another amount adjusts the counter
// and keeps what was used.
type Limit struct {
	// Name appears in answers; Parse writes "inline", "inline-2" and so on.
	Name string
	// ID tells the limits of policies apart; 0 is for limits that came with the
	// call, which differ in their windows only.
	ID        uint64
	Kind      Kind
	Algorithm Algorithm // KindRate only, like Align, Burst, Per and Zone
	// Align is for FixedWindow only.
	Align       Align
	Unavailable Unavailable
	Accuracy    Accuracy
	// Precision is the number of decimals kept, 0 to MaxPrecision: Amount, Burst
	// and costs count in 10^-Precision.
	Precision uint8
	// Durable has a call that takes from the limit answered only once a second node knows of
	// it: a crash of one node forgets nothing. Only policies have such limits.
	Durable bool
	// Slack is how much of Capacity may be out in slices at once, in 1/100 %, up to
	// MaxSlack; 0 means DefaultSlack.
	Slack uint16
	// Amount is the number of tokens per Per, 0 or more; 0 always denies. For the
	// other kinds it is the most that may be out, or the highest level.
	Amount int64
	// Burst is the capacity of a TokenBucket; 0 means Amount.
	Burst int64
	// Per is a whole number of seconds, from 1 s to MaxPer, or Month or Year.
	Per time.Duration
	// Zone is the IANA name of the time zone of AlignCalendar, and of Month and
	// Year; empty means UTC.
	Zone string
	// TTL is how long a lease of KindConcurrency lives after it was taken or
	// renewed, at least 1 s; MaxAge, if not 0, how long at most after it was taken.
	TTL, MaxAge time.Duration
}

const (
	// MaxPer is the longest window.
	MaxPer = 366 * 24 * time.Hour
	// Month is a Per that follows the calendar. As a duration it is the longest
	// month, and a nanosecond more, which no other window has.
	Month = 31*24*time.Hour + 1
	// Year is likewise the Per of a calendar year.
	Year = MaxPer + 1
	// MaxRefill is the longest time that an empty TokenBucket may need to fill.
	MaxRefill = 4 * MaxPer
	// MaxPrecision is the most decimals that a limit keeps.
	MaxPrecision = 6
	// MaxSlack is the Slack that lends all.
	MaxSlack = 10_000
	// DefaultSlack is the Slack of 5 % that a 0 means.
	DefaultSlack = 500
	// DefaultTTL is the TTL of concurrency limits that came with the call.
	DefaultTTL = time.Minute
	// Unlimited is the Amount of a level or of leases that are counted and not denied.
	Unlimited = math.MaxInt64
)

// Capacity is the most that can be taken at one instant.
func (l *Limit) Capacity() int64 {
	if l.Refills() && l.Burst > 0 {
		return l.Burst
	}
	return l.Amount
}

// fewestLent is how many tokens must be lendable at once, or asking for each is as well.
const fewestLent = 4

// Lendable is how many tokens may be out in slices at once: nodes that do not own the key
// give these out without asking. It is 0 for limits that are strict, by choice or because
// they are small. Over any time w a TokenBucket may let Lendable more pass than its burst
// and what w refills, a SlidingWindow as much more than its amount; a FixedWindow lets no more
// pass.
func (l *Limit) Lendable() int64 {
	if l.Kind != KindRate || l.Accuracy == Strict || l.Algorithm == Cell {
		return 0
	}
	slack, capacity := int64(l.Slack), l.Capacity()
	if slack == 0 {
		slack = DefaultSlack
	}
	out := capacity/MaxSlack*slack + capacity%MaxSlack*slack/MaxSlack
	if out < fewestLent*tokenOf[min(int(l.Precision), MaxPrecision)] {
		return 0
	}
	return out
}

// tokenOf is a whole token by precision.
var tokenOf = [MaxPrecision + 1]int64{1, 10, 100, 1000, 10_000, 100_000, 1_000_000}

// Refills reports whether the algorithm is a bucket that refills continuously.
func (l *Limit) Refills() bool { return l.Algorithm == TokenBucket || l.Algorithm == Cell }

// Window is what Per says of the identity of the counter. It is 0 for a bucket of a
// policy: with another Per it fills at another rate, and keeps its tokens.
func (l *Limit) Window() time.Duration {
	if l.Algorithm == Cell || l.Algorithm == TokenBucket && l.ID != 0 {
		return 0
	}
	return l.Per
}

// SameCounter reports whether l and o share one counter for one key.
func (l *Limit) SameCounter(o *Limit) bool {
	return l.ID == o.ID && l.Kind == o.Kind && l.Algorithm == o.Algorithm && l.Align == o.Align && l.Precision == o.Precision &&
		(l.Per == o.Per || l.Window() == o.Window()) && l.Zone == o.Zone
}

// Validate reports whether the limit can be enforced. Its error is ErrInvalid.
func (l *Limit) Validate() error {
	switch {
	case l.Algorithm > Cell || l.Align >= numAligns ||
		l.Unavailable >= numUnavailables || l.Accuracy >= numAccuracies:
		return Invalidf("limit %q has an unknown algorithm, align, unavailable or accuracy", l.Name)
	case l.Kind >= numKinds:
		return Invalidf("limit %q has the unknown kind %d", l.Name, l.Kind)
	case l.Amount < 0 || l.Burst < 0:
		return Invalidf("limit %q has a negative amount or burst", l.Name)
	case l.Slack > MaxSlack:
		return Invalidf("limit %q has a slack of %d, it is in 1/100 %% and at most %d", l.Name, l.Slack, MaxSlack)
	case l.Precision > MaxPrecision:
		return Invalidf("limit %q has a precision of %d, at most %d decimals are kept", l.Name, l.Precision, MaxPrecision)
	case l.Kind == KindRate && l.Algorithm == Cell:
		return l.validateCell()
	case l.Kind == KindRate:
		return l.validateRate()
	case l.Kind == KindCap:
		return Invalidf("limit %q is a cap, which has no counter", l.Name)
	case l.Kind == KindRegister:
		return l.validateRegister()
	}
	return l.validateHeld()
}

func (l *Limit) validateRate() error {
	switch {
	case l.Per != Month && l.Per != Year && (l.Per < time.Second || l.Per > MaxPer || l.Per%time.Second != 0):
		return Invalidf("limit %q has a window of %v, it must be whole seconds from 1s to 366d", l.Name, l.Per)
	case l.Burst > 0 && l.Algorithm != TokenBucket:
		return Invalidf("limit %q has a burst, which only a token bucket can have", l.Name)
	case l.Burst > 0 && l.Amount == 0:
		return Invalidf("limit %q has a burst but no amount to refill it", l.Name)
	case l.Align != AlignEpoch && l.Algorithm != FixedWindow:
		return Invalidf("limit %q is aligned, which only a fixed window can be", l.Name)
	case l.Align == AlignEpoch && l.Per%time.Second != 0:
		return Invalidf("limit %q has months or years, which need a calendar or a first request to begin", l.Name)
	case l.Align == AlignCalendar && !calendarPer(l.Per):
		return Invalidf("limit %q follows the calendar, which has no window of %v: use 1m, 1h, 1d, 1w, 1month or 1y", l.Name, l.Per)
	case l.Zone != "" && l.Align == AlignEpoch:
		return Invalidf("limit %q has a time zone, which only calendar windows follow", l.Name)
	case l.TTL != 0 || l.MaxAge != 0:
		return Invalidf("limit %q has a ttl, which only concurrency limits have", l.Name)
	case l.refillTooLong():
		return Invalidf("limit %q would need more than 4 years to refill a burst of %d: lower the burst", l.Name, l.Burst)
	}
	if _, err := l.Location(); err != nil {
		return Invalidf("limit %q has the unknown time zone %q: use an IANA name such as Europe/Berlin", l.Name, l.Zone)
	}
	return nil
}

func (l *Limit) validateCell() error {
	if l.Per < time.Second || l.Amount < 1 || l.Burst < 1 || l.Align != 0 || l.Zone != "" || l.TTL != 0 || l.MaxAge != 0 || l.Precision != 0 {
		return Invalidf("limit %q of algorithm cell needs an amount, a burst and a window of 1s or more, and has nothing else", l.Name)
	}
	return nil
}

func (l *Limit) validateRegister() error {
	if *l != (Limit{Name: l.Name, ID: l.ID, Kind: l.Kind}) || l.ID == 0 {
		return Invalidf("limit %q is a register, which has an id and nothing else", l.Name)
	}
	return nil
}

// validateHeld is for the kinds that no time refills.
func (l *Limit) validateHeld() error {
	leased := l.Kind == KindConcurrency
	switch {
	case l.Per != 0 || l.Burst != 0 || l.Algorithm != 0 || l.Align != 0 || l.Zone != "":
		return Invalidf("limit %q is a %v limit, which has no window, burst, algorithm, align or zone", l.Name, l.Kind)
	case leased && l.TTL < time.Second:
		return Invalidf("limit %q has a ttl of %v, it must be at least 1s", l.Name, l.TTL)
	case !leased && (l.TTL != 0 || l.MaxAge != 0):
		return Invalidf("limit %q has a ttl, which only concurrency limits have", l.Name)
	case l.MaxAge != 0 && l.MaxAge < l.TTL:
		return Invalidf("limit %q has a most age of %v, which is less than its ttl", l.Name, l.MaxAge)
	}
	return nil
}

func calendarPer(per time.Duration) bool {
	const day = 24 * time.Hour
	return per == time.Minute || per == time.Hour || per == day || per == 7*day || per == Month || per == Year
}

// zones keeps the time zones that were loaded: reading one takes as long as a
// thousand decisions. There are a few hundred names.
var zones sync.Map // string -> *time.Location

// Location returns the time zone of the limit's windows.
func (l *Limit) Location() (*time.Location, error) {
	if l.Zone == "" || l.Zone == "UTC" {
		return time.UTC, nil
	}
	if known, ok := zones.Load(l.Zone); ok {
		return known.(*time.Location), nil
	}
	if l.Zone == "Local" {
		return nil, Invalidf("time zone Local differs between nodes")
	}
	zone, err := time.LoadLocation(l.Zone)
	if err == nil {
		zones.Store(l.Zone, zone)
	}
	return zone, err
}

// refillTooLong reports whether Burst/Amount windows last longer than MaxRefill.
func (l *Limit) refillTooLong() bool {
	if l.Burst <= l.Amount {
		return false
	}
	hi, lo := bits.Mul64(uint64(l.Burst), uint64(l.Per))
	if hi >= uint64(l.Amount) {
		return true
	}
	refill, _ := bits.Div64(hi, lo, uint64(l.Amount))
	return refill > uint64(MaxRefill)
}

// String returns the text from which Parse makes the same limit, its name
// apart. What only policies can say has no text form and shows as an option.
func (l Limit) String() string {
	amount := strconv.FormatInt(l.Amount, 10)
	if l.Kind != KindRate {
		return l.heldText(amount)
	}
	text := amount + "/" + windowText(l.Per)
	switch {
	case l.Align == AlignCalendar && l.Per == 7*24*time.Hour:
		text = amount + "/w@" + cmp.Or(l.Zone, "UTC")
	case l.Align == AlignCalendar:
		text += "@" + cmp.Or(l.Zone, "UTC")
	case l.Algorithm != TokenBucket:
		text += " algorithm=" + l.Algorithm.String()
	}
	if l.Burst > 0 {
		text += " burst=" + strconv.FormatInt(l.Burst, 10)
	}
	if l.Align == AlignFirstRequest {
		text += " align=" + l.Align.String()
	}
	return text + l.modesText()
}

// heldText is String for the kinds that no time refills.
func (l *Limit) heldText(amount string) string {
	if l.Kind != KindConcurrency {
		return amount + " kind=" + l.Kind.String()
	}
	text := amount + " concurrent"
	if l.TTL != DefaultTTL {
		text += " ttl=" + countedText(l.TTL)
	}
	return text + l.modesText()
}

func (l *Limit) modesText() (text string) {
	if l.Accuracy != Leased {
		text += " accuracy=" + l.Accuracy.String()
	}
	if l.Unavailable != UnavailableLocal {
		text += " unavailable=" + l.Unavailable.String()
	}
	return text
}

// countedText is windowText with a count, also of 1.
func countedText(d time.Duration) string {
	text := windowText(d)
	if isLetter(text[0]) {
		return "1" + text
	}
	return text
}

// windowText writes a window with the largest unit that divides it.
func windowText(per time.Duration) string {
	switch per {
	case Month:
		return "month"
	case Year:
		return "y"
	}
	for _, u := range [...]struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}} {
		if per%u.size != 0 {
			continue
		}
		if count := per / u.size; count != 1 {
			return strconv.FormatInt(int64(count), 10) + u.name
		}
		return u.name
	}
	if per == time.Second {
		return "s"
	}
	return strconv.FormatInt(int64(per/time.Second), 10) + "s"
}
