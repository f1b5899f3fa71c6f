package client_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

func TestRefusalOf(t *testing.T) {
	state := func(name string, limit int64, retry time.Duration) bucketring.LimitState {
		return bucketring.LimitState{Name: name, Limit: limit, RetryAfter: retry}
	}
	one := func(s bucketring.LimitState) bucketring.Decision { return bucketring.Decision{LimitState: s} }
	slot := state("jobs", 10, 1500*time.Millisecond)
	slot.Kind, slot.Unit = bucketring.KindConcurrency, "jobs"
	fraction := state("minutes-day", 45250, bucketring.Never)
	fraction.Precision, fraction.Unit = 3, "minutes"
	away := one(state("inline", 5, time.Hour))
	away.Source = bucketring.SourceFallbackClosed
	several := one(state("inline", 20, time.Minute))
	several.Limits = []bucketring.LimitState{several.LimitState, {Name: "x", Allowed: true}, state("inline-2", 9, time.Second)}
	rule := one(state("no-robots", 0, bucketring.Never))
	rule.Limits, rule.Response = []bucketring.LimitState{}, &bucketring.Response{Violated: []string{"no-robots"}}

	for _, tt := range []struct {
		limits string
		d      bucketring.Decision
		want   client.Refusal
	}{
		{"5/m", one(state("inline", 5, 1)), client.Refusal{Detail: "Limit inline allows 5 per minute; try again in 1 second.",
			Violated: []string{"inline"}, RetryAfter: 1}},
		{"5/m burst=50", one(state("inline", 50, time.Second+1)), client.Refusal{Detail: "Limit inline allows 5 per minute; try again in 2 seconds.",
			Violated: []string{"inline"}, RetryAfter: time.Second + 1}},
		{"20/90s, 9/m", several, client.Refusal{Detail: "Limit inline allows 20 per 90 seconds; try again in 60 seconds.",
			Violated: []string{"inline", "inline-2"}, RetryAfter: time.Minute}},
		{"5/month@UTC", one(state("inline", 5, bucketring.Never)), client.Refusal{Detail: "Limit inline allows 5 per month; waiting does not help.",
			Violated: []string{"inline"}, RetryAfter: bucketring.Never}},
		{"5/year@UTC", one(state("inline", 5, 0)), client.Refusal{Detail: "Limit inline allows 5 per year; try again in 1 second.",
			Violated: []string{"inline"}}},
		{"5/2w", one(state("inline", 5, time.Hour)), client.Refusal{Detail: "Limit inline allows 5 per 2 weeks; try again in 3600 seconds.",
			Violated: []string{"inline"}, RetryAfter: time.Hour}},
		{"", one(slot), client.Refusal{Detail: "Limit jobs allows 10 jobs at a time; try again in 2 seconds.",
			Violated: []string{"jobs"}, RetryAfter: 1500 * time.Millisecond}},
		{"", one(fraction), client.Refusal{Detail: "Limit minutes-day allows 45.25 minutes; waiting does not help.",
			Violated: []string{"minutes-day"}, RetryAfter: bucketring.Never}},
		{"5/m", away, client.Refusal{Detail: "Limit inline cannot be checked at the moment; try again in 1 second.",
			Violated: []string{"inline"}, RetryAfter: time.Second, Unavailable: true}},
		{"", rule, client.Refusal{Detail: "Access rule no-robots refuses this call.", Violated: []string{"no-robots"}, RetryAfter: bucketring.Never}},
	} {
		var limits []bucketring.Limit
		if tt.limits != "" {
			limits = bucketring.MustParse(tt.limits)
		}
		if diff := cmp.Diff(tt.want, client.RefusalOf(limits, &tt.d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.want.Detail, diff)
		}
	}
}

func TestKeys(t *testing.T) {
	for got, want := range map[string]string{
		client.AnyKey(""):      "(none)",
		client.AnyKey("alice"): "alice",
		client.AnyKey(strings.Repeat("k", bucketring.MaxKeyLen)):   strings.Repeat("k", bucketring.MaxKeyLen),
		client.AnyKey(strings.Repeat("k", bucketring.MaxKeyLen+1)): client.HashKey(strings.Repeat("k", bucketring.MaxKeyLen+1)),
		client.HashKey("abc"):                                           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		client.HashKey("") + "a":                                        "a",
		client.AddrKey(netip.Addr{}) + "b":                              "b",
		client.AddrKey(netip.MustParseAddr("192.0.2.1")):                "192.0.2.1",
		client.AddrKey(netip.MustParseAddr("::ffff:192.0.2.2")):         "192.0.2.2",
		client.AddrKey(netip.MustParseAddr("2001:db8:1:2:3:4:5:6%en0")): "2001:db8:1:2::/64",
	} {
		if got != want {
			t.Errorf("key %q, want %q", got, want)
		}
	}
}
