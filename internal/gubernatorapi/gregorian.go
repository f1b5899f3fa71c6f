// gregorian.go finds the intervals of clocks and calendars in a time zone.
//
// Intervals abut. A day begins with the first moment whose date is that day's or a later
// one, so it has 23 or 25 hours where the zone shifts, and weeks, months and years begin
// with their first day. An hour ends when the clock shows another one, or is shifted.
// Minutes are those of UTC.

package gubernatorapi

import (
	"math"
	"sync/atomic"
	"time"
)

// The codes that a duration is with DURATION_IS_GREGORIAN.
const (
	aMinute = iota
	anHour
	aDay
	aWeek
	aMonth
	aYear
	numIntervals
)

const (
	hourSeconds = 60 * 60
	daySeconds  = 24 * hourSeconds
	farthest    = 26 * hourSeconds // more than any zone differs from UTC
)

// A calendar finds intervals of one code in one zone. It is safe for concurrent use.
type calendar struct {
	code int64
	zone *time.Location
	// latest is what was found last. Nearly all ask for the same.
	latest atomic.Pointer[[4]int64]
}

// around returns when the intervals before, at and after a moment begin, and when the
// last of them ends. All are ms since 1970.
func (c *calendar) around(now int64) [4]int64 {
	if b := c.latest.Load(); b != nil && b[1] <= now && now < b[2] {
		return *b
	}
	second := floor(now, 1000)
	start, end := c.interval(second)
	before, _ := c.interval(start - 1)
	_, after := c.interval(end)
	found := &[4]int64{before * 1000, start * 1000, end * 1000, after * 1000}
	c.latest.Store(found)
	return *found
}

// interval returns the one of a moment, in Unix seconds from start until before end.
func (c *calendar) interval(at int64) (start, end int64) {
	switch c.code {
	case aMinute:
		start = floor(at, 60) * 60
		return start, start + 60
	case anHour:
		here := c.offsetAt(at)
		start = floor(at+here.seconds, hourSeconds)*hourSeconds - here.seconds
		return max(start, here.start), min(start+hourSeconds, here.end)
	}
	day := floor(at+c.offsetAt(at).seconds, daySeconds)
	for { // until the end is later: a clock that goes back over midnight shows a day that is over
		first, next := c.days(day)
		if start, end = c.begins(first), c.begins(next); at < end {
			return start, end
		}
		day = next
	}
}

// days returns the first day of the interval that a day is in, and of the one after it.
// Days are counted from 1970.
func (c *calendar) days(day int64) (first, next int64) {
	year, month, _ := time.Unix(day*daySeconds, 0).UTC().Date()
	dayOf := func(year int, month time.Month) int64 {
		return floor(time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Unix(), daySeconds)
	}
	switch c.code {
	case aWeek:
		monday := floor(day+3, 7)*7 - 3 // day 0 was a Thursday
		return monday, monday + 7
	case aMonth:
		return dayOf(year, month), dayOf(year, month+1)
	case aYear:
		return dayOf(year, time.January), dayOf(year+1, time.January)
	}
	return day, day + 1
}

// begins returns the first moment whose date in the zone is a day's or a later one.
func (c *calendar) begins(day int64) int64 {
	midnight := day * daySeconds
	for o := c.offsetAt(midnight - farthest); ; o = c.offsetAt(o.end) {
		if at := max(midnight-o.seconds, o.start); at < o.end {
			return at
		}
	}
}

// An offset is how many seconds a zone is ahead of UTC from start until before end.
type offset struct{ seconds, start, end int64 }

func (c *calendar) offsetAt(at int64) offset {
	t := time.Unix(at, 0).In(c.zone)
	_, seconds := t.Zone()
	o := offset{int64(seconds), math.MinInt64, math.MaxInt64}
	from, until := t.ZoneBounds()
	if !from.IsZero() {
		o.start = from.Unix()
	}
	if !until.IsZero() {
		// Package time can name an end that is past already, in years beyond its tables.
		o.end = max(until.Unix(), at+1)
	}
	return o
}

// floor returns a / by, rounded down.
func floor(a, by int64) int64 {
	q := a / by
	if a%by < 0 {
		q--
	}
	return q
}
