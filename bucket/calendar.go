// calendar.go finds the windows of clocks and calendars in a time zone.
//
// Two rules make them windows, that is, parts of time that abut:
//
// A day begins with the first moment whose date is that day's or a later one;
// weeks, months and years begin with their first day. So a day lasts 23 or 25
// hours when the zone shifts, begins at 01:00 where 00:00 does not exist, and
// does not exist at all where the zone skips it. Where a clock goes back over
// midnight, the piece that comes again belongs to the day that has begun.
//
// An hour or a minute ends when the clock shows another one, and when the clock
// goes back: an hour that comes again is another window.

package bucket

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
)

const (
	inSec  = int64(time.Second)
	aDay   = int64(24 * 60 * 60)   // seconds
	offUTC = int64(26 * time.Hour) // more than any zone differs from UTC
)

// A span is a window: Unix seconds from start until just before end.
type span struct{ start, end int64 }

// A calendar finds the windows of one Per in one zone.
type calendar struct {
	zone *time.Location
	per  time.Duration
	// present is the span that was asked for last. Finding one takes longer than
	// ten decisions, and nearly all ask for the same.
	present atomic.Pointer[span]
}

// newCalendar returns the calendar of a valid limit. A zone that is no longer
// known is better counted in UTC than not at all.
func newCalendar(l *bucketring.Limit) *calendar {
	zone, err := l.Location()
	if err != nil {
		zone = time.UTC
	}
	return &calendar{zone: zone, per: l.Per}
}

// span returns the window of a moment.
func (c *calendar) span(at int64) span {
	if s := c.present.Load(); s != nil && s.start <= at && at < s.end {
		return *s
	}
	found := new(span)
	if c.per < 24*time.Hour {
		*found = c.byClock(at)
	} else {
		*found = c.byDate(at)
	}
	c.present.Store(found)
	return *found
}

// byClock returns the minute or hour of a moment.
func (c *calendar) byClock(at int64) span {
	size := int64(c.per) / inSec
	here := c.offsetAt(at)
	label := (at + here.seconds) / size // the minutes or hours on the clock since 1970
	s := span{label*size - here.seconds, (label+1)*size - here.seconds}
	for o := here; s.start < o.start; {
		before := c.offsetAt(o.start - 1)
		if before.seconds > o.seconds || (o.start-1+before.seconds)/size != label {
			s.start = o.start
			break
		}
		o, s.start = before, label*size-before.seconds
	}
	for o := here; s.end > o.end; {
		next := c.offsetAt(o.end)
		if next.seconds < o.seconds || (o.end+next.seconds)/size != label {
			s.end = o.end
			break
		}
		o, s.end = next, (label+1)*size-next.seconds
	}
	return s
}

// byDate returns the day, week, month or year of a moment. The loop goes on where
// a later one has begun, although the date went back.
func (c *calendar) byDate(at int64) span {
	day := (at + c.offsetAt(at).seconds) / aDay
	for {
		first, next := c.days(day)
		if s := (span{c.begins(first * aDay), c.begins(next * aDay)}); at < s.end {
			return s
		}
		day = next
	}
}

// days returns the first day of the window that a day is in, and that of the
// next window, in days since 1970.
func (c *calendar) days(day int64) (first, next int64) {
	year, month, _ := time.Unix(day*aDay, 0).UTC().Date()
	date := func(year int, month time.Month) int64 {
		return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Unix() / aDay
	}
	switch c.per {
	case bucketring.Year:
		return date(year, time.January), date(year+1, time.January)
	case bucketring.Month:
		return date(year, month), date(year, month+1)
	case 7 * 24 * time.Hour:
		monday := day - (day+3)%7 // day 0 was a Thursday
		return monday, monday + 7
	}
	return day, day + 1
}

// later returns the end of a month or year that begins at some moment: the same
// day of the next one at the same local time, or its last day.
func (c *calendar) later(start int64) int64 {
	local := start + c.offsetAt(start).seconds
	year, month, day := time.Unix(local, 0).UTC().Date()
	if c.per == bucketring.Year {
		year++
	} else {
		month++
	}
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return c.begins(time.Date(year, month, min(day, last), 0, 0, 0, 0, time.UTC).Unix() + local%aDay)
}

// begins returns the first moment at which the local clock shows a time or a
// later one. The time is given as Unix seconds of the same time in UTC.
func (c *calendar) begins(local int64) int64 {
	for o := c.offsetAt(local - offUTC/inSec); ; o = c.offsetAt(o.end) {
		if at := max(local-o.seconds, o.start); at < o.end {
			return at
		}
	}
}

// An offset is how far a zone is ahead of UTC from start until just before end.
// The next or last one may be as far: tables also list changes of names.
type offset struct{ start, end, seconds int64 }

func (c *calendar) offsetAt(at int64) offset {
	t := time.Unix(at, 0).In(c.zone)
	_, seconds := t.Zone()
	o := offset{math.MinInt64, math.MaxInt64, int64(seconds)}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		o.start = start.Unix()
	}
	if !end.IsZero() {
		o.end = end.Unix()
	}
	if o.end <= at { // package time counts 365 days for every year that no table has
		o.end = time.Date(time.Unix(at, 0).UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	return o
}
