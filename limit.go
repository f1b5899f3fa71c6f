package bucketring

import (
	"fmt"
	"math/bits"
	"strconv"
	"time"
)

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
	numAligns
)

// String returns the alignment's name as it is written in policies.
func (a Align) String() string {
	if a < numAligns {
		return [...]string{"epoch", "first_request"}[a]
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
// time. All three ask the owner each time until leases exist.
type Accuracy uint8

const (
	// Leased lets nodes hold small slices of the limit.
	Leased Accuracy = iota
	// Strict asks the owner for every call.
	Strict
	// Approx counts locally and reports afterwards.
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

// A Limit is a rate: Amount tokens per Per. It is a comparable value.
//
// A counter belongs to a key and to what SameCounter compares. Amount and Burst
// are not part of that: a call with another amount adjusts the counter and
// keeps what was used.
type Limit struct {
	// Name appears in answers; Parse writes "inline", "inline-2" and so on.
	Name      string
	Algorithm Algorithm
	// Align is for FixedWindow only.
	Align       Align
	Unavailable Unavailable
	Accuracy    Accuracy
	// Amount is the number of tokens per Per, 0 or more; 0 always denies.
	Amount int64
	// Burst is the capacity of a TokenBucket; 0 means Amount.
	Burst int64
	// Per is a whole number of seconds, from 1 s to MaxPer.
	Per time.Duration
}

const (
	// MaxPer is the longest window.
	MaxPer = 366 * 24 * time.Hour
	// MaxRefill is the longest time that an empty TokenBucket may need to fill.
	MaxRefill = 4 * MaxPer
)

// Capacity is the most that can be taken at one instant.
func (l *Limit) Capacity() int64 {
	if l.Algorithm == TokenBucket && l.Burst > 0 {
		return l.Burst
	}
	return l.Amount
}

// SameCounter reports whether l and o share one counter for one key.
func (l *Limit) SameCounter(o *Limit) bool {
	return l.Per == o.Per && l.Algorithm == o.Algorithm && l.Align == o.Align
}

// Validate reports whether the limit can be enforced. Its error is ErrInvalid.
func (l *Limit) Validate() error {
	switch {
	case l.Algorithm >= numAlgorithms || l.Align >= numAligns ||
		l.Unavailable >= numUnavailables || l.Accuracy >= numAccuracies:
		return Invalidf("limit %q has an unknown algorithm, align, unavailable or accuracy", l.Name)
	case l.Per < time.Second || l.Per > MaxPer || l.Per%time.Second != 0:
		return Invalidf("limit %q has a window of %v, it must be whole seconds from 1s to 366d", l.Name, l.Per)
	case l.Amount < 0 || l.Burst < 0:
		return Invalidf("limit %q has a negative amount or burst", l.Name)
	case l.Burst > 0 && l.Algorithm != TokenBucket:
		return Invalidf("limit %q has a burst, which only a token bucket can have", l.Name)
	case l.Burst > 0 && l.Amount == 0:
		return Invalidf("limit %q has a burst but no amount to refill it", l.Name)
	case l.Align != AlignEpoch && l.Algorithm != FixedWindow:
		return Invalidf("limit %q is aligned, which only a fixed window can be", l.Name)
	case l.refillTooLong():
		return Invalidf("limit %q would need more than 4 years to refill a burst of %d: lower the burst", l.Name, l.Burst)
	}
	return nil
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
// apart. An AlignFirstRequest has no text form and shows as an option.
func (l Limit) String() string {
	text := strconv.FormatInt(l.Amount, 10) + "/" + windowText(l.Per)
	if l.Burst > 0 {
		text += " burst=" + strconv.FormatInt(l.Burst, 10)
	}
	if l.Algorithm != TokenBucket {
		text += " algorithm=" + l.Algorithm.String()
	}
	if l.Align != AlignEpoch {
		text += " align=" + l.Align.String()
	}
	if l.Accuracy != Leased {
		text += " accuracy=" + l.Accuracy.String()
	}
	if l.Unavailable != UnavailableLocal {
		text += " unavailable=" + l.Unavailable.String()
	}
	return text
}

// windowText writes a window with the largest unit that divides it.
func windowText(per time.Duration) string {
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
