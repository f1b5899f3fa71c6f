package ratefield_test

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/ratefield"
)

func TestSet(t *testing.T) {
	state := bucketring.LimitState{Name: "inline", Limit: 3, Remaining: 2, ResetAt: 1704067200, ResetAfter: time.Minute}
	wait := func(d time.Duration) bucketring.LimitState {
		s := state
		s.Remaining, s.RetryAfter = 0, d
		return s
	}
	full := http.Header{"X-RateLimit-Limit": {"3"}, "X-RateLimit-Remaining": {"0"}, "X-RateLimit-Reset": {"1704067200"}}
	retry := func(value string) http.Header {
		h := full.Clone()
		h["Retry-After"] = []string{value}
		return h
	}
	tests := []struct {
		name string
		d    bucketring.Decision
		want http.Header
	}{
		{"allowed", bucketring.Decision{Allowed: true, LimitState: state},
			http.Header{"X-RateLimit-Limit": {"3"}, "X-RateLimit-Remaining": {"2"}, "X-RateLimit-Reset": {"1704067200"}}},
		{"allowed, whatever the wait says", bucketring.Decision{Allowed: true, LimitState: wait(time.Minute)}, full},
		{"denied", bucketring.Decision{LimitState: wait(19001 * time.Millisecond)}, retry("20")},
		{"denied for less than a second", bucketring.Decision{LimitState: wait(1)}, retry("1")},
		{"denied for no time", bucketring.Decision{LimitState: wait(0)}, retry("1")},
		{"denied for ever", bucketring.Decision{LimitState: wait(bucketring.Never)}, full},
		{"denied for nearly ever", bucketring.Decision{LimitState: wait(bucketring.Never - 1)}, retry("9223372037")},
		{"owner away", bucketring.Decision{LimitState: wait(bucketring.Never), Source: bucketring.SourceFallbackClosed}, retry("1")},
		{"no reset", bucketring.Decision{Allowed: true},
			http.Header{"X-RateLimit-Limit": {"0"}, "X-RateLimit-Remaining": {"0"}}},
		{"reset before 1970", bucketring.Decision{Allowed: true, LimitState: bucketring.LimitState{ResetAt: -1}},
			http.Header{"X-RateLimit-Limit": {"0"}, "X-RateLimit-Remaining": {"0"}}},
		{"largest numbers", bucketring.Decision{
			LimitState: bucketring.LimitState{Limit: math.MaxInt64, Remaining: math.MaxInt64, ResetAt: math.MaxInt64, RetryAfter: time.Second}},
			http.Header{"X-RateLimit-Limit": {"9223372036854775807"}, "X-RateLimit-Remaining": {"9223372036854775807"},
				"X-RateLimit-Reset": {"9223372036854775807"}, "Retry-After": {"1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := http.Header{}
			ratefield.Set(got, &tt.d)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("header differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSetReplaces leaves one of each, whoever set them before.
func TestSetReplaces(t *testing.T) {
	got := http.Header{"X-RateLimit-Reset": {"7"}}
	for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After", "Other"} {
		got.Set(name, "7")
	}
	ratefield.Set(got, &bucketring.Decision{Allowed: true, LimitState: bucketring.LimitState{Limit: 3}})
	want := http.Header{"X-RateLimit-Limit": {"3"}, "X-RateLimit-Remaining": {"0"}, "Retry-After": {"7"}, "Other": {"7"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("header differs (-want +got):\n%s", diff)
	}
}

// TestValuesStandApart adds to one field and looks at its neighbours.
func TestValuesStandApart(t *testing.T) {
	h := http.Header{}
	ratefield.Set(h, &bucketring.Decision{LimitState: bucketring.LimitState{Limit: 3, Remaining: 2, ResetAt: 9}})
	for _, name := range []string{ratefield.Limit, ratefield.Remaining, ratefield.Reset, ratefield.Retry} {
		h[name] = append(h[name], "more")
	}
	want := http.Header{"X-RateLimit-Limit": {"3", "more"}, "X-RateLimit-Remaining": {"2", "more"},
		"X-RateLimit-Reset": {"9", "more"}, "Retry-After": {"1", "more"}}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("header differs (-want +got):\n%s", diff)
	}
}

func TestSeconds(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want int64
	}{
		{0, 0}, {-1, 0}, {math.MinInt64, 0},
		{1, 1}, {time.Second - 1, 1}, {time.Second, 1}, {time.Second + 1, 2},
		{bucketring.MaxRefill, 4 * 366 * 86400}, {bucketring.MaxRefill + 1, 4*366*86400 + 1},
		{math.MaxInt64, 9223372037},
	}
	for _, tt := range tests {
		if got := ratefield.Seconds(tt.d); got != tt.want {
			t.Errorf("Seconds(%d) = %d, want %d", tt.d, got, tt.want)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	h := http.Header{}
	d := bucketring.Decision{LimitState: bucketring.LimitState{Limit: 500, ResetAt: 1704067200, RetryAfter: 20 * time.Second}}
	b.ReportAllocs()
	for b.Loop() {
		ratefield.Set(h, &d)
	}
}
