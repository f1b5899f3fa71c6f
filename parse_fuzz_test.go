package bucketring_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
)

// anyLimit draws a limit that has a text form.
func anyLimit() *rapid.Generator[bucketring.Limit] {
	return rapid.Custom(func(t *rapid.T) bucketring.Limit {
		l := bucketring.Limit{
			Name:        "inline",
			Unavailable: bucketring.Unavailable(rapid.IntRange(0, 2).Draw(t, "unavailable")),
			Accuracy:    bucketring.Accuracy(rapid.IntRange(0, 2).Draw(t, "accuracy")),
		}
		switch rapid.SampledFrom([]string{"rate", "calendar", "concurrent"}).Draw(t, "form") {
		case "rate":
			l.Algorithm = rapid.SampledFrom(bucketring.Algorithms()).Draw(t, "algorithm")
			l.Amount = rapid.Int64Min(0).Draw(t, "amount")
			l.Per = anySpan(t)
			if l.Algorithm == bucketring.TokenBucket && l.Amount > 0 && rapid.Bool().Draw(t, "has burst") {
				l.Burst = rapid.Int64Min(1).Draw(t, "burst")
				if l.Validate() != nil { // too long to refill
					l.Burst = l.Amount
				}
			}
		case "calendar":
			l.Algorithm, l.Align = bucketring.FixedWindow, bucketring.AlignCalendar
			l.Amount = rapid.Int64Min(0).Draw(t, "amount")
			l.Per = rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, day, 7 * day, bucketring.Month, bucketring.Year}).Draw(t, "per")
			l.Zone = rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu"}).Draw(t, "zone")
		default:
			l.Kind = bucketring.KindConcurrency
			l.Amount = rapid.Int64Min(1).Draw(t, "amount")
			l.TTL = anySpan(t)
		}
		return l
	})
}

// anySpan draws a window without a calendar.
func anySpan(t *rapid.T) time.Duration {
	unit := rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour, day}).Draw(t, "unit")
	return time.Duration(rapid.Int64Range(1, int64(bucketring.MaxPer/unit)).Draw(t, "count")) * unit
}

func TestParseReadsWhatStringWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyLimit().Draw(t, "limit")
		got, err := bucketring.Parse(l.String())
		if err != nil {
			t.Fatalf("Parse(%q) = %v, want %+v", l, err, l)
		}
		if diff := cmp.Diff([]bucketring.Limit{l}, got); diff != "" {
			t.Fatalf("Parse(%q) (-want +got):\n%s", l, diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"10/s", "500/m", "20000/h", "1000/day", "10/m burst=50", "500/m, 20000/h", "5/30s", "1MB/s", "1.5KiB/2w burst=0.5kB",
		"1000/day@Europe/Berlin", "10 concurrent", "10 concurrent ttl=5m", "5/s algorithm=sliding_window accuracy=approx unavailable=deny",
		"10/month@Asia/Kathmandu, 10/w@UTC algorithm=fixed_window accuracy=strict, 1/y@Etc/GMT+12 unavailable=deny",
		"9223372036854775807/366d burst=9223372036854775807", "1/366d burst=4",
	} {
		f.Add(text)
	}
	for _, tt := range parseErrors {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		limits, err := bucketring.Parse(text)
		if err != nil {
			checkFuzzError(t, text, err)
			return
		}
		if n := len(limits); n == 0 || n > bucketring.MaxLimits || n != 1+strings.Count(text, ",") {
			t.Fatalf("Parse(%q) has %d limits, want one for each part", text, n)
		}
		again := make([]string, len(limits))
		for i := range limits {
			if err := limits[i].Validate(); err != nil {
				t.Fatalf("Parse(%q)[%d].Validate() = %v, want no error", text, i, err)
			}
			again[i] = limits[i].String()
		}
		got, err := bucketring.Parse(strings.Join(again, ","))
		if err != nil {
			t.Fatalf("Parse(%q) = %v, want what %q makes", again, err, text)
		}
		if diff := cmp.Diff(limits, got); diff != "" {
			t.Fatalf("Parse(%q) and then its String (-first +second):\n%s", text, diff)
		}
	})
}

// checkFuzzError expects an error that can be shown: of its kind, of bounded
// length, printable, and pointing into the text.
func checkFuzzError(t *testing.T, text string, err error) {
	t.Helper()
	msg := err.Error()
	if !errors.Is(err, bucketring.ErrInvalid) {
		t.Fatalf("Parse(%q) = %v, want ErrInvalid", text, err)
	}
	if most := 4*1024 + 200; len(msg) > most || !utf8.ValidString(msg) || strings.ContainsAny(msg, "\r\n\x00") {
		t.Fatalf("Parse(%q) = %q, want at most %d printable bytes", text, msg, most)
	}
}
