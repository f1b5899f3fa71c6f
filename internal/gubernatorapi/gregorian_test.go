package gubernatorapi_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring/internal/gubernatorapi"
)

const (
	minute = iota
	hour
	day
	week
	month
	year
)

// intervals are the histories of zones, written down in UTC.
var intervals = []struct {
	zone           string
	code           int64
	at, start, end string
}{
	{"UTC", minute, "2024-03-10 12:34", "2024-03-10 12:34", "2024-03-10 12:35"},
	{"UTC", year, "1969-12-31 23:59", "1969-01-01 00:00", "1970-01-01 00:00"},
	{"UTC", day, "1969-12-31 23:59", "1969-12-31 00:00", "1970-01-01 00:00"},
	{"UTC", month, "2024-02-29 12:00", "2024-02-01 00:00", "2024-03-01 00:00"},
	// ISO weeks begin on Monday, whatever the year.
	{"UTC", week, "2020-12-31 12:00", "2020-12-28 00:00", "2021-01-04 00:00"},
	{"UTC", week, "2021-01-03 23:59", "2020-12-28 00:00", "2021-01-04 00:00"},
	{"UTC", week, "1969-12-28 00:00", "1969-12-22 00:00", "1969-12-29 00:00"},
	{"Europe/Berlin", week, "2024-03-27 00:00", "2024-03-24 23:00", "2024-03-31 22:00"},
	// Days of 23 and 25 hours, and months of which they are a part.
	{"America/New_York", day, "2024-03-10 12:00", "2024-03-10 05:00", "2024-03-11 04:00"},
	{"America/New_York", day, "2024-11-04 04:59", "2024-11-03 04:00", "2024-11-04 05:00"},
	{"America/New_York", month, "2024-11-04 04:59", "2024-11-01 04:00", "2024-12-01 05:00"},
	{"Europe/Berlin", year, "2023-12-31 23:00", "2023-12-31 23:00", "2024-12-31 23:00"},
	// 00:00 does not exist, or comes twice; 23:00 does.
	{"America/Sao_Paulo", day, "2018-11-04 03:00", "2018-11-04 03:00", "2018-11-05 02:00"},
	{"America/Sao_Paulo", day, "2018-11-04 02:59", "2018-11-03 03:00", "2018-11-04 03:00"},
	{"America/Sao_Paulo", day, "2019-02-17 02:30", "2019-02-16 02:00", "2019-02-17 03:00"},
	{"America/Havana", day, "2024-11-03 05:30", "2024-11-03 04:00", "2024-11-04 05:00"},
	// A minute after midnight the clock went back to the day before.
	{"America/St_Johns", day, "2009-11-01 02:45", "2009-11-01 02:30", "2009-11-02 03:30"},
	{"America/St_Johns", month, "2009-11-01 02:45", "2009-11-01 02:30", "2009-12-01 03:30"},
	// There was no 30 December 2011.
	{"Pacific/Apia", day, "2011-12-30 09:59", "2011-12-29 10:00", "2011-12-30 10:00"},
	{"Pacific/Apia", day, "2011-12-30 10:00", "2011-12-30 10:00", "2011-12-31 10:00"},
	// Hours that come again, and zones that are no whole hours away.
	{"America/New_York", hour, "2024-11-03 05:59", "2024-11-03 05:00", "2024-11-03 06:00"},
	{"America/New_York", hour, "2024-11-03 06:00", "2024-11-03 06:00", "2024-11-03 07:00"},
	{"Asia/Kolkata", hour, "2024-06-01 12:00", "2024-06-01 11:30", "2024-06-01 12:30"},
	{"Australia/Lord_Howe", hour, "2024-04-06 14:50", "2024-04-06 14:00", "2024-04-06 15:00"},
	{"Australia/Lord_Howe", hour, "2024-04-06 15:00", "2024-04-06 15:00", "2024-04-06 15:30"},
	{"Asia/Kolkata", minute, "2024-06-01 12:00", "2024-06-01 12:00", "2024-06-01 12:01"},
}

func TestIntervals(t *testing.T) {
	ms := func(text string) int64 {
		at, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return at.UnixMilli()
	}
	for _, c := range intervals {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Skip(err)
		}
		for _, within := range []int64{0, 59_999} {
			got := gubernatorapi.Around(c.code, zone, ms(c.at)+within)
			if got[1] != ms(c.start) || got[2] != ms(c.end) {
				t.Errorf("%s %d at %s is from %v until %v, want %s until %s", c.zone, c.code, c.at,
					time.UnixMilli(got[1]).UTC(), time.UnixMilli(got[2]).UTC(), c.start, c.end)
			}
		}
	}
}

// TestIntervalsAbut asks for neighbours: each is the other's, and all have the same.
func TestIntervalsAbut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"UTC", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu"}).Draw(t, "zone")
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Skip(err)
		}
		code := rapid.Int64Range(minute, year).Draw(t, "code")
		at := rapid.Int64Range(-2_000_000_000_000, 9_000_000_000_000).Draw(t, "at")
		b := gubernatorapi.Around(code, zone, at)
		if b[0] >= b[1] || b[1] > at || at >= b[2] || b[2] >= b[3] {
			t.Fatalf("%d has the intervals %v around it", at, b)
		}
		if next := gubernatorapi.Around(code, zone, b[2]); next[0] != b[1] || next[1] != b[2] || next[2] != b[3] {
			t.Errorf("%v is followed by %v", b, next)
		}
		if last := gubernatorapi.Around(code, zone, b[2]-1); last != b {
			t.Errorf("at the end of %v it is %v", b, last)
		}
	})
}
