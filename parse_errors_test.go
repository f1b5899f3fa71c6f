// parse_errors_test.go holds the exact text of every error of Parse. People see
// these texts, so a changed one is read before it is accepted.

package bucketring_test

import (
	"strings"
	"testing"

	"github.com/bucketring/bucketring"
)

const (
	wantWindow = `expected "/" and a window such as /m or /30s, found `
	wantUnit   = `expected a unit such as s, m, h or d, found `
	notZoned   = `a window in a time zone is a minute, hour, day, week, month or year, not `
	noCount    = ` is not a count of 1 or more without leading zeros`
	tooLarge   = `number is too large: at most 9223372036854775807`
	manyDigits = `number is too large or has too many digits`
)

// parseErrors has one row for each way to be wrong.
var parseErrors = []struct{ text, want string }{
	// A limit that is missing.
	{``, `limit 1, column 1: a limit is missing: write one such as 100/m`},
	{`   `, `limit 1, column 1: a limit is missing: write one such as 100/m`},
	{`,5/s`, `limit 1, column 1: a limit is missing: write one such as 100/m`},
	{`5/s,`, `limit 2, column 1: a limit is missing: write one such as 100/m`},
	{`5/s, ,5/m`, `limit 2, column 1: a limit is missing: write one such as 100/m`},

	// The amount.
	{`x`, `limit 1, column 1: expected a number, found "x"`},
	{`-5/s`, `limit 1, column 1: expected a number, found "-5/s"`},
	{`+5/s`, `limit 1, column 1: expected a number, found "+5/s"`},
	{`.5/s`, `limit 1, column 1: expected a number, found ".5/s"`},
	{`é/s`, `limit 1, column 1: expected a number, found "é/s"`},
	{"\xff/s", `limit 1, column 1: expected a number, found "\xff/s"`},
	{strings.Repeat("a", 21), `limit 1, column 1: expected a number, found "aaaaaaaaaaaaaaaaaaaa..."`},
	{strings.Repeat("a", 19) + "é", `limit 1, column 1: expected a number, found "aaaaaaaaaaaaaaaaaaa..."`},
	{`1./s`, `limit 1, column 3: expected digits after the point, found "/s"`},
	{`1.`, `limit 1, column 3: expected digits after the point, found the end`},
	{`1.5/s`, `limit 1, column 1: 1.5 is not a whole number`},
	{`5/s, 1.0005kB/s`, `limit 2, column 1: 1.0005kB is not a whole number`},
	{`1e3/s`, `limit 1, column 2: unknown size "e"`},
	{`1kb/s`, `limit 1, column 2: unknown size "kb": did you mean "kB"?`},
	{`1.5Mib/s`, `limit 1, column 4: unknown size "Mib": did you mean "MiB"?`},
	{`1_000/s`, `limit 1, column 2: ` + wantWindow + `"_000/s"`},
	{`9223372036854775808/s`, `limit 1, column 1: ` + tooLarge},
	{`18446744073709551615/s`, `limit 1, column 1: ` + tooLarge},
	{`18446744073709551616/s`, `limit 1, column 1: ` + manyDigits},
	{`8192PiB/s`, `limit 1, column 1: ` + tooLarge},
	{`16384PiB/s`, `limit 1, column 1: ` + tooLarge}, // 2^64, one more than the quotient can hold
	{`18446744073709551615PiB/s`, `limit 1, column 1: ` + tooLarge},
	{`0.0000000000000000001PB/s`, `limit 1, column 1: ` + manyDigits},

	// The window.
	{`10`, `limit 1, column 3: ` + wantWindow + `the end`},
	{`10,5/s`, `limit 1, column 3: ` + wantWindow + `the end`},
	{`10\s`, `limit 1, column 3: ` + wantWindow + `"\\s"`},
	{`10/`, `limit 1, column 4: ` + wantUnit + `the end`},
	{`10/5`, `limit 1, column 5: ` + wantUnit + `the end`},
	{`10//s`, `limit 1, column 4: ` + wantUnit + `"/s"`},
	{`10/-5s`, `limit 1, column 4: ` + wantUnit + `"-5s"`},
	{`10/1.5s`, `limit 1, column 5: ` + wantUnit + `".5s"`},
	{`10/0s`, `limit 1, column 4: "0" is not a count of 1 or more without leading zeros`},
	{`10/05s`, `limit 1, column 4: "05" is not a count of 1 or more without leading zeros`},
	{`10/9223372036854775808s`, `limit 1, column 4: "9223372036854775808" is not a count of 1 or more without leading zeros`},
	{`10/9223372036854775807s`, `limit 1, column 4: window is too long: at most 366d`},
	{`10/31622401s`, `limit 1, column 4: window is too long: at most 366d`},
	{`10/367d`, `limit 1, column 4: window is too long: at most 366d`},
	{`10/53week`, `limit 1, column 4: window is too long: at most 366d`},
	{`10/mn`, `limit 1, column 4: unknown unit "mn": did you mean "min"?`},
	{`5/s, 10/30secs`, `limit 2, column 6: unknown unit "secs": did you mean "sec"?`},
	{`10/hours`, `limit 1, column 4: unknown unit "hours": did you mean "hour"?`},
	{`10/Day`, `limit 1, column 4: unknown unit "Day": did you mean "day"?`},
	{`10/fortnight`, `limit 1, column 4: unknown unit "fortnight"`},
	{`10/sburst=5`, `limit 1, column 4: unknown unit "sburst"`},

	// The options.
	{`10/s;5/m`, `limit 1, column 5: expected a blank before ";5/m"`},
	{"10/s\tburst=5", `limit 1, column 5: expected a blank before "\tburst=5"`},
	{`10/s burst=5=6`, `limit 1, column 13: expected a blank before "=6"`},
	{`10/s burst`, `limit 1, column 6: expected an option such as burst=20, found "burst"`},
	{`10/s burst 5`, `limit 1, column 6: expected an option such as burst=20, found "burst"`},
	{`10/s =5`, `limit 1, column 6: unknown option ""`},
	{`10/s bust=5`, `limit 1, column 6: unknown option "bust": did you mean "burst"?`},
	{`10/s per=5`, `limit 1, column 6: unknown option "per"`},
	{`10/s align=first_request`, `limit 1, column 6: unknown option "align"`},
	{`10/s burst=`, `limit 1, column 12: expected a number, found the end`},
	{`10/s burst=x`, `limit 1, column 12: expected a number, found "x"`},
	{`10/s burst=-5`, `limit 1, column 12: expected a number, found "-5"`},
	{`10/s burst=1.5`, `limit 1, column 12: 1.5 is not a whole number`},
	{`10/s burst=0`, `limit 1, column 12: burst must be at least 1`},
	{`10/s burst=5 burst=5`, `limit 1, column 14: option "burst" is given twice`},
	{`10/s algorithm=token`, `limit 1, column 16: unknown algorithm "token"`},
	{`10/s algorithm=fixed-window`, `limit 1, column 16: unknown algorithm "fixed-window": did you mean "fixed_window"?`},
	{`10/s accuracy=`, `limit 1, column 15: unknown accuracy ""`},
	{`10/s accuracy=stric`, `limit 1, column 15: unknown accuracy "stric": did you mean "strict"?`},
	{`10/s unavailable=closed`, `limit 1, column 18: unknown unavailable mode "closed"`},
	{`10/s unavailable=denny`, `limit 1, column 18: unknown unavailable mode "denny": did you mean "deny"?`},

	// Limits that read well and cannot be.
	{`10/s algorithm=fixed_window burst=5`, `limit 1, column 1: limit "inline" has a burst, which only a token bucket can have`},
	{`5/s, 0/s burst=1`, `limit 2, column 1: limit "inline-2" has a burst but no amount to refill it`},
	{`1/d burst=1465`, `limit 1, column 1: limit "inline" would need more than 4 years to refill a burst of 1465: lower the burst`},

	// Windows in a time zone, and those that need one.
	{`10/month`, `limit 1, column 4: months and years need a time zone: write month@UTC or another`},
	{`5/s, 10/y`, `limit 2, column 4: months and years need a time zone: write y@UTC or another`},
	{`10/2year`, `limit 1, column 5: months and years need a time zone: write year@UTC or another`},
	{`10/month algorithm=fixed_window`, `limit 1, column 4: months and years need a time zone: write month@UTC or another`},
	{`10/mont@UTC`, `limit 1, column 4: unknown unit "mont": did you mean "month"?`},
	{`10/yer@UTC`, `limit 1, column 4: unknown unit "yer": did you mean "year"?`},
	{`10/Y@UTC`, `limit 1, column 4: unknown unit "Y": did you mean "y"?`},
	{`10/s@UTC`, `limit 1, column 4: ` + notZoned + `"s"`},
	{`10/30sec@UTC`, `limit 1, column 6: ` + notZoned + `"sec"`},
	{`10/2d@UTC burst=5`, `limit 1, column 4: a window in a time zone lasts one unit: write /d`},
	{`10/3month@UTC`, `limit 1, column 4: a window in a time zone lasts one unit: write /month`},
	{`10/9223372036854775807y@UTC`, `limit 1, column 4: a window in a time zone lasts one unit: write /y`},
	{`10/d@`, `limit 1, column 6: expected a time zone such as UTC or Europe/Berlin, found the end`},
	{`10/d@ burst=5`, `limit 1, column 6: expected a time zone such as UTC or Europe/Berlin, found a blank`},
	{`1000/day@Europe/Berln`, `limit 1, column 10: unknown time zone "Europe/Berln": use an IANA name such as Europe/Berlin`},
	{`5/s, 10/y@Mars algorithm=fixed_window`, `limit 2, column 6: unknown time zone "Mars": use an IANA name such as Europe/Berlin`},
	{`10/d@Local`, `limit 1, column 6: unknown time zone "Local": use an IANA name such as Europe/Berlin`},
	{`10/d@../../etc/passwd`, `limit 1, column 6: unknown time zone "../../etc/passwd": use an IANA name such as Europe/Berlin`},
	{`10/d@/etc/localtime`, `limit 1, column 6: unknown time zone "/etc/localtime": use an IANA name such as Europe/Berlin`},
	{`10/d@UTC;5/m`, `limit 1, column 6: unknown time zone "UTC;5/m": use an IANA name such as Europe/Berlin`},
	{"10/d@\xff", `limit 1, column 6: unknown time zone "\xff": use an IANA name such as Europe/Berlin`},
	{`10/d@` + strings.Repeat("z", 21), `limit 1, column 6: unknown time zone "zzzzzzzzzzzzzzzzzzzz...": use an IANA name such as Europe/Berlin`},
	{`10/d@UTC algorithm=sliding_window`, `limit 1, column 20: a window in a time zone is a fixed_window, not a sliding_window`},
	{`10/d@UTC accuracy=strict algorithm=token_bucket`, `limit 1, column 36: a window in a time zone is a fixed_window, not a token_bucket`},
	{`10/d@UTC burst=5`, `limit 1, column 10: burst is for token buckets, and a window in a time zone is none`},
	{`10/d@UTC ttl=5m`, `limit 1, column 10: ttl is for limits such as "10 concurrent", not for rates`},

	// Leases.
	{`0 concurrent`, `limit 1, column 1: "0"` + noCount},
	{`05 concurrent`, `limit 1, column 1: "05"` + noCount},
	{`1.0 concurrent`, `limit 1, column 1: "1.0"` + noCount},
	{`5/s, 2kB concurrent`, `limit 2, column 1: "2kB"` + noCount},
	{`1.5 concurrent`, `limit 1, column 1: 1.5 is not a whole number`},
	{`concurrent`, `limit 1, column 1: expected a number, found "concurrent"`},
	{`10 concurent`, `limit 1, column 4: unknown word "concurent": did you mean "concurrent"?`},
	{`5/s, 10   Concurrent ttl=5m`, `limit 2, column 6: unknown word "Concurrent": did you mean "concurrent"?`},
	{`10 parallel`, `limit 1, column 3: ` + wantWindow + `a blank`},
	{`10 concurrent;`, `limit 1, column 14: expected a blank before ";"`},
	{`10 concurrent/m`, `limit 1, column 14: expected a blank before "/m"`},
	{`10 concurrent@UTC`, `limit 1, column 14: expected a blank before "@UTC"`},
	{`10 concurrent burst=5`, `limit 1, column 15: burst is for rates such as 10/m, not for concurrent`},
	{`10 concurrent algorithm=fixed_window`, `limit 1, column 15: algorithm is for rates such as 10/m, not for concurrent`},
	{`10 concurrent tl=5m`, `limit 1, column 15: unknown option "tl": did you mean "ttl"?`},
	{`10 concurrent ttl=5m ttl=5m`, `limit 1, column 22: option "ttl" is given twice`},
	{`10 concurrent ttl=`, `limit 1, column 19: ` + wantUnit + `the end`},
	{`10 concurrent ttl=60`, `limit 1, column 21: ` + wantUnit + `the end`},
	{`10 concurrent ttl=0s`, `limit 1, column 19: "0"` + noCount},
	{`10 concurrent ttl=1.5m`, `limit 1, column 20: ` + wantUnit + `".5m"`},
	{`10 concurrent ttl=5mn`, `limit 1, column 20: unknown unit "mn": did you mean "min"?`},
	{`10 concurrent ttl=500ms`, `limit 1, column 22: unknown unit "ms": did you mean "m"?`},
	{`10 concurrent ttl=1month`, `limit 1, column 20: a ttl does not follow the calendar: write days, such as 30d`},
	{`10 concurrent ttl=2y`, `limit 1, column 20: a ttl does not follow the calendar: write days, such as 30d`},
	{`10 concurrent ttl=367d`, `limit 1, column 19: ttl is too long: at most 366d`},
	{`10 concurrent ttl=9223372036854775807w`, `limit 1, column 19: ttl is too long: at most 366d`},
	{`10/s ttl=5m`, `limit 1, column 6: ttl is for limits such as "10 concurrent", not for rates`},

	// Bounds of the whole text.
	{strings.Repeat("5/s,", 8) + "5/s", `more than 8 limits in one call`},
	{strings.Repeat("5", 1025), `limit has 1025 bytes, at most 1024 are allowed`},
}

func TestParseErrors(t *testing.T) {
	for _, tt := range parseErrors {
		checkParseError(t, tt.text, tt.want)
	}
}

func checkParseError(t *testing.T, text, want string) {
	t.Helper()
	limits, err := bucketring.Parse(text)
	if err == nil {
		t.Errorf("Parse(%q) = %v, want error %q", text, limits, want)
	} else if got := err.Error(); got != want {
		t.Errorf("Parse(%q)\n got error %q\nwant       %q", text, got, want)
	}
}

func TestParseDoesNotCallABlankTheEnd(t *testing.T) {
	for _, text := range []string{`10 /s`, `10/ s`, `10/s burst= 5`, `1 000/s`, `100 per minute`, `1. 5/s`} {
		if _, err := bucketring.Parse(text); err == nil || strings.Contains(err.Error(), "the end") {
			t.Errorf("Parse(%q) = %v, want an error which does not say that the text ended", text, err)
		}
	}
}

func TestParseSuggestsTheSameWordInItsCase(t *testing.T) {
	// Capitals are the likeliest mistake, so they must not lead to another unit.
	for text, want := range map[string]string{
		`10/S`: "s", `10/M`: "m", `10/H`: "h", `10/D`: "d", `10/W`: "w", `10/MIN`: "min", `10/HOUR`: "hour",
		`10/Month@UTC`: "month", `10/YEAR@UTC`: "year", `10 CONCURRENT`: "concurrent", `10 concurrent TTL=5m`: "ttl",
		`5mb/s`: "MB", `5gb/s`: "GB", `5mib/s`: "MiB", `5TIB/s`: "TiB",
		`5/s BURST=6`: "burst", `5/s accuracy=STRICT`: "strict", `5/s algorithm=Fixed_Window`: "fixed_window",
	} {
		_, err := bucketring.Parse(text)
		if suffix := ": did you mean \"" + want + "\"?"; err == nil || !strings.HasSuffix(err.Error(), suffix) {
			t.Errorf("Parse(%q) = %v, want it to end in %q", text, err, suffix)
		}
	}
}

func TestParseDoesNotSuggestWhatHasNothingInCommon(t *testing.T) {
	for _, text := range []string{`10/x`, `10/q`, `10/s accuracy=x`, `5x/s`} {
		if _, err := bucketring.Parse(text); err == nil || strings.Contains(err.Error(), "did you mean") {
			t.Errorf("Parse(%q) = %v, want an error without a suggestion", text, err)
		}
	}
}
