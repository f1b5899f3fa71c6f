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

// header is a caller's type of fields.
type header struct{ Name, Value string }

type fields = []header

func TestAppendRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		seconds int64
		want    fields
	}{
		{-1, nil}, {0, nil},
		{1, fields{{"Retry-After", "1"}}},
		{math.MaxInt64, fields{{"Retry-After", "9223372036854775807"}}},
	} {
		got := ratefield.AppendRetryAfter(fields(nil), tt.seconds)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("AppendRetryAfter(%d) differs (-want +got):\n%s", tt.seconds, diff)
		}
	}
}

// TestSetReplaces leaves one of each, whoever set them before, and no rate field
// of an earlier answer.
func TestSetReplaces(t *testing.T) {
	rate := []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit"}
	for _, tt := range []struct {
		name   string
		fields fields
		want   http.Header
	}{
		{"no field", nil, http.Header{"Retry-After": {"7"}, "Other": {"7"}}},
		{"some", fields{{"X-RateLimit-Limit", "3"}, {"RateLimit", `"a";r=3`}},
			http.Header{"X-RateLimit-Limit": {"3"}, "RateLimit": {`"a";r=3`}, "Retry-After": {"7"}, "Other": {"7"}}},
		{"wait", fields{{"Retry-After", "1"}}, http.Header{"Retry-After": {"1"}, "Other": {"7"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := http.Header{"Retry-After": {"7"}, "Other": {"7"}}
			for _, name := range rate {
				got[name] = []string{"7", "8"}
				got[http.CanonicalHeaderKey(name)] = []string{"9"}
			}
			ratefield.Set(got, tt.fields)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("header differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestValuesStandApart adds to one field and looks at its neighbours.
func TestValuesStandApart(t *testing.T) {
	got := http.Header{}
	ratefield.Set(got, fields{{"A", "1"}, {"B", "2"}, {"C", "3"}})
	for name := range got {
		got[name] = append(got[name], "more")
	}
	want := http.Header{"A": {"1", "more"}, "B": {"2", "more"}, "C": {"3", "more"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("header differs (-want +got):\n%s", diff)
	}
}

func TestWait(t *testing.T) {
	for _, tt := range []struct {
		retry time.Duration
		want  int64
	}{
		{-1, 1}, {0, 1}, {1, 1}, {time.Second, 1}, {19001 * time.Millisecond, 20},
		{bucketring.Never - 1, 9223372037}, {bucketring.Never, 0},
	} {
		if got := ratefield.Wait(tt.retry); got != tt.want {
			t.Errorf("Wait(%d) = %d, want %d", tt.retry, got, tt.want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want int64
	}{
		{0, 0}, {-1, 0}, {math.MinInt64, 0},
		{1, 1}, {time.Second - 1, 1}, {time.Second, 1}, {time.Second + 1, 2},
		{bucketring.MaxRefill, 4 * 366 * 86400}, {bucketring.MaxRefill + 1, 4*366*86400 + 1},
		{math.MaxInt64, 9223372037},
	} {
		if got := ratefield.Seconds(tt.d); got != tt.want {
			t.Errorf("Seconds(%d) = %d, want %d", tt.d, got, tt.want)
		}
	}
}

// BenchmarkSet is what an inline limit costs.
func BenchmarkSet(b *testing.B) {
	h := http.Header{}
	s := ratefield.State{Limit: 500, ResetAt: 1704067200}
	b.ReportAllocs()
	for b.Loop() {
		clear(h)
		var room [4]bucketring.Header
		f := ratefield.AppendXRateLimit(room[:0], &s, false)
		ratefield.Set(h, ratefield.AppendRetryAfter(f, 20))
	}
}
