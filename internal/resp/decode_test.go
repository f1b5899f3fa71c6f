package resp_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bucketring/bucketring/internal/resp"
)

// wire writes words as clients send them.
func wire(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

func TestDecode(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	many := strings.Split(strings.Repeat("a", 1024), "")
	for _, tt := range []struct {
		name, in string
		want     [][]string
	}{
		{"nothing", "", nil},
		{"two", wire("PING") + wire("ECHO", "a b"), [][]string{{"PING"}, {"ECHO", "a b"}}},
		{"binary", wire("ECHO", "\x00\r\n$1\xff"), [][]string{{"ECHO", "\x00\r\n$1\xff"}}},
		{"empty word", wire("ECHO", ""), [][]string{{"ECHO", ""}}},
		{"skipped", "*0\r\n*-1\r\n\r\n\n  \t \r\n" + wire("PING"), [][]string{{"PING"}}},
		{"most arguments", wire(many...), [][]string{many}},
		{"longest argument", wire("ECHO", long), [][]string{{"ECHO", long}}},
		{"part", wire("PING") + "*2\r\n$4\r\nECHO\r\n$1", [][]string{{"PING"}}},
		{"inline", "PING\r\n echo  hi\t there \nX\r\n", [][]string{{"PING"}, {"echo", "hi", "there"}, {"X"}}},
		{"inline, longest", strings.Repeat("y", 64<<10) + "\r\n", [][]string{{strings.Repeat("y", 64<<10)}}},
		{"inline, many", strings.Repeat("a ", 1024) + "\n", [][]string{many}},
		{"double quotes", `a "b c" "\x41\n\r\t\b\a\"\\\q\xg" ""` + "\n", [][]string{{"a", "b c", "A\n\r\t\b\a\"\\qxg", ""}}},
		{"single quotes", `'b "c' 'it\'s' '\n' x"y"` + "\n", [][]string{{`b "c`, "it's", `\n`, "xy"}}},
		{"mixed", "a b\r\n" + wire("c") + "d\r\n", [][]string{{"a", "b"}, {"c"}, {"d"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := resp.NewDecoder().Feed([]byte(tt.in))
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("Feed: %v, (-want +got)\n%.2000s", err, diff)
			}
		})
	}
}

// prefix is so many arguments of 64 KiB that one more does not fit a command.
var prefix = "*20\r\n" + strings.Repeat("$65536\r\n"+strings.Repeat("z", 65536)+"\r\n", 15)

var broken = []struct {
	name, in string
	stranger bool
	want     string
}{
	{"arguments", "*1025\r\n", false, "invalid multibulk length"},
	{"arguments below -1", "*-2\r\n", false, "invalid multibulk length"},
	{"arguments not decimal", "*0x1\r\n", false, "invalid multibulk length"},
	{"arguments with a zero before", "*01\r\n", false, "invalid multibulk length"},
	{"arguments with a sign", "*+1\r\n", false, "invalid multibulk length"},
	{"no number of arguments", "*\r\n", false, "invalid multibulk length"},
	{"arguments beyond 64 bits", "*18446744073709551617\r\n", false, "invalid multibulk length"},
	{"arguments in many digits", "*" + strings.Repeat("1", 60000) + "\r\n", false, "invalid multibulk length"},
	{"arguments of a stranger", "*11\r\n", true, "unauthenticated multibulk length"},
	{"negative arguments of a stranger", "*-3\r\n", true, "invalid multibulk length"},
	{"length", "*1\r\n$65537\r\n", false, "invalid bulk length"},
	{"length -1", "*1\r\n$-1\r\n", false, "invalid bulk length"},
	{"length not decimal", "*1\r\n$1e3\r\n", false, "invalid bulk length"},
	{"no length", "*1\r\n$\r\n", false, "invalid bulk length"},
	{"length beyond 64 bits", "*1\r\n$18446744073709551617\r\n", false, "invalid bulk length"},
	{"length that leads elsewhere", "*1\r\n$3\r\nabcd\r\n", false, "invalid bulk length"},
	{"length of a stranger", "*1\r\n$16385\r\n", true, "unauthenticated bulk length"},
	{"whole command", prefix + "$65536\r\n", false, "invalid bulk length"},
	{"endless count", "*" + strings.Repeat("1", 64<<10+1), false, "too big mbulk count string"},
	{"endless length", "*1\r\n$" + strings.Repeat("1", 64<<10+1), false, "too big bulk count string"},
	{"endless line", strings.Repeat("a", 64<<10+2), false, "too big inline request"},
	{"long line", strings.Repeat("a", 64<<10+1) + "\n", false, "too big inline request"},
	{"open quote", "a \"b\r\n", false, "unbalanced quotes in request"},
	{"open single quote", "a 'b\\'\n", false, "unbalanced quotes in request"},
	{"more behind a quote", "\"a\"b\r\n", false, "unbalanced quotes in request"},
	{"inline words", strings.Repeat("a ", 1025) + "\n", false, "invalid multibulk length"},
	{"inline words of a stranger", strings.Repeat("a ", 11) + "\n", true, "unauthenticated multibulk length"},
	{"inline length of a stranger", strings.Repeat("a", 16385) + "\n", true, "unauthenticated bulk length"},
	{"no dollar", "*1\r\nPING\r\n", false, "expected '$', got 'P'"},
	{"no dollar, high byte", "*1\r\n\xff", false, "expected '$', got '\xff'"},
}

func TestDecodeBounds(t *testing.T) {
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1 << 20, 4093, 7} {
				d := resp.NewDecoder()
				d.Stranger = tt.stranger
				text := ""
				for rest := []byte(tt.in); len(rest) > 0 && text == ""; rest = rest[min(size, len(rest)):] {
					got, err := d.Feed(rest[:min(size, len(rest))])
					if err != nil {
						text = err.Error()
					}
					if len(got) != 0 {
						t.Fatalf("found the command %.100q", got)
					}
				}
				if text != tt.want {
					t.Errorf("in pieces of %d: error %q, want %q", size, text, tt.want)
				}
			}
		})
	}
}

// TestBoundsOfStrangersAreMet shows that their bounds are no smaller than written.
func TestBoundsOfStrangersAreMet(t *testing.T) {
	d := resp.NewDecoder()
	d.Stranger = true
	words := []string{strings.Repeat("x", 16<<10), "2", "3", "4", "5", "6", "7", "8", "9", "10"}
	got, err := d.Feed([]byte(wire(words...)))
	if diff := cmp.Diff([][]string{words}, got); diff != "" || err != nil {
		t.Errorf("Feed: %v (-want +got)\n%.500s", err, diff)
	}
}

func TestAnnouncedLengthReservesNothing(t *testing.T) {
	for _, in := range []string{"*1024\r\n", "*1024\r\n$65536\r\n", "*1024\r\n$65536\r\nabc"} {
		d := resp.NewDecoder()
		if _, err := d.Feed([]byte(in)); err != nil {
			t.Fatal(err)
		}
		if got := d.Capacity(); got > 8<<10 {
			t.Errorf("after %q %d bytes are reserved", in, got)
		}
	}
}

func TestLargeCommandLeavesNothingBehind(t *testing.T) {
	d := resp.NewDecoder()
	var words []string
	for range 900 {
		words = append(words, strings.Repeat("x", 1000))
	}
	for _, in := range []string{wire(words...), wire("PING"), wire("PING")} {
		if _, err := d.Feed([]byte(in)); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.Capacity(); got > resp.KeepBuffer+4<<10 {
		t.Errorf("%d bytes stay reserved", got)
	}
}

// TestPiecesDoNotMatter cuts input at random places: what is found must not depend
// on how the network delivers it.
func TestPiecesDoNotMatter(t *testing.T) {
	part := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string {
			return wire(rapid.SliceOfN(rapid.StringN(0, 30, -1), 0, 6).Draw(t, "words")...)
		}),
		rapid.SampledFrom([]string{"PING\r\n", "a \"b\\x20c\" 'd'\n", "\r\n", "*-1\r\n", "*0\r\n", "*3\r\n", "$", "\"", "x"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		in := []byte(strings.Join(rapid.SliceOfN(part, 0, 8).Draw(t, "in"), ""))
		want, wantErr := resp.NewDecoder().Feed(bytes.Clone(in))
		d := resp.NewDecoder()
		var got [][]string
		var gotErr error
		for rest := in; len(rest) > 0 && gotErr == nil; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			var more [][]string
			more, gotErr = d.Feed(rest[:n])
			got, rest = append(got, more...), rest[n:]
		}
		if diff := cmp.Diff(want, got); diff != "" || fmt.Sprint(wantErr) != fmt.Sprint(gotErr) {
			t.Errorf("in one piece %v, in many %v (-one +many)\n%s", wantErr, gotErr, diff)
		}
	})
}

func TestParseInt(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "-0": 0, "+7": 7, "007": 7, "-12": -12,
		"9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63,
	} {
		if got, ok := resp.ParseInt([]byte(text)); got != want || !ok {
			t.Errorf("ParseInt(%q) = %d, %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "-", "+", "--1", "1 ", " 1", "1.0", "0x1", "9223372036854775808",
		"-9223372036854775809", "99999999999999999999", "\xb2"} {
		if got, ok := resp.ParseInt([]byte(text)); ok {
			t.Errorf("ParseInt(%q) = %d, want an error", text, got)
		}
	}
}
