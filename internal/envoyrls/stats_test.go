package envoyrls_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/envoyrls"
	"github.com/bucketring/bucketring/policy"
)

// TestFigures: hits that cross a limit are partly near it and partly over, as in
// envoyproxy/ratelimit. The limit is 10, and 8 is near.
func TestFigures(t *testing.T) {
	for _, tt := range []struct {
		before, hits              int64
		over, near, within, total uint64
	}{
		{0, 1, 0, 0, 1, 1}, {7, 1, 0, 0, 1, 1}, {8, 1, 0, 1, 1, 1}, {9, 1, 0, 1, 1, 1}, {10, 1, 1, 0, 0, 1}, {50, 5, 5, 0, 0, 5},
		{5, 4, 0, 1, 4, 4}, {0, 10, 0, 2, 10, 10}, {0, 15, 5, 2, 0, 15}, {9, 3, 2, 1, 0, 3}, {8, 3, 1, 2, 0, 3}, {3, 0, 0, 0, 0, 0}, {12, 0, 0, 0, 0, 0},
	} {
		want := envoyrls.RuleStats{TotalHits: tt.total, OverLimit: tt.over, NearLimit: tt.near, WithinLimit: tt.within}
		if got := envoyrls.Figures(10, 0.8, false, tt.before, tt.hits); got != want {
			t.Errorf("%d hits after %d = %+v, want %+v", tt.hits, tt.before, got, want)
		}
		want.ShadowMode = want.OverLimit
		if got := envoyrls.Figures(10, 0.8, true, tt.before, tt.hits); got != want {
			t.Errorf("%d hits after %d in shadow = %+v, want %+v", tt.hits, tt.before, got, want)
		}
	}
	if got := envoyrls.Figures(100, 0.29, false, 28, 2).NearLimit; got != 1 {
		t.Errorf("of 100 with a ratio of 0.29 hit 29 and 30 have %d near, want 1", got)
	}
}

const measured = `
domain: d
descriptors:
  - key: plain
    rate_limit: {unit: hour, requests_per_unit: 2}
    descriptors:
      - key: deep
        descriptors:
          - {key: deeper, rate_limit: {unit: hour, requests_per_unit: 2}}
          - {key: other, rate_limit: {unit: hour, requests_per_unit: 2}}
  - {key: told, detailed_metric: true, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
  - {key: open, rate_limit: {unlimited: true, replaces: [{name: base}]}}
  - {key: base, rate_limit: {name: base, unit: hour, requests_per_unit: 1}}
`

func TestStats(t *testing.T) {
	d := open(t, envoyrls.Settings{Metrics: true, NearLimitRatio: 0.5}, measured)
	for _, descriptors := range []string{
		"plain=a+3 told=x.y", "told=x.y+2", "plain=a/deep=b/deeper=c plain=a/deep=b/other=c", "open=a+7 base=a", "plain=b-5 plain=b+0 nothing=n",
	} {
		d.ask(request(descriptors))
	}
	d.ask(`{"domain": "d", "descriptors": [{"entries": [{"key": "mine", "value": "secret"}], "limit": {"requestsPerUnit": 1, "unit": "HOUR"}}]}`)
	want := []envoyrls.RuleStats{
		{Domain: "d", Key1: "mine", TotalHits: 1, WithinLimit: 1, NearLimit: 1},
		{Domain: "d", Key1: "open", TotalHits: 7, WithinLimit: 7},
		{Domain: "d", Key1: "plain", TotalHits: 3, OverLimit: 1, NearLimit: 1},
		{Domain: "d", Key1: "plain", Key2: "deep", TotalHits: 2, WithinLimit: 2},
		{Domain: "d", Key1: "told_x.y", TotalHits: 3, OverLimit: 2, NearLimit: 1, WithinLimit: 1, ShadowMode: 2},
	}
	if diff := cmp.Diff(want, d.Stats().Rules); diff != "" {
		t.Errorf("Rules (-want +got):\n%s", diff)
	}
	d = open(t, envoyrls.Settings{}, measured)
	d.ask(request("plain=a"))
	if rules := d.Stats().Rules; rules != nil {
		t.Errorf("Rules without Metrics = %v, want nil", rules)
	}
}

// TestLabelsAreBounded: values of requests make at most 1,000 series, and one for the rest.
func TestLabelsAreBounded(t *testing.T) {
	d := open(t, envoyrls.Settings{Metrics: true}, measured)
	for i := range 13 {
		var all strings.Builder
		for j := range 100 {
			fmt.Fprintf(&all, "told=%d ", i*100+j)
		}
		d.ask(request(all.String()))
	}
	rules := d.Stats().Rules
	if len(rules) != 1001 || rules[0].Key1 != "_other" || rules[0].TotalHits != 300 {
		t.Errorf("there are %d series, the first %+v, want 1001 and 300 hits of others", len(rules), rules[0])
	}
}

// counting is a Limiter that counts.
type counting struct {
	*counters
	mu   sync.Mutex
	told map[bool]int
	keys map[string]int // with the domain before
}

func (c *counting) Count(key string, d bucketring.Decision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[d.Name+" "+key]++
	allowed := d.Allowed
	if c.told[allowed]++; d.Source != bucketring.SourceReplica {
		c.told[allowed] += 1000
	}
}

func (c *counting) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	d, err := c.counters.Take(ctx, req)
	d.Source = bucketring.SourceReplica
	return d, err
}

// TestStepsAreCounted: a Limiter that counts decisions hears of those that steps make, and of
// no others.
func TestStepsAreCounted(t *testing.T) {
	limiter := &counting{counters: newCounters(), told: map[bool]int{}, keys: map[string]int{}}
	limiter.set = domainSet(t)
	s := envoyrls.New(envoyrls.Config{Limiter: limiter, Policies: func() *policy.Set { return limiter.set }}).Patient()
	ask := func(descriptors string) {
		if _, err := s.ShouldRateLimit(context.Background(), parseRequest(t, request(descriptors))); err != nil {
			t.Fatal(err)
		}
	}
	ask("leaf=a+3 leaf=a unknown=a dark=a+5 base=a open=a")
	limiter.fail = func(_ context.Context, req *bucketring.Request) error {
		if req.Verb == bucketring.VerbStep {
			return bucketring.ErrUnavailable
		}
		return nil
	}
	ask("leaf=b")
	if limiter.told[true] != 2 || limiter.told[false] != 1 {
		t.Errorf("told of %v, want 2 allowed and 1 denied", limiter.told)
	}
	if diff := cmp.Diff(map[string]int{"d leaf=a": 2, "d dark=a": 1}, limiter.keys); diff != "" {
		t.Errorf("keys that it was told of (-want +got):\n%s", diff)
	}
}
