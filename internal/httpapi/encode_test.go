package httpapi_test

import (
	"encoding/json"
	"io"
	"math"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
)

// decode reads JSON with the standard library, strictly where T is a struct.
func decode[T any](t *testing.T, r io.Reader) T {
	t.Helper()
	var v T
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		t.Fatalf("answer is not JSON: %v", err)
	}
	return v
}

// TestDecisionFields names every field once more, for a reader that is not
// ours.
func TestDecisionFields(t *testing.T) {
	type limit struct {
		Name       string `json:"name"`
		Allowed    bool   `json:"allowed"`
		Limit      int64  `json:"limit"`
		Remaining  int64  `json:"remaining"`
		ResetAt    int64  `json:"reset_at"`
		RetryAfter *int64 `json:"retry_after"`
	}
	type decision struct {
		limit
		ResetAfter  float64  `json:"reset_after"`
		Policy      string   `json:"policy"`
		Limits      []limit  `json:"limits"`
		Leases      []string `json:"leases"`
		Reservation string   `json:"reservation"`
		Source      string   `json:"source"`
		Degraded    bool     `json:"degraded"`
		Node        string   `json:"node"`
		Owner       string   `json:"owner"`
	}
	w := serve(newHandler(answering(largest(), nil)), request("/v1/take?key=a&limit=3/m", ""))
	dec := json.NewDecoder(w.Body)
	dec.DisallowUnknownFields()
	var d decision
	if err := dec.Decode(&d); err != nil {
		t.Fatal(err)
	}
	if d.Limit != math.MaxInt64 || d.Remaining != math.MaxInt64 || d.ResetAt != math.MaxInt64 {
		t.Errorf("numbers = %d %d %d, want the largest int64", d.Limit, d.Remaining, d.ResetAt)
	}
	if d.RetryAfter == nil || *d.RetryAfter != 0 || d.Leases == nil || len(d.Limits) != 1 {
		t.Errorf("retry_after %v, leases %v, limits %v, want 0, [] and one", d.RetryAfter, d.Leases, d.Limits)
	}
}

func TestEverySourceIsNamed(t *testing.T) {
	for _, source := range bucketring.Sources() {
		d := with(allowed(), func(d *bucketring.Decision) { d.Source = source })
		w := serve(newHandler(answering(d, nil)), request("/v1/take?key=a&limit=3/m", ""))
		if got := decode[struct{ Source string }](t, w.Body).Source; got != source.String() {
			t.Errorf("source = %q, want %q", got, source)
		}
	}
}

func TestAppendSeconds(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want string
	}{
		{0, "0"}, {-1, "0"}, {math.MinInt64, "0"},
		{1, "0.001"}, {time.Millisecond, "0.001"}, {time.Millisecond + 1, "0.002"},
		{59200 * time.Millisecond, "59.2"}, {59210 * time.Millisecond, "59.21"}, {59010 * time.Millisecond, "59.01"},
		{time.Second - 1, "1"}, {time.Minute, "60"}, {100 * time.Second, "100"},
		{math.MaxInt64, "9223372036.855"},
	}
	for _, tt := range tests {
		if got := string(httpapi.AppendSeconds(nil, tt.d)); got != tt.want {
			t.Errorf("AppendSeconds(%d) = %s, want %s", tt.d, got, tt.want)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\/", "\x00\x1f\x7f", "\xff", "é\xe9é", "\u2028", "😀", "\xed\xa0\x80", "\xc3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := httpapi.AppendString([]byte("x"), s)
		var got string
		if err := json.Unmarshal(b[1:], &got); err != nil {
			t.Fatalf("AppendString(%q) = %s: %v", s, b[1:], err)
		}
		if want := string([]rune(s)); got != want {
			t.Errorf("AppendString(%q) reads as %q, want %q", s, got, want)
		}
	})
}
