package bucket_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// calendarWindows were looked up in the zones' histories and written down by hand,
// in UTC.
var calendarWindows = []struct {
	zone           string
	per            time.Duration
	at, start, end string
}{
	// Days of 23 and 25 hours, and the usual one between.
	{"America/New_York", day, "2024-03-10 12:00", "2024-03-10 05:00", "2024-03-11 04:00"},
	{"America/New_York", day, "2024-11-03 04:00", "2024-11-03 04:00", "2024-11-04 05:00"},
	{"America/New_York", day, "2024-11-04 04:59", "2024-11-03 04:00", "2024-11-04 05:00"},
	{"Europe/Berlin", day, "2024-03-31 00:30", "2024-03-30 23:00", "2024-03-31 22:00"},
	{"Europe/Berlin", day, "2024-10-27 00:30", "2024-10-26 22:00", "2024-10-27 23:00"},
	{"Europe/Berlin", day, "2024-07-01 00:30", "2024-06-30 22:00", "2024-07-01 22:00"},
	// 00:00 does not exist: the day begins at 01:00. The day before is whole.
	{"America/Sao_Paulo", day, "2018-11-04 03:00", "2018-11-04 03:00", "2018-11-05 02:00"},
	{"America/Sao_Paulo", day, "2018-11-04 02:59", "2018-11-03 03:00", "2018-11-04 03:00"},
	{"Asia/Beirut", day, "2024-03-31 00:00", "2024-03-30 22:00", "2024-03-31 21:00"},
	{"Africa/Cairo", day, "2024-04-26 00:00", "2024-04-25 22:00", "2024-04-26 21:00"},
	// 23:00 comes twice, at the end of a day.
	{"America/Sao_Paulo", day, "2019-02-17 02:30", "2019-02-16 02:00", "2019-02-17 03:00"},
	{"Africa/Cairo", day, "2024-10-31 21:30", "2024-10-30 21:00", "2024-10-31 22:00"},
	// 00:00 comes twice: in Havana as a whole hour, in St John's as a minute,
	// after which the clock shows the day before once more.
	{"America/Havana", day, "2024-11-03 05:30", "2024-11-03 04:00", "2024-11-04 05:00"},
	{"America/St_Johns", day, "2009-11-01 02:45", "2009-11-01 02:30", "2009-11-02 03:30"},
	{"America/St_Johns", bucketring.Month, "2009-11-01 02:45", "2009-11-01 02:30", "2009-12-01 03:30"},
	{"America/St_Johns", bucketring.Month, "2009-11-01 02:29", "2009-10-01 02:30", "2009-11-01 02:30"},
	// A shift of half an hour.
	{"Australia/Lord_Howe", day, "2024-04-06 20:00", "2024-04-06 13:00", "2024-04-07 13:30"},
	{"Australia/Lord_Howe", day, "2024-10-05 20:00", "2024-10-05 13:30", "2024-10-06 13:00"},
	{"Australia/Lord_Howe", time.Hour, "2024-04-06 14:50", "2024-04-06 14:00", "2024-04-06 15:00"},
	{"Australia/Lord_Howe", time.Hour, "2024-04-06 15:00", "2024-04-06 15:00", "2024-04-06 15:30"},
	{"Australia/Lord_Howe", time.Hour, "2024-10-05 15:29", "2024-10-05 14:30", "2024-10-05 15:30"},
	{"Australia/Lord_Howe", time.Hour, "2024-10-05 15:30", "2024-10-05 15:30", "2024-10-05 16:00"},
	// There was no 30 December 2011.
	{"Pacific/Apia", day, "2011-12-30 09:59", "2011-12-29 10:00", "2011-12-30 10:00"},
	{"Pacific/Apia", day, "2011-12-30 10:00", "2011-12-30 10:00", "2011-12-31 10:00"},
	{"Pacific/Apia", week, "2011-12-30 10:00", "2011-12-26 10:00", "2012-01-01 10:00"},
	{"Pacific/Apia", bucketring.Month, "2011-12-30 09:59", "2011-12-01 10:00", "2011-12-31 10:00"},
	// A quarter of an hour, at the beginning of a year.
	{"Asia/Kathmandu", bucketring.Year, "1986-06-01 00:00", "1985-12-31 18:30", "1986-12-31 18:15"},
	{"Asia/Kathmandu", time.Hour, "1985-12-31 18:30", "1985-12-31 18:30", "1985-12-31 19:15"},
	// Hours and minutes that come again are windows of their own.
	{"America/New_York", time.Hour, "2024-11-03 05:59", "2024-11-03 05:00", "2024-11-03 06:00"},
	{"America/New_York", time.Hour, "2024-11-03 06:00", "2024-11-03 06:00", "2024-11-03 07:00"},
	{"America/New_York", time.Hour, "2024-03-10 07:00", "2024-03-10 07:00", "2024-03-10 08:00"},
	{"America/St_Johns", time.Hour, "2009-11-01 02:30", "2009-11-01 02:30", "2009-11-01 02:31"},
	{"America/St_Johns", time.Hour, "2009-11-01 02:31", "2009-11-01 02:31", "2009-11-01 03:30"},
	{"America/New_York", time.Minute, "2024-11-03 05:30", "2024-11-03 05:30", "2024-11-03 05:31"},
	{"America/New_York", time.Minute, "2024-11-03 06:30", "2024-11-03 06:30", "2024-11-03 06:31"},
	{"Asia/Kolkata", time.Hour, "2024-06-01 12:00", "2024-06-01 11:30", "2024-06-01 12:30"},
	{"Asia/Colombo", time.Hour, "2006-04-14 18:10", "2006-04-14 18:00", "2006-04-14 18:30"}, // 00:30 is followed by 00:00
	{"Asia/Colombo", time.Hour, "2006-04-14 18:30", "2006-04-14 18:30", "2006-04-14 19:30"},
	// ISO weeks begin on Monday, whatever the year.
	{"UTC", week, "2020-12-31 12:00", "2020-12-28 00:00", "2021-01-04 00:00"},
	{"UTC", week, "2021-01-03 23:59", "2020-12-28 00:00", "2021-01-04 00:00"},
	{"UTC", week, "2021-01-04 00:00", "2021-01-04 00:00", "2021-01-11 00:00"},
	{"UTC", week, "2024-12-30 00:00", "2024-12-30 00:00", "2025-01-06 00:00"},
	{"Europe/Berlin", week, "2024-03-27 00:00", "2024-03-24 23:00", "2024-03-31 22:00"},
	// Months and years have their own lengths.
	{"", bucketring.Month, "2024-02-29 12:00", "2024-02-01 00:00", "2024-03-01 00:00"},
	{"", bucketring.Month, "2023-02-28 23:59", "2023-02-01 00:00", "2023-03-01 00:00"},
	{"", bucketring.Month, "2100-02-28 23:59", "2100-02-01 00:00", "2100-03-01 00:00"},
	{"Europe/Berlin", bucketring.Month, "2024-03-31 22:30", "2024-03-31 22:00", "2024-04-30 22:00"},
	{"America/New_York", bucketring.Year, "2025-01-01 04:59", "2024-01-01 05:00", "2025-01-01 05:00"},
	{"Asia/Tokyo", bucketring.Year, "2023-12-31 15:00", "2023-12-31 15:00", "2024-12-31 15:00"},
	// A year that no table of a zone has begins within an hour of its clocks.
	{"America/St_Johns", time.Hour, "2041-01-01 00:00", "2040-12-31 23:30", "2041-01-01 00:30"},
	{"America/St_Johns", time.Hour, "2040-12-31 23:45", "2040-12-31 23:30", "2041-01-01 00:30"},
	// The last day of a leap year that no table of a zone has.
	{"America/New_York", day, "2040-12-31 12:00", "2040-12-31 05:00", "2041-01-01 05:00"},
	{"Australia/Sydney", day, "2040-12-31 12:00", "2040-12-30 13:00", "2040-12-31 13:00"},
	{"Australia/Sydney", bucketring.Month, "2040-12-31 12:00", "2040-11-30 13:00", "2040-12-31 13:00"},
}

// TestCalendarWindows finds them.
func TestCalendarWindows(t *testing.T) {
	for _, tt := range calendarWindows {
		l := bucketring.Limit{Algorithm: bucketring.FixedWindow, Align: bucketring.AlignCalendar, Per: tt.per, Zone: tt.zone, Amount: 1}
		if err := l.Validate(); err != nil {
			t.Fatal(err)
		}
		start, end := bucket.NewCalendar(l).Span(moment(tt.at))
		if got, want := stamp(start)+" to "+stamp(end), tt.start+" to "+tt.end; got != want {
			t.Errorf("the window of %v in %s at %s = %s, want %s", tt.per, tt.zone, tt.at, got, want)
		}
	}
}

const minutes = "2006-01-02 15:04"

// moment reads a time of UTC as Unix seconds.
func moment(text string) int64 {
	at, err := time.Parse(minutes, text)
	if err != nil {
		panic(err)
	}
	return at.Unix()
}

func stamp(at int64) string { return time.Unix(at, 0).UTC().Format(minutes) }

// TestFirstRequestMonths: a month ends on the same day of the next one at the same
// local time, or on its last day.
func TestFirstRequestMonths(t *testing.T) {
	tests := []struct {
		zone       string
		per        time.Duration
		start, end string
	}{
		{"", bucketring.Month, "2024-01-15 10:30", "2024-02-15 10:30"},
		{"", bucketring.Month, "2024-01-31 10:30", "2024-02-29 10:30"},
		{"", bucketring.Month, "2023-01-31 10:30", "2023-02-28 10:30"},
		{"", bucketring.Month, "2023-01-29 00:00", "2023-02-28 00:00"},
		{"", bucketring.Month, "2024-03-31 23:59", "2024-04-30 23:59"},
		{"", bucketring.Month, "2023-12-31 23:59", "2024-01-31 23:59"},
		{"", bucketring.Year, "2024-02-29 12:00", "2025-02-28 12:00"},
		{"", bucketring.Year, "2023-02-28 12:00", "2024-02-28 12:00"},
		{"", bucketring.Year, "2023-12-31 00:00", "2024-12-31 00:00"},
		// Noon in New York, before and after it shifts.
		{"America/New_York", bucketring.Month, "2024-02-20 17:00", "2024-03-20 16:00"},
		{"America/New_York", bucketring.Month, "2024-10-20 16:00", "2024-11-20 17:00"},
		// 02:30 does not exist on 10 March 2024: the first moment after it.
		{"America/New_York", bucketring.Month, "2024-02-10 07:30", "2024-03-10 07:00"},
		// 01:30 comes twice on 3 November 2024: the first of them.
		{"America/New_York", bucketring.Month, "2024-10-03 05:30", "2024-11-03 05:30"},
		// 30 December 2011 is missing in Samoa.
		{"Pacific/Apia", bucketring.Month, "2011-11-30 22:00", "2011-12-30 10:00"},
	}
	for _, tt := range tests {
		l := bucketring.Limit{Algorithm: bucketring.FixedWindow, Align: bucketring.AlignFirstRequest, Per: tt.per, Zone: tt.zone, Amount: 1}
		if got := stamp(bucket.NewCalendar(l).Later(moment(tt.start))); got != tt.end {
			t.Errorf("%v in %s from %s ends at %s, want %s", tt.per, tt.zone, tt.start, got, tt.end)
		}
	}
}

// oddZones are those with the strangest histories since 1972.
var oddZones = []string{
	"UTC", "Africa/Cairo", "Africa/Casablanca", "Africa/Juba", "Africa/Monrovia", "America/Caracas",
	"America/Havana", "America/Indiana/Knox", "America/New_York", "America/Nuuk", "America/Sao_Paulo",
	"America/Scoresbysund", "America/St_Johns", "Antarctica/Casey", "Antarctica/Troll", "Asia/Amman",
	"Asia/Beirut", "Asia/Colombo", "Asia/Gaza", "Asia/Kathmandu", "Asia/Pyongyang", "Asia/Singapore", "Asia/Tehran",
	"Australia/Lord_Howe", "Australia/Sydney", "Europe/Berlin", "Europe/Dublin", "Europe/Volgograd",
	"Pacific/Apia", "Pacific/Fakaofo", "Pacific/Kiritimati", "Pacific/Kwajalein", "Pacific/Norfolk",
}

// checkSpan looks at one window and its neighbours. Each is found by a calendar of
// its own, so that none is remembered.
func checkSpan(zone string, per time.Duration, at int64) string {
	l := bucketring.Limit{Algorithm: bucketring.FixedWindow, Align: bucketring.AlignCalendar, Per: per, Zone: zone}
	span := func(at int64) (start, end int64) { return bucket.NewCalendar(l).Span(at) }
	start, end := span(at)
	what := fmt.Sprintf("the window of %v in %s at %d is from %d to %d", per, zone, at, start, end)
	if at < start || end <= at {
		return what
	}
	if next, _ := span(end); next != end {
		return fmt.Sprintf("%s, and the next begins at %d", what, next)
	}
	if _, before := span(start - 1); before != start {
		return fmt.Sprintf("%s, and the one before ends at %d", what, before)
	}
	if again, _ := span(end - 1); again != start {
		return fmt.Sprintf("%s, and its last second is in one from %d", what, again)
	}
	// A day was missing or came twice in places, and hours are cut by shifts.
	longest := int64((per + 25*time.Hour) / time.Second)
	if per < day {
		longest = int64(per / time.Second)
	}
	if end-start > longest || per >= week && end-start < longest/2 {
		return what + ", which is too long or too short"
	}
	return ""
}

// FuzzCalendar: every moment is in its window, windows abut, and their lengths are
// sane.
func FuzzCalendar(f *testing.F) {
	for i := range oddZones {
		f.Add(uint8(i), uint8(i), int64(1.7e9)+int64(i)*9e6)
	}
	f.Fuzz(func(t *testing.T, zone, per uint8, at int64) {
		pers := pers(bucketring.Limit{Align: bucketring.AlignCalendar})
		at = 2*366*86400 + (at&(1<<62-1))%8.9e9 // 1972 to 2253
		if fault := checkSpan(oddZones[int(zone)%len(oddZones)], pers[int(per)%len(pers)], at); fault != "" {
			t.Fatal(fault)
		}
	})
}

// TestCalendarEqualsTheClock walks the clocks of the oddest zones minute by
// minute, near their shifts, and compares.
func TestCalendarEqualsTheClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(oddZones).Draw(t, "zone")
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(8e7, 5e9).Draw(t, "at"), 0)
		if _, shift := at.In(zone).ZoneBounds(); !shift.IsZero() && rapid.Bool().Draw(t, "near") {
			at = shift.Add(time.Duration(rapid.IntRange(-90000, 90000).Draw(t, "off")) * time.Second)
		}
		for _, per := range []time.Duration{time.Hour, day} {
			l := bucketring.Limit{Align: bucketring.AlignCalendar, Per: per, Zone: name}
			got, _ := bucket.NewCalendar(l).Span(at.Unix())
			if want := walk(zone, per, at.Unix()); got != want {
				t.Fatalf("the window of %v in %s at %d begins at %d, want %d", per, name, at.Unix(), got, want)
			}
		}
	})
}

// walk returns the start of an hour or a day by looking at the clock of every
// minute of the last three days. Since 1972 all zones shift at whole minutes.
func walk(zone *time.Location, per time.Duration, at int64) (start int64) {
	last, lastHour, latest := "", "", ""
	for m := (at - int64(3*day/time.Second)) / 60 * 60; m <= at; m += 60 {
		clock := time.Unix(m, 0).In(zone)
		now, hour, date := clock.Format("2006-01-02 15:04"), clock.Format("2006-01-02 15"), clock.Format("2006-01-02")
		if per == day && date > latest || per == time.Hour && (hour != lastHour || now < last) {
			start = m
		}
		last, lastHour, latest = now, hour, max(latest, date)
	}
	return start
}
