package bucketring_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
)

const day = 24 * time.Hour

func TestNamesOfEnums(t *testing.T) {
	// The names stand in limits, policies, answers and metrics: they are API.
	tests := []struct {
		got  fmt.Stringer
		want string
	}{
		{bucketring.KindRate, "rate"},
		{bucketring.KindConcurrency, "concurrency"},
		{bucketring.KindLevel, "level"},
		{bucketring.KindCap, "cap"},
		{bucketring.KindRegister, "register"},
		{bucketring.Kind(5), "kind(5)"},
		{bucketring.TokenBucket, "token_bucket"},
		{bucketring.FixedWindow, "fixed_window"},
		{bucketring.SlidingWindow, "sliding_window"},
		{bucketring.Cell, "cell"},
		{bucketring.Algorithm(4), "algorithm(4)"},
		{bucketring.AlignEpoch, "epoch"},
		{bucketring.AlignFirstRequest, "first_request"},
		{bucketring.AlignCalendar, "calendar"},
		{bucketring.Align(3), "align(3)"},
		{bucketring.UnavailableLocal, "local"},
		{bucketring.UnavailableAllow, "allow"},
		{bucketring.UnavailableDeny, "deny"},
		{bucketring.Unavailable(3), "unavailable(3)"},
		{bucketring.Leased, "leased"},
		{bucketring.Strict, "strict"},
		{bucketring.Approx, "approx"},
		{bucketring.Accuracy(3), "accuracy(3)"},
		{bucketring.VerbTake, "take"},
		{bucketring.VerbPeek, "peek"},
		{bucketring.VerbRefund, "refund"},
		{bucketring.VerbReset, "reset"},
		{bucketring.VerbRenew, "renew"},
		{bucketring.VerbRelease, "release"},
		{bucketring.VerbSettle, "settle"},
		{bucketring.VerbAdd, "add"},
		{bucketring.VerbSet, "set"},
		{bucketring.VerbUsage, "usage"},
		{bucketring.VerbStep, "step"},
		{bucketring.Verb(11), "verb(11)"},
		{bucketring.SourceOwner, "owner"},
		{bucketring.SourceReplica, "replica"},
		{bucketring.SourceLease, "lease"},
		{bucketring.SourceDeniedCache, "denied_cache"},
		{bucketring.SourceFallbackShare, "fallback_share"},
		{bucketring.SourceFallbackOpen, "fallback_open"},
		{bucketring.SourceFallbackClosed, "fallback_closed"},
		{bucketring.Source(7), "source(7)"},
		{bucketring.Source(255), "source(255)"},
	}
	for _, tt := range tests {
		if got := tt.got.String(); got != tt.want {
			t.Errorf("%T.String() = %q, want %q", tt.got, got, tt.want)
		}
	}
}

func TestListsOfEnums(t *testing.T) {
	// A list that lacks a value silently loses a parser, a fuzz test or a metric.
	wantAlgorithms := []bucketring.Algorithm{bucketring.TokenBucket, bucketring.FixedWindow, bucketring.SlidingWindow}
	if diff := cmp.Diff(wantAlgorithms, bucketring.Algorithms()); diff != "" {
		t.Errorf("Algorithms() (-want +got):\n%s", diff)
	}
	wantSources := []bucketring.Source{bucketring.SourceOwner, bucketring.SourceReplica, bucketring.SourceLease,
		bucketring.SourceDeniedCache, bucketring.SourceFallbackShare, bucketring.SourceFallbackOpen, bucketring.SourceFallbackClosed}
	if diff := cmp.Diff(wantSources, bucketring.Sources()); diff != "" {
		t.Errorf("Sources() (-want +got):\n%s", diff)
	}
}

func TestLimitValidate(t *testing.T) {
	with := func(change func(*bucketring.Limit)) bucketring.Limit {
		l := bucketring.Limit{Name: "x", Amount: 10, Per: time.Minute}
		change(&l)
		return l
	}
	tests := []struct {
		name string
		l    bucketring.Limit
		want string // part of the error, empty for none
	}{
		{"plain", with(func(l *bucketring.Limit) {}), ""},
		{"amount 0 always denies", with(func(l *bucketring.Limit) { l.Amount = 0 }), ""},
		{"largest amount", with(func(l *bucketring.Limit) { l.Amount = math.MaxInt64 }), ""},
		{"negative amount", with(func(l *bucketring.Limit) { l.Amount = -1 }), "negative amount or burst"},
		{"negative burst", with(func(l *bucketring.Limit) { l.Burst = -1 }), "negative amount or burst"},
		{"no window", with(func(l *bucketring.Limit) { l.Per = 0 }), "has a window of 0s"},
		{"negative window", with(func(l *bucketring.Limit) { l.Per = -time.Second }), "has a window of -1s"},
		{"shortest window", with(func(l *bucketring.Limit) { l.Per = time.Second }), ""},
		{"shorter than a second", with(func(l *bucketring.Limit) { l.Per = 999 * time.Millisecond }), "whole seconds from 1s to 366d"},
		{"a second and a half", with(func(l *bucketring.Limit) { l.Per = 1500 * time.Millisecond }), "has a window of 1.5s"},
		{"longest window", with(func(l *bucketring.Limit) { l.Per = bucketring.MaxPer }), ""},
		{"longer window", with(func(l *bucketring.Limit) { l.Per = bucketring.MaxPer + time.Second }), "from 1s to 366d"},
		{"burst below amount", with(func(l *bucketring.Limit) { l.Burst = 1 }), ""},
		{"burst of a fixed window", with(func(l *bucketring.Limit) { l.Burst, l.Algorithm = 1, bucketring.FixedWindow }), "only a token bucket"},
		{"burst of a sliding window", with(func(l *bucketring.Limit) { l.Burst, l.Algorithm = 1, bucketring.SlidingWindow }), "only a token bucket"},
		{"burst without amount", with(func(l *bucketring.Limit) { l.Amount, l.Burst = 0, 1 }), "no amount to refill it"},
		{"aligned fixed window", with(func(l *bucketring.Limit) {
			l.Algorithm, l.Align = bucketring.FixedWindow, bucketring.AlignFirstRequest
		}), ""},
		{"aligned bucket", with(func(l *bucketring.Limit) { l.Align = bucketring.AlignFirstRequest }), "only a fixed window"},
		{"refill of 4 years", with(func(l *bucketring.Limit) { l.Amount, l.Burst, l.Per = 1, 4*366, day }), ""},
		{"refill of a day more", with(func(l *bucketring.Limit) { l.Amount, l.Burst, l.Per = 1, 4*366+1, day }),
			"more than 4 years to refill a burst of 1465"},
		{"refill beyond 64 bits", with(func(l *bucketring.Limit) { l.Amount, l.Burst, l.Per = 1, math.MaxInt64, bucketring.MaxPer }),
			"more than 4 years"},
		{"refill just beyond 64 bits", with(func(l *bucketring.Limit) { l.Amount, l.Burst, l.Per = 1, 213504, day }), "more than 4 years"},
		{"large burst with large amount", with(func(l *bucketring.Limit) {
			l.Amount, l.Burst, l.Per = math.MaxInt64/5, math.MaxInt64, bucketring.MaxPer
		}), "more than 4 years"},
		{"largest burst and amount", with(func(l *bucketring.Limit) { l.Amount, l.Burst = math.MaxInt64, math.MaxInt64 }), ""},
		{"unknown algorithm", with(func(l *bucketring.Limit) { l.Algorithm = 4 }), "unknown algorithm, align, unavailable or accuracy"},
		{"cell", with(func(l *bucketring.Limit) { l.Algorithm, l.Burst, l.Per = bucketring.Cell, 3, math.MaxInt64 }), ""},
		{"cell of less than a second", with(func(l *bucketring.Limit) { l.Algorithm, l.Burst, l.Per = bucketring.Cell, 3, 1 }), "algorithm cell needs"},
		{"cell without burst", with(func(l *bucketring.Limit) { l.Algorithm = bucketring.Cell }), "algorithm cell needs"},
		{"unknown align", with(func(l *bucketring.Limit) { l.Align = 9 }), "unknown algorithm"},
		{"unknown unavailable", with(func(l *bucketring.Limit) { l.Unavailable = 3 }), "unknown algorithm"},
		{"unknown accuracy", with(func(l *bucketring.Limit) { l.Accuracy = 3 }), "unknown algorithm"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkInvalid(t, tt.l.Validate(), tt.want) })
	}
}

func TestCalendarLimitValidate(t *testing.T) {
	with := func(change func(*bucketring.Limit)) bucketring.Limit {
		l := bucketring.Limit{Name: "x", Amount: 10, Per: day, Algorithm: bucketring.FixedWindow, Align: bucketring.AlignCalendar}
		change(&l)
		return l
	}
	per := func(per time.Duration) bucketring.Limit { return with(func(l *bucketring.Limit) { l.Per = per }) }
	zone := func(zone string) bucketring.Limit { return with(func(l *bucketring.Limit) { l.Zone = zone }) }
	aligned := func(align bucketring.Align, per time.Duration) bucketring.Limit {
		return with(func(l *bucketring.Limit) { l.Align, l.Per = align, per })
	}
	tests := []struct {
		name string
		l    bucketring.Limit
		want string
	}{
		{"day", per(day), ""},
		{"minute", per(time.Minute), ""},
		{"hour", per(time.Hour), ""},
		{"week", per(7 * day), ""},
		{"month", per(bucketring.Month), ""},
		{"year", per(bucketring.Year), ""},
		{"second", per(time.Second), "follows the calendar, which has no window of 1s: use 1m, 1h, 1d, 1w, 1month or 1y"},
		{"two days", per(2 * day), "has no window of 48h0m0s"},
		{"31 days", per(31 * day), "has no window of 744h0m0s"},
		{"366 days", per(bucketring.MaxPer), "has no window of 8784h0m0s"},
		{"just above a year", per(bucketring.Year + 1), "whole seconds from 1s to 366d"},
		{"months from the first request", aligned(bucketring.AlignFirstRequest, bucketring.Month), ""},
		{"years from the first request", aligned(bucketring.AlignFirstRequest, bucketring.Year), ""},
		{"months from the epoch", aligned(bucketring.AlignEpoch, bucketring.Month), "months or years, which need a calendar or a first request"},
		{"years from the epoch", aligned(bucketring.AlignEpoch, bucketring.Year), "months or years"},
		{"months of a bucket", with(func(l *bucketring.Limit) {
			l.Algorithm, l.Align, l.Per = bucketring.TokenBucket, bucketring.AlignEpoch, bucketring.Month
		}), "months or years"},
		{"calendar of a bucket", with(func(l *bucketring.Limit) { l.Algorithm = bucketring.TokenBucket }), "only a fixed window can be"},
		{"calendar of a sliding window", with(func(l *bucketring.Limit) { l.Algorithm = bucketring.SlidingWindow }), "only a fixed window can be"},
		{"UTC", zone("UTC"), ""},
		{"zone", zone("Europe/Berlin"), ""},
		{"unknown zone", zone("Europe/Berln"), `has the unknown time zone "Europe/Berln": use an IANA name such as Europe/Berlin`},
		{"zone of the machine", zone("Local"), `unknown time zone "Local"`},
		{"path", zone("../../etc/passwd"), "unknown time zone"},
		{"zone of months from the first request", with(func(l *bucketring.Limit) {
			l.Align, l.Per, l.Zone = bucketring.AlignFirstRequest, bucketring.Month, "Europe/Berlin"
		}), ""},
		{"zone without a calendar", with(func(l *bucketring.Limit) { l.Align, l.Zone = bucketring.AlignEpoch, "UTC" }), "only calendar windows follow"},
		{"ttl", with(func(l *bucketring.Limit) { l.TTL = time.Minute }), "a ttl, which only concurrency limits have"},
		{"age", with(func(l *bucketring.Limit) { l.MaxAge = time.Minute }), "a ttl, which only concurrency limits have"},
		{"most decimals", with(func(l *bucketring.Limit) { l.Precision = 6 }), ""},
		{"more decimals", with(func(l *bucketring.Limit) { l.Precision = 7 }), "precision of 7, at most 6 decimals are kept"},
		{"limit of a policy", with(func(l *bucketring.Limit) { l.ID = 1 }), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkInvalid(t, tt.l.Validate(), tt.want) })
	}
}

func TestHeldLimitValidate(t *testing.T) {
	held := func(kind bucketring.Kind, ttl time.Duration, change func(*bucketring.Limit)) bucketring.Limit {
		l := bucketring.Limit{Name: "x", Amount: 10, Kind: kind, TTL: ttl}
		change(&l)
		return l
	}
	nothing := func(*bucketring.Limit) {}
	leases := func(change func(*bucketring.Limit)) bucketring.Limit {
		return held(bucketring.KindConcurrency, time.Minute, change)
	}
	const noWindow = "which has no window, burst, algorithm, align or zone"
	tests := []struct {
		name string
		l    bucketring.Limit
		want string
	}{
		{"leases", leases(nothing), ""},
		{"no leases at all", leases(func(l *bucketring.Limit) { l.Amount = 0 }), ""},
		{"shortest ttl", leases(func(l *bucketring.Limit) { l.TTL = time.Second }), ""},
		{"shorter ttl", leases(func(l *bucketring.Limit) { l.TTL = time.Second - 1 }), "has a ttl of 999.999999ms, it must be at least 1s"},
		{"no ttl", leases(func(l *bucketring.Limit) { l.TTL = 0 }), "has a ttl of 0s"},
		{"age as ttl", leases(func(l *bucketring.Limit) { l.MaxAge = l.TTL }), ""},
		{"age below ttl", leases(func(l *bucketring.Limit) { l.MaxAge = l.TTL - 1 }), "less than its ttl"},
		{"negative age", leases(func(l *bucketring.Limit) { l.MaxAge = -1 }), "less than its ttl"},
		{"window", leases(func(l *bucketring.Limit) { l.Per = time.Minute }), "is a concurrency limit, " + noWindow},
		{"burst", leases(func(l *bucketring.Limit) { l.Burst = 1 }), noWindow},
		{"algorithm", leases(func(l *bucketring.Limit) { l.Algorithm = bucketring.FixedWindow }), noWindow},
		{"align", leases(func(l *bucketring.Limit) { l.Align = bucketring.AlignCalendar }), noWindow},
		{"zone", leases(func(l *bucketring.Limit) { l.Zone = "UTC" }), noWindow},
		{"negative", leases(func(l *bucketring.Limit) { l.Amount = -1 }), "negative amount"},
		{"unknown accuracy", leases(func(l *bucketring.Limit) { l.Accuracy = 3 }), "unknown algorithm, align, unavailable or accuracy"},
		{"decimals", leases(func(l *bucketring.Limit) { l.Precision = 7 }), "precision of 7"},
		{"level", held(bucketring.KindLevel, 0, nothing), ""},
		{"level without end", held(bucketring.KindLevel, 0, func(l *bucketring.Limit) { l.Amount = bucketring.Unlimited }), ""},
		{"level with a ttl", held(bucketring.KindLevel, time.Minute, nothing), "a ttl, which only concurrency limits have"},
		{"level with a window", held(bucketring.KindLevel, 0, func(l *bucketring.Limit) { l.Per = day }), "is a level limit, " + noWindow},
		{"cap", held(bucketring.KindCap, 0, nothing), "is a cap, which has no counter"},
		{"unknown kind", held(5, 0, nothing), "has the unknown kind 5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkInvalid(t, tt.l.Validate(), tt.want) })
	}
}

func TestLimitLocation(t *testing.T) {
	for zone, want := range map[string]string{"": "UTC", "UTC": "UTC", "Europe/Berlin": "Europe/Berlin", "Asia/Kathmandu": "Asia/Kathmandu"} {
		l := bucketring.Limit{Zone: zone}
		for range 2 { // the second time from what was loaded
			if got, err := l.Location(); err != nil || got.String() != want {
				t.Errorf("Location of %q = %v, %v, want %s", zone, got, err, want)
			}
		}
	}
	for _, zone := range []string{"Local", "Mars", "europe//berlin", "../UTC", "/etc/localtime"} {
		l := bucketring.Limit{Zone: zone}
		if got, err := l.Location(); err == nil {
			t.Errorf("Location of %q = %v, want an error", zone, got)
		}
	}
}

// checkInvalid expects no error for an empty want, else an ErrInvalid which
// contains want.
func checkInvalid(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("Validate() = %v, want no error", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("Validate() = %v, want an error with %q", err, want)
	case want != "" && !errors.Is(err, bucketring.ErrInvalid):
		t.Errorf("errors.Is(%v, ErrInvalid) = false, want true", err)
	}
}

func TestLimitCapacity(t *testing.T) {
	tests := []struct {
		l    bucketring.Limit
		want int64
	}{
		{bucketring.Limit{Amount: 10}, 10},
		{bucketring.Limit{Amount: 10, Burst: 3}, 3},
		{bucketring.Limit{Amount: 10, Burst: 30}, 30},
		{bucketring.Limit{Amount: 10, Algorithm: bucketring.FixedWindow}, 10},
		{bucketring.Limit{Amount: 10, Burst: 30, Algorithm: bucketring.SlidingWindow}, 10},
		{bucketring.Limit{}, 0},
	}
	for _, tt := range tests {
		if got := tt.l.Capacity(); got != tt.want {
			t.Errorf("Capacity(%+v) = %d, want %d", tt.l, got, tt.want)
		}
	}
}

func TestLimitSameCounter(t *testing.T) {
	base := bucketring.Limit{Name: "a", Algorithm: bucketring.FixedWindow, Amount: 1, Per: time.Hour}
	tests := []struct {
		name   string
		change func(*bucketring.Limit)
		want   bool
	}{
		{"nothing", func(l *bucketring.Limit) {}, true},
		{"name", func(l *bucketring.Limit) { l.Name = "b" }, true},
		{"amount", func(l *bucketring.Limit) { l.Amount = 2 }, true},
		{"burst", func(l *bucketring.Limit) { l.Burst = 2 }, true},
		{"unavailable", func(l *bucketring.Limit) { l.Unavailable = bucketring.UnavailableDeny }, true},
		{"accuracy", func(l *bucketring.Limit) { l.Accuracy = bucketring.Strict }, true},
		{"window", func(l *bucketring.Limit) { l.Per = time.Minute }, false},
		{"algorithm", func(l *bucketring.Limit) { l.Algorithm = bucketring.SlidingWindow }, false},
		{"align", func(l *bucketring.Limit) { l.Align = bucketring.AlignFirstRequest }, false},
		{"ttl", func(l *bucketring.Limit) { l.TTL = time.Hour }, true},
		{"age", func(l *bucketring.Limit) { l.MaxAge = time.Hour }, true},
		{"id", func(l *bucketring.Limit) { l.ID = 1 }, false},
		{"kind", func(l *bucketring.Limit) { l.Kind = bucketring.KindLevel }, false},
		{"precision", func(l *bucketring.Limit) { l.Precision = 1 }, false},
		{"zone", func(l *bucketring.Limit) { l.Zone = "Europe/Berlin" }, false},
	}
	for _, tt := range tests {
		other := base
		tt.change(&other)
		if got := base.SameCounter(&other); got != tt.want {
			t.Errorf("SameCounter after a change of %s = %v, want %v", tt.name, got, tt.want)
		}
		if got := other.SameCounter(&base); got != tt.want {
			t.Errorf("SameCounter after a change of %s, the other way = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Another rate of a policy's bucket is not another bucket; inline, a window is one.
func TestBucketOfAPolicyKeepsItsCounter(t *testing.T) {
	for id, want := range map[uint64]bool{0: false, 7: true} {
		minute := bucketring.Limit{ID: id, Amount: 10, Per: time.Minute}
		hour := bucketring.Limit{ID: id, Amount: 10, Per: time.Hour}
		if got := minute.SameCounter(&hour); got != want {
			t.Errorf("SameCounter of two rates with the ID %d = %v, want %v", id, got, want)
		}
	}
}

func TestLimitString(t *testing.T) {
	tests := []struct {
		l    bucketring.Limit
		want string
	}{
		{bucketring.Limit{Amount: 5, Per: time.Second}, "5/s"},
		{bucketring.Limit{Amount: 5, Per: 30 * time.Second}, "5/30s"},
		{bucketring.Limit{Amount: 5, Per: 90 * time.Second}, "5/90s"},
		{bucketring.Limit{Amount: 5, Per: 120 * time.Second}, "5/2m"},
		{bucketring.Limit{Amount: 0, Per: time.Hour}, "0/h"},
		{bucketring.Limit{Amount: 5, Per: 36 * time.Hour}, "5/36h"},
		{bucketring.Limit{Amount: 5, Per: day}, "5/d"},
		{bucketring.Limit{Amount: 5, Per: 7 * day}, "5/7d"},
		{bucketring.Limit{Amount: math.MaxInt64, Per: bucketring.MaxPer}, "9223372036854775807/366d"},
		{bucketring.Limit{Amount: 5, Per: time.Minute, Burst: 7, Accuracy: bucketring.Strict, Unavailable: bucketring.UnavailableDeny},
			"5/m burst=7 accuracy=strict unavailable=deny"},
		{bucketring.Limit{Amount: 5, Per: time.Minute, Algorithm: bucketring.FixedWindow, Align: bucketring.AlignFirstRequest},
			"5/m algorithm=fixed_window align=first_request"},
		{bucketring.Limit{Amount: 5, Per: bucketring.Month, Algorithm: bucketring.FixedWindow, Align: bucketring.AlignCalendar, Zone: "Europe/Berlin"},
			"5/month@Europe/Berlin"},
		{bucketring.Limit{Amount: 5, Per: bucketring.Year, Algorithm: bucketring.FixedWindow, Align: bucketring.AlignCalendar, Accuracy: bucketring.Strict},
			"5/y@UTC accuracy=strict"},
		{bucketring.Limit{Amount: 5, Kind: bucketring.KindConcurrency, TTL: bucketring.DefaultTTL}, "5 concurrent"},
		{bucketring.Limit{Amount: 5, Kind: bucketring.KindConcurrency, TTL: 5 * time.Minute, Unavailable: bucketring.UnavailableAllow},
			"5 concurrent ttl=5m unavailable=allow"},
		{bucketring.Limit{Amount: 5, Kind: bucketring.KindLevel}, "5 kind=level"},
	}
	for _, tt := range tests {
		if got := tt.l.String(); got != tt.want {
			t.Errorf("String() = %q, want %q", got, tt.want)
		}
	}
}
