// match.go finds out which limits a call meets, and what it costs them. It
// allocates nothing.

package policy

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bucketring/bucketring"
)

// A caller is what one call says of itself and when.
type caller struct {
	attributes
	cost  int64
	nanos int32
	now   time.Time
	// rate, if not nil, is what each rate is for this call.
	rate *Rate
	// tried are the conditions that were looked at, held those that hold, by number:
	// many limits share one.
	tried, held [conditionWords]uint64
	// loose takes conditions on what the call does not say as met: usage, reset and
	// levels are about a caller, not about one of its calls.
	loose bool
}

// matches reports whether w holds. It looks once a call at each condition that has
// a number for which there is room.
func (w *when) matches(c *caller) bool {
	if w.number >= conditionWords*64 {
		return w.holds(c)
	}
	at, bit := w.number/64, uint64(1)<<(w.number%64)
	if c.tried[at]&bit == 0 {
		c.tried[at] |= bit
		if w.holds(c) {
			c.held[at] |= bit
		}
	}
	return c.held[at]&bit != 0
}

func (w *when) holds(c *caller) bool {
	return w.oneOf(c, slotMethod, w.methods) && w.oneOf(c, slotPlan, w.plans) && w.onPath(c) && w.all(c)
}

// conditionWords bounds the conditions whose outcome a call keeps, 64 to a word.
const conditionWords = 4

// numberConditions gives equal conditions of a policy the same number.
func numberConditions(p *Policy) {
	numbers := map[string]int{}
	number := func(w *when) {
		text := fmt.Sprintf("%q %q %q %#v", w.methods, w.paths, w.plans, w.tests)
		n, ok := numbers[text]
		if !ok {
			n = len(numbers)
			numbers[text] = n
		}
		w.number = n
	}
	for i := range p.access {
		number(&p.access[i].when)
	}
	for i := range p.limits {
		number(&p.limits[i].when)
	}
}

// oneOf reports whether an attribute is one of words, which may be any if nil.
func (w *when) oneOf(c *caller, slot int, words []string) bool {
	switch {
	case words == nil:
		return true
	case !c.has(slot):
		return c.loose
	}
	return slices.Contains(words, c.values[slot])
}

func (w *when) onPath(c *caller) bool {
	switch {
	case w.paths == nil:
		return true
	case !c.has(slotPath):
		return c.loose
	}
	return w.pathOf(c) >= 0
}

// pathOf returns the index of the first pattern that the path fits, or -1.
func (w *when) pathOf(c *caller) int {
	for i := range w.paths {
		if w.paths[i].match(c.values[slotPath]) {
			return i
		}
	}
	return -1
}

func (w *when) all(c *caller) bool {
	for i := range w.tests {
		t := &w.tests[i]
		if has := c.has(t.slot); has == (t.op == testAbsent) {
			if has || !c.loose {
				return false
			}
		} else if t.op == testIs && !slices.Contains(t.values, c.values[t.slot]) {
			return false
		}
	}
	return true
}

// valueFor returns what a caller has of the limit: an override, else what its plan
// has, else the default.
func (l *limit) valueFor(c *caller) *value {
	if v := l.overrides.find(&c.attributes, c.now); v != nil {
		return v
	}
	if c.has(slotPlan) && l.byPlan != nil {
		if v, ok := l.byPlan[c.values[slotPlan]]; ok {
			return usable(v, &l.otherwise)
		}
	}
	return &l.otherwise
}

// usable is the default in place of a custom value that no override gave.
func usable(v, otherwise *value) *value {
	if v.kind == valueCustom && otherwise.kind != valueDeny {
		return otherwise
	}
	return v
}

// applies reports whether the call meets the limit, and with which value.
func (l *limit) applies(c *caller) (*value, bool) {
	if l.mode == modeOff || l.scope == scopeConnection || !l.when.matches(c) {
		return nil, false
	}
	if c.rate != nil && l.kind == bucketring.KindRate {
		return l.valueAt(c.rate), true
	}
	v := l.valueFor(c)
	if v.kind == valueUnlimited && v.limit == nil {
		return nil, false // nothing to count
	}
	return v, true
}

// costOf returns what the call costs the limit, in 10^-precision. names are the
// policy's, for errors.
func (l *limit) costOf(c *caller, names []string) (int64, error) {
	slot := l.cost.slot
	switch l.cost.from {
	case costNumber:
		return bucketring.Scale(c.cost, c.nanos, l.precision)
	case costContentLength:
		slot = slotContentLength
	}
	if slot < 0 || !c.has(slot) {
		return l.cost.otherwise, nil
	}
	n, ok := parseCost(c.values[slot], l.precision)
	if !ok {
		return 0, bucketring.Invalidf("attribute %q, the cost of limit %q, is not a number of 0 or more that fits", names[slot], l.name)
	}
	return n, nil
}

// parseCost reads a decimal number in 10^-precision, rounded up.
func parseCost(text string, precision uint8) (int64, bool) {
	n, decimals, point, more := int64(0), uint8(0), false, false
	digits := 0
	for i := range len(text) {
		c := text[i]
		switch {
		case c == '.' && !point && digits > 0 && i < len(text)-1:
			point = true
			continue
		case c < '0' || c > '9':
			return 0, false
		}
		digits++
		if point && decimals == precision {
			more = more || c != '0'
			continue
		}
		if n > (math.MaxInt64-int64(c-'0'))/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
		if point {
			decimals++
		}
	}
	for ; decimals < precision; decimals++ {
		if n > math.MaxInt64/10 {
			return 0, false
		}
		n *= 10
	}
	if more {
		if n == math.MaxInt64 {
			return 0, false
		}
		n++
	}
	return n, digits > 0
}
