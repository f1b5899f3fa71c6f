package ratefield_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/internal/ratefield"
)

const (
	minute = time.Minute
	hour   = time.Hour
	day    = 24 * time.Hour
)

// plaud is the state after the 11th request of a client in a minute.
func plaud() []ratefield.State {
	return []ratefield.State{
		{Name: "client-minute", Limit: 10, Remaining: 0, Window: minute, Next: 6 * time.Second},
		{Name: "user-minute", Limit: 10, Remaining: 0, Window: minute, Next: 6 * time.Second},
		{Name: "client-hour", Limit: 200, Remaining: 190, Window: hour, Next: 18 * time.Second},
		{Name: "client-day", Limit: 1000, Remaining: 990, Window: day, Next: 86400 * time.Millisecond},
	}
}

// TestDraft11Lists are the examples that people were shown.
func TestDraft11Lists(t *testing.T) {
	tests := []struct {
		name          string
		states        []ratefield.State
		policy, state string
	}{
		{"VoiceDub, second POST of the minute", []ratefield.State{
			{Name: "global-minute", Limit: 15000, Remaining: 14998, Window: minute, Next: 30 * time.Second},
			{Name: "write-minute", Limit: 500, Remaining: 498, Window: minute, Next: 30 * time.Second},
			{Name: "write-hour", Limit: 20000, Remaining: 19998, Window: hour, Next: 30 * time.Second},
		},
			`"global-minute";q=15000;w=60, "write-minute";q=500;w=60, "write-hour";q=20000;w=3600`,
			`"global-minute";r=14998;t=30, "write-minute";r=498;t=30, "write-hour";r=19998;t=30`},
		{"Plaud, 11th request", plaud(),
			`"client-minute";q=10;w=60, "user-minute";q=10;w=60, "client-hour";q=200;w=3600, "client-day";q=1000;w=86400`,
			`"client-minute";r=0;t=6, "user-minute";r=0;t=6, "client-hour";r=190;t=18, "client-day";r=990;t=87`},
		{"10 concurrent jobs", []ratefield.State{{Name: "jobs", Unit: "jobs", Limit: 10, Remaining: 3, Concurrency: true}},
			`"jobs";q=10;qu="concurrent-requests"`, `"jobs";r=3`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := fields{{"Before", "x"}, {"RateLimit-Policy", tt.policy}, {"RateLimit", tt.state}}
			got := ratefield.AppendIETF(fields{{"Before", "x"}}, tt.states)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("fields differ (-want +got):\n%s", diff)
			}
		})
	}
	if got := ratefield.AppendIETF(fields(nil), nil); got != nil {
		t.Errorf("AppendIETF of no state = %v, want no field", got)
	}
}

func TestDraft11Parameters(t *testing.T) {
	const most = "999999999999999"
	tests := []struct {
		name          string
		s             ratefield.State
		policy, state string // behind the name
	}{
		{"nothing used", ratefield.State{Limit: 5, Remaining: 5, Window: minute}, ";q=5;w=60", ";r=5"},
		{"t rounds up", ratefield.State{Limit: 5, Remaining: 4, Window: minute, Next: 1}, ";q=5;w=60", ";r=4;t=1"},
		{"no time brings more", ratefield.State{Window: minute, Next: math.MaxInt64}, ";q=0;w=60", ";r=0"},
		{"a window longer than the calendar's", ratefield.State{Limit: 1, Window: 31*day + 1}, ";q=1;w=2678400", ";r=0"},
		{"requests", ratefield.State{Unit: "requests", Window: minute}, ";q=0;w=60", ";r=0"},
		{"bytes", ratefield.State{Unit: "bytes", Limit: 1e6, Window: time.Second}, `;q=1000000;w=1;qu="content-bytes"`, ";r=0"},
		{"another unit", ratefield.State{Unit: "minutes", Limit: 45200, Remaining: 45199, Precision: 3, Window: day},
			`;q=45;w=86400;bucketring-unit="minutes"`, ";r=45"},
		{"burst", ratefield.State{Limit: 10, Burst: 50, Remaining: 49, Window: minute, Next: 6 * time.Second},
			";q=10;w=60;bucketring-burst=50", ";r=49;t=6"},
		{"burst and unit", ratefield.State{Unit: "credits", Limit: 10, Burst: 5, Window: minute},
			`;q=10;w=60;bucketring-unit="credits";bucketring-burst=5`, ";r=0"},
		{"burst that is the limit", ratefield.State{Limit: 10, Burst: 10, Window: minute}, ";q=10;w=60", ";r=0"},
		{"level", ratefield.State{Unit: "bytes", Limit: 25e9, Remaining: 24e9, Next: minute}, `;q=25000000000;qu="content-bytes"`, ";r=24000000000"},
		{"concurrency has no time", ratefield.State{Concurrency: true, Window: minute, Next: minute}, `;q=0;qu="concurrent-requests"`, ";r=0"},
		{"below nothing", ratefield.State{Limit: -5, Burst: -5, Remaining: -5, Window: -minute, Next: -1}, ";q=0", ";r=0"},
		{"largest numbers", ratefield.State{Limit: math.MaxInt64 - 1, Burst: math.MaxInt64, Remaining: math.MaxInt64,
			Window: math.MaxInt64, Next: math.MaxInt64 - 1},
			";q=" + most + ";w=9223372036;bucketring-burst=" + most, ";r=" + most + ";t=9223372037"},
		{"largest number", ratefield.State{Limit: 1e15 - 1, Remaining: 1e15}, ";q=" + most, ";r=" + most},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.Name = "a"
			want := fields{{"RateLimit-Policy", `"a"` + tt.policy}, {"RateLimit", `"a"` + tt.state}}
			got := ratefield.AppendIETF(fields(nil), []ratefield.State{tt.s})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("fields differ (-want +got):\n%s", diff)
			}
			parseList(t, got[0].Value)
			parseList(t, got[1].Value)
		})
	}
}

func TestDraft11Names(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"", `""`},
		{"client-minute", `"client-minute"`},
		{` !~`, `" !~"`},
		{`a"b\c`, `"a\"b\\c"`},
		{`";q=1, "x`, `"\";q=1, \"x"`},
		{"a\r\nSet-Cookie: b\x00\x7f\t", `"a??Set-Cookie: b???"`},
		{"é\u2028😀\xff", `"????"`},
	} {
		got := ratefield.AppendIETF(fields(nil), []ratefield.State{{Name: tt.name, Unit: tt.name + "."}})
		unit := strings.TrimSuffix(tt.want, `"`) + `."`
		want := fields{{"RateLimit-Policy", tt.want + ";q=0;bucketring-unit=" + unit}, {"RateLimit", tt.want + ";r=0"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("fields of %q differ (-want +got):\n%s", tt.name, diff)
		}
	}
}

// FuzzDraft11 holds what comes out against the grammar, whatever goes in.
func FuzzDraft11(f *testing.F) {
	f.Add("client-minute", "", int64(10), int64(0), int64(0), uint8(0), false, int64(minute), int64(6*time.Second))
	f.Add("a\"\\\r\n", "é", int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MinInt64), uint8(7), true, int64(math.MaxInt64), int64(math.MaxInt64-1))
	f.Fuzz(func(t *testing.T, name, unit string, limit, burst, remaining int64, precision uint8, concurrency bool, window, next int64) {
		s := ratefield.State{Name: name, Unit: unit, Limit: limit, Burst: burst, Remaining: remaining, Precision: precision,
			Concurrency: concurrency, Window: time.Duration(window), Next: time.Duration(next),
			ResetAt: remaining, ResetAfter: time.Duration(next)}
		got := ratefield.AppendIETF(fields(nil), []ratefield.State{s, {Name: "next"}, s})
		policy, state := parseList(t, got[0].Value), parseList(t, got[1].Value)
		if len(policy) != 3 || len(state) != 3 {
			t.Fatalf("items = %d and %d, want 3: %v", len(policy), len(state), got)
		}
		for i := range policy {
			if policy[i].name != state[i].name {
				t.Errorf("item %d is of %q and of %q", i, policy[i].name, state[i].name)
			}
		}
		for _, delta := range []bool{false, true} {
			for _, x := range ratefield.AppendXRateLimit(fields(nil), &s, delta) {
				if strings.Trim(x.Value, "0123456789") != "" || x.Value == "" {
					t.Errorf("%s = %q, want digits only", x.Name, x.Value)
				}
			}
		}
	})
}

// BenchmarkIETF is what a policy of four limits costs.
func BenchmarkIETF(b *testing.B) {
	states := plaud()
	b.ReportAllocs()
	for b.Loop() {
		var room [2]struct{ Name, Value string }
		ratefield.AppendIETF(room[:0], states)
	}
}
