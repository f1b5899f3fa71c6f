package bucketring_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
)

// rate is a limit as Parse makes it from the shortest text.
func rate(amount int64, per time.Duration) bucketring.Limit {
	return bucketring.Limit{Name: "inline", Amount: amount, Per: per}
}

func TestParseUnits(t *testing.T) {
	for per, names := range map[time.Duration]string{
		time.Second: "s sec second",
		time.Minute: "m min minute",
		time.Hour:   "h hour",
		day:         "d day",
		7 * day:     "w week",
	} {
		for name := range strings.FieldsSeq(names) {
			for _, count := range []int64{1, 2, 10} {
				text := fmt.Sprintf("5/%d%s", count, name)
				if count == 1 {
					text = "5/" + name
				}
				checkParse(t, text, rate(5, time.Duration(count)*per))
			}
		}
	}
}

func checkParse(t *testing.T, text string, want ...bucketring.Limit) {
	t.Helper()
	got, err := bucketring.Parse(text)
	if err != nil {
		t.Errorf("Parse(%q) = %v, want %v", text, err, want)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse(%q) (-want +got):\n%s", text, diff)
	}
}

func TestParseAmounts(t *testing.T) {
	tests := []struct {
		text string
		want int64
	}{
		{"0", 0}, {"0.0", 0}, {"0PiB", 0}, {"1", 1}, {"007", 7}, {"25", 25}, {"2.0", 2}, {"2.5000kB", 2500},
		{"1kB", 1e3}, {"1KB", 1e3}, {"1MB", 1e6}, {"1GB", 1e9}, {"1TB", 1e12}, {"1PB", 1e15},
		{"1KiB", 1 << 10}, {"1MiB", 1 << 20}, {"1GiB", 1 << 30}, {"1TiB", 1 << 40}, {"1PiB", 1 << 50},
		{"1.5MB", 1_500_000}, {"0.5KiB", 512}, {"0.001kB", 1}, {"1.000000000000001PB", 1_000_000_000_000_001},
		{"9223372036854775807", 1<<63 - 1}, {"9223.372036854775807PB", 1<<63 - 1},
		{"9223372036854775.807kB", 1<<63 - 1}, {"8191PiB", 8191 << 50},
		{"0." + strings.Repeat("0", 100), 0}, {strings.Repeat("0", 100) + "3", 3},
	}
	for _, tt := range tests {
		checkParse(t, tt.text+"/s", rate(tt.want, time.Second))
	}
}

func TestParseOptions(t *testing.T) {
	with := func(change func(*bucketring.Limit)) bucketring.Limit {
		l := rate(10, time.Minute)
		change(&l)
		return l
	}
	tests := []struct {
		text string
		want bucketring.Limit
	}{
		{"burst=50", with(func(l *bucketring.Limit) { l.Burst = 50 })},
		{"burst=10", with(func(l *bucketring.Limit) { l.Burst = 10 })},
		{"burst=1.5kB", with(func(l *bucketring.Limit) { l.Burst = 1500 })},
		{"algorithm=token_bucket", rate(10, time.Minute)},
		{"algorithm=fixed_window", with(func(l *bucketring.Limit) { l.Algorithm = bucketring.FixedWindow })},
		{"algorithm=sliding_window", with(func(l *bucketring.Limit) { l.Algorithm = bucketring.SlidingWindow })},
		{"accuracy=leased", rate(10, time.Minute)},
		{"accuracy=strict", with(func(l *bucketring.Limit) { l.Accuracy = bucketring.Strict })},
		{"accuracy=approx", with(func(l *bucketring.Limit) { l.Accuracy = bucketring.Approx })},
		{"unavailable=local", rate(10, time.Minute)},
		{"unavailable=allow", with(func(l *bucketring.Limit) { l.Unavailable = bucketring.UnavailableAllow })},
		{"unavailable=deny", with(func(l *bucketring.Limit) { l.Unavailable = bucketring.UnavailableDeny })},
		{"unavailable=deny   accuracy=strict burst=7 algorithm=token_bucket", with(func(l *bucketring.Limit) {
			l.Unavailable, l.Accuracy, l.Burst = bucketring.UnavailableDeny, bucketring.Strict, 7
		})},
	}
	for _, tt := range tests {
		checkParse(t, "10/m "+tt.text, tt.want)
		checkParse(t, "10/m   "+tt.text, tt.want)
	}
}

func TestParseZones(t *testing.T) {
	zoned := func(per time.Duration, zone string) bucketring.Limit {
		return bucketring.Limit{
			Name: "inline", Amount: 10, Per: per, Algorithm: bucketring.FixedWindow, Align: bucketring.AlignCalendar, Zone: zone,
		}
	}
	for per, names := range map[time.Duration]string{
		time.Minute: "m min minute 1m", time.Hour: "h hour 1hour", day: "d day 1d", 7 * day: "w week 1week",
		bucketring.Month: "month 1month", bucketring.Year: "y year 1y",
	} {
		for name := range strings.FieldsSeq(names) {
			for _, zone := range []string{"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12"} {
				checkParse(t, "10/"+name+"@"+zone, zoned(per, zone))
				checkParse(t, "10/"+name+"@"+zone+"  algorithm=fixed_window", zoned(per, zone))
			}
		}
	}
	strict := zoned(day, "UTC")
	strict.Accuracy, strict.Unavailable = bucketring.Strict, bucketring.UnavailableDeny
	checkParse(t, "10/d@UTC unavailable=deny algorithm=fixed_window accuracy=strict", strict)
}

func TestParseConcurrent(t *testing.T) {
	held := func(ttl time.Duration) bucketring.Limit {
		return bucketring.Limit{Name: "inline", Amount: 10, Kind: bucketring.KindConcurrency, TTL: ttl}
	}
	for _, text := range []string{"10 concurrent", "10    concurrent", " 10 concurrent ", "10 concurrent ttl=60s", "10 concurrent  ttl=1min"} {
		checkParse(t, text, held(bucketring.DefaultTTL))
	}
	checkParse(t, "10 concurrent ttl=1s", held(time.Second))
	checkParse(t, "10 concurrent ttl=h", held(time.Hour)) // a count of 1 may be left out
	checkParse(t, "10 concurrent ttl=2week", held(14*day))
	checkParse(t, "10 concurrent ttl=366d", held(366*day))
	most := held(5 * time.Minute)
	most.Accuracy, most.Unavailable = bucketring.Approx, bucketring.UnavailableAllow
	checkParse(t, "10 concurrent unavailable=allow ttl=5m accuracy=approx", most)
	second := held(bucketring.DefaultTTL)
	second.Name = "inline-2"
	checkParse(t, "5/s, 10 concurrent", rate(5, time.Second), second)
}

func TestParseLists(t *testing.T) {
	named := func(l bucketring.Limit, name string) bucketring.Limit { l.Name = name; return l }
	two := []bucketring.Limit{rate(5, time.Second), named(rate(9, time.Hour), "inline-2")}
	for _, text := range []string{"5/s,9/h", "5/s, 9/h", "5/s ,9/h", "  5/s  ,  9/h  "} {
		checkParse(t, text, two...)
	}
	var eight []bucketring.Limit
	var text []string
	for i := range int64(8) {
		l := rate(i+1, time.Second)
		if i > 0 {
			l.Name = fmt.Sprintf("inline-%d", i+1)
		}
		eight, text = append(eight, l), append(text, l.String())
	}
	checkParse(t, strings.Join(text, ","), eight...)
	// Two limits of one counter are for Request.Validate to refuse, not for Parse.
	checkParse(t, "5/m, 5/60s", rate(5, time.Minute), named(rate(5, time.Minute), "inline-2"))
}

func TestParseWindowBounds(t *testing.T) {
	checkParse(t, "5/366d", rate(5, 366*day))
	checkParse(t, "5/52w", rate(5, 364*day))
	checkParse(t, "5/8784h", rate(5, 366*day))
	checkParse(t, "5/527040m", rate(5, 366*day))
	checkParse(t, "5/31622400s", rate(5, 366*day))
	checkParse(t, "1/d burst=1464", bucketring.Limit{Name: "inline", Amount: 1, Burst: 1464, Per: day})
}

func TestParseSuggestsAlwaysTheSame(t *testing.T) {
	// The words are in maps, whose order changes from call to call.
	for _, text := range []string{"10K/s", "10B/s", "10M/s", "10/mn", "10/ho", "10/s bust=1", "10/s accuracy=lased"} {
		_, err := bucketring.Parse(text)
		if err == nil {
			t.Errorf("Parse(%q) has no error, want one", text)
			continue
		}
		for range 200 {
			if _, again := bucketring.Parse(text); again.Error() != err.Error() {
				t.Errorf("Parse(%q) = %q, then %q; want one answer", text, err, again)
				break
			}
		}
	}
}

func TestParseErrorsAreErrInvalid(t *testing.T) {
	for _, text := range []string{"", "x", "5/s burst=x", "5/s,", "5/fortnight", strings.Repeat("5/s,", 9), strings.Repeat("5", 1025)} {
		if limits, err := bucketring.Parse(text); !errors.Is(err, bucketring.ErrInvalid) || limits != nil {
			t.Errorf("Parse(%q) = %v, %v; want no limits and ErrInvalid", text, limits, err)
		}
	}
}

func TestParseMemoryIsBounded(t *testing.T) {
	// Text comes from anyone, so it must not make us allocate much more than it
	// is long. The error alone quotes it with up to four bytes for one.
	const most = 32 << 10
	for name, text := range map[string]string{
		"commas":      strings.Repeat(",", 1024),
		"limits":      strings.Repeat("5/s,", 256),
		"one word":    strings.Repeat("a", 1024),
		"bad unit":    "5/" + strings.Repeat("a", 1022),
		"bad utf-8":   "5/s " + strings.Repeat("\xff", 1020),
		"many blanks": "5/s" + strings.Repeat(" ", 1010) + "burst=5",
		"a megabyte":  strings.Repeat("5/s,", 1<<18),
	} {
		const runs = 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			bucketring.Parse(text)
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > most {
			t.Errorf("Parse of %s allocates %d bytes, want at most %d", name, got, most)
		}
	}
}

func TestMustParsePanicsWithTheText(t *testing.T) {
	defer func() {
		want := `bucketring: MustParse("10/mn"): limit 1, column 4: unknown unit "mn": did you mean "min"?`
		if got := recover(); got != want {
			t.Errorf("MustParse panics with %v, want %q", got, want)
		}
	}()
	bucketring.MustParse("10/mn")
}
