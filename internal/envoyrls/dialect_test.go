package envoyrls_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/envoyrls"
	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
)

// request is a call to domain d; each word of descriptors is one: "key=value/key=value", with
// "+5", "-5" or "+0" behind it for hits, and | for a slash in a value.
func request(descriptors string) string {
	var all []string
	for word := range strings.FieldsSeq(descriptors) {
		hits := ""
		if at := strings.LastIndexAny(word, "+-"); at >= 0 {
			hits = fmt.Sprintf(`, "hitsAddend": "%s", "isNegativeHits": %v`, word[at+1:], word[at] == '-')
			word = word[:at]
		}
		var entries []string
		for part := range strings.SplitSeq(word, "/") {
			key, value, _ := strings.Cut(part, "=")
			entries = append(entries, fmt.Sprintf(`{"key": %q, "value": %q}`, key, strings.ReplaceAll(value, "|", "/")))
		}
		all = append(all, fmt.Sprintf(`{"entries": [%s]%s}`, strings.Join(entries, ", "), hits))
	}
	return `{"domain": "d", "descriptors": [` + strings.Join(all, ", ") + `]}`
}

const domain = `
domain: d
descriptors:
  - {key: leaf, rate_limit: {unit: hour, requests_per_unit: 3}}
  - {key: leaf, value: vip, rate_limit: {unit: hour, requests_per_unit: 5}}
  - {key: leaf_vip, value: x, rate_limit: {unit: hour, requests_per_unit: 7}}
  - key: parent
    rate_limit: {unit: hour, requests_per_unit: 4}
    descriptors:
      - {key: child, rate_limit: {unit: hour, requests_per_unit: 3}}
  - {key: minute, rate_limit: {unit: minute, requests_per_unit: 20}}
  - {key: hour, rate_limit: {unit: hour, requests_per_unit: 10}}
  - {key: wild, value: "w*", rate_limit: {unit: hour, requests_per_unit: 2}}
  - {key: share, value: "s*", share_threshold: true, rate_limit: {unit: hour, requests_per_unit: 2}}
  - {key: dark, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
  - {key: quota, quota_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
  - {key: quotas, quota_mode: true, rate_limit: {unit: hour, requests_per_unit: 2}}
  - {key: darkquota, quota_mode: true, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
  - {key: openquota, quota_mode: true, rate_limit: {unlimited: true}}
  - {key: open, rate_limit: {unlimited: true, replaces: [{name: base}]}}
  - {key: base, rate_limit: {name: base, unit: hour, requests_per_unit: 1}}
  - {key: none, rate_limit: {unit: hour}}
  - {key: step, descriptors: [{key: deep, rate_limit: {unit: day, requests_per_unit: 1}}]}
`

// A script is calls and their answers in short.
type script struct {
	name  string
	calls []string // request, answer, request, answer ...
}

func run(t *testing.T, settings envoyrls.Settings, scripts []script) {
	t.Helper()
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			d := open(t, settings, domain)
			for i := 0; i < len(s.calls); i += 2 {
				d.expect(request(s.calls[i]), s.calls[i+1])
			}
		})
	}
}

func TestEach(t *testing.T) {
	run(t, envoyrls.Settings{}, []script{
		{"refused calls stay charged", []string{"leaf=a+10", "over | over 0/3", "leaf=a", "over | over 0/3", "leaf=a-8", "ok | ok 0/3", "leaf=a", "over | over 0/3", "leaf=a-2", "ok | ok 1/3"}},
		{"no match", []string{"unknown=a", "ok | ok", "leaf=a/more=b", "ok | ok", "step=a", "ok | ok", "step=a/deep=b", "ok | ok 0/1"}},
		{"looks", []string{"leaf=a+0", "ok | ok 3/3", "leaf=a+3", "ok | ok 0/3", "leaf=a+0", "ok | ok 0/3", "leaf=a", "over | over 0/3", "leaf=a+0", "over | over 0/3"}},
		{"give back", []string{"leaf=a-5", "ok | ok 3/3", "leaf=a+2", "ok | ok 1/3", "leaf=a-1", "ok | ok 2/3", "leaf=a-100", "ok | ok 3/3", "leaf=a", "ok | ok 2/3"}},
		{"equal descriptors", []string{"leaf=a leaf=a leaf=b", "ok | ok 2/3 | ok 1/3 | ok 2/3", "leaf=a leaf=a", "over | ok 0/3 | over 0/3"}},
		{"all are limited", []string{"leaf=a leaf=b+4 unknown=c", "over | ok 2/3 | over 0/3 | ok", "leaf=a", "ok | ok 1/3"}},
		{"nothing is allowed", []string{"none=a", "over | over 0/0", "none=a+0", "over | over 0/0"}},
		{"shadow", []string{"dark=a+5 leaf=a", "ok | ok 0/1 | ok 2/3", "dark=a leaf=a+9", "over | ok 0/1 | over 0/3"}},
		{"quotas", []string{
			"quota=a quotas=a", "ok | ok 0/1 | ok 1/2", "quota=a quotas=a", "ok | over 0/1 | ok 0/2", "quota=a quotas=a", "over | over 0/1 | over 0/2",
		}},
		{"a quota alone", []string{"quota=a", "ok | ok 0/1", "quota=a", "over | over 0/1"}},
		{"a quota beside others", []string{"quota=a leaf=a", "ok | ok 0/1 | ok 2/3", "quota=a leaf=a", "over | over 0/1 | ok 1/3"}},
		{"a quota without end", []string{"quota=a+2 openquota=a", "ok | over 0/1 | ok 4294967295"}},
		{"a quota in shadow", []string{"darkquota=a+2", "ok | ok 0/1", "darkquota=a quota=a", "ok | ok 0/1 | ok 0/1"}},
		{"unlimited replaces", []string{"base=a open=a", "ok | ok | ok 4294967295", "base=a", "ok | ok 0/1", "base=a open=a", "ok | ok | ok 4294967295", "base=a", "over | over 0/1"}},
		{"a child apart from its name", []string{
			"parent=x/child=y", "ok | ok 2/3", "parent=x/child=y", "ok | ok 1/3", "parent=x/child=y", "ok | ok 0/3",
			"parent=x_child_y", "ok | ok 3/4", "parent=x", "ok | ok 3/4", "parent=x/child=y", "over | over 0/3",
		}},
		{"a key apart from a value", []string{"leaf_vip=x", "ok | ok 6/7", "leaf=vip", "ok | ok 4/5", "leaf_vip=", "ok | ok"}},
		{"patterns", []string{"wild=w1", "ok | ok 1/2", "wild=w2", "ok | ok 1/2", "share=s1", "ok | ok 1/2", "share=s2", "ok | ok 0/2", "share=s*", "over | over 0/2"}},
	})
}

func TestAllOrNothing(t *testing.T) {
	run(t, envoyrls.Settings{AllOrNothing: true}, []script{
		{"a call too large", []string{"leaf=a+10", "over | over 3/3", "leaf=a+3", "ok | ok 0/3", "leaf=a", "over | over 0/3", "leaf=a-1", "ok | ok 1/3", "leaf=a", "ok | ok 0/3"}},
		{"others show what they had", []string{"leaf=a leaf=b+4", "over | ok 3/3 | over 3/3", "leaf=a+2 leaf=b+3", "ok | ok 1/3 | ok 0/3", "leaf=a leaf=b", "over | ok 1/3 | over 0/3"}},
		{"equal descriptors", []string{"leaf=a+2 leaf=a+2", "over | ok 3/3 | over 3/3", "leaf=a+2 leaf=a", "ok | ok 1/3 | ok 0/3"}},
		{"given back first", []string{"leaf=a+3", "ok | ok 0/3", "leaf=a-2 leaf=a+2", "ok | ok 2/3 | ok 0/3", "leaf=a-1 leaf=a+2", "over | ok 0/3 | over 0/3"}},
		{"shadow does not refuse", []string{"dark=a+5", "ok | ok 0/1", "dark=a leaf=a", "ok | ok 0/1 | ok 2/3"}},
		{"quotas", []string{
			"quota=a quotas=a", "ok | ok 0/1 | ok 1/2", "quota=a quotas=a", "ok | over 0/1 | ok 0/2", "quota=a quotas=a", "over | over 0/1 | over 0/2",
			"quotas=a-1", "ok | ok 1/2", "quotas=a", "ok | ok 0/2", // the refused call charged nothing
		}},
		{"a quota alone", []string{"quota=a+2", "over | over 1/1", "quota=a", "ok | ok 0/1"}},
		{"a quota without end", []string{"quota=a+2 openquota=a", "ok | over 0/1 | ok 4294967295", "quota=a-1", "ok | ok 0/1"}},
		{"looks", []string{"leaf=a+0 leaf=b+0", "ok | ok 3/3 | ok 3/3", "leaf=a+3", "ok | ok 0/3", "leaf=a+0", "ok | ok 0/3"}},
	})
}

// TestFifteenCalls: one descriptor allows 20 a minute and one 10 an hour. Charged each, the
// first goes on falling while the second refuses.
func TestFifteenCalls(t *testing.T) {
	for _, allOrNothing := range []bool{false, true} {
		d := open(t, envoyrls.Settings{AllOrNothing: allOrNothing}, domain)
		for i := 1; i <= 15; i++ {
			want := fmt.Sprintf("ok | ok %d/20 | ok %d/10", 20-i, 10-i)
			if i > 10 {
				want = fmt.Sprintf("over | ok %d/20 | over 0/10", 20-i)
				if allOrNothing {
					want = "over | ok 10/20 | over 0/10"
				}
			}
			d.expect(request("minute=a hour=a"), want)
		}
	}
}

// TestManyCallers: callers at the same time get as many calls through as one after the other.
func TestManyCallers(t *testing.T) {
	for _, allOrNothing := range []bool{false, true} {
		d := open(t, envoyrls.Settings{AllOrNothing: allOrNothing, Metrics: true, DynamicMetadata: true}, domain)
		var passed atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					resp, err := d.try(request("minute=a"))
					if err != nil {
						t.Error(err)
					}
					if resp.GetOverallCode() == rls.RateLimitResponse_OK {
						passed.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := passed.Load(); n != 20 {
			t.Errorf("all or nothing %v: %d of 80 calls passed, want 20", allOrNothing, n)
		}
	}
}

// TestTime: windows begin at multiples of their unit, and the time until they end is that of
// the counter.
func TestTime(t *testing.T) {
	d := open(t, envoyrls.Settings{}, domain)
	left := func(descriptor string) int64 {
		return d.ask(request(descriptor)).GetStatuses()[0].GetDurationUntilReset().GetSeconds()
	}
	if first := left("leaf=a"); first != 3500 {
		t.Errorf("100 s into an hour %d s are left, want 3500", first)
	}
	d.advance(2 * time.Second)
	if second := left("leaf=a"); second != 3498 {
		t.Errorf("2 s later %d s are left, want 3498", second)
	}
	if minute := left("minute=a"); minute != 18 {
		t.Errorf("42 s into a minute %d s are left, want 18", minute)
	}
	d.advance(3498*time.Second - 501) // the last nanosecond of the hour
	d.expect(request("leaf=a"), "ok | ok 0/3")
	d.advance(time.Nanosecond)
	d.expect(request("leaf=a"), "ok | ok 2/3")
}

func TestIdleExpiry(t *testing.T) {
	d := open(t, envoyrls.Settings{IdleExpiry: 90 * time.Second}, domain)
	d.expect(request("leaf=a+3"), "ok | ok 0/3")
	d.advance(89 * time.Second)
	d.expect(request("leaf=a-1"), "ok | ok 1/3") // touched
	d.advance(89 * time.Second)
	d.expect(request("leaf=a+0"), "ok | ok 1/3") // only looked at
	d.advance(2 * time.Second)
	d.expect(request("leaf=a"), "ok | ok 2/3")
}

func TestShadowSetting(t *testing.T) {
	d := open(t, envoyrls.Settings{Shadow: true}, domain)
	d.expect(request("leaf=a+4"), "ok | over 0/3")
}

// TestGiveBackAcrossWindows: what a refused call was charged is given back in the window in
// which it was, not in the next one.
func TestGiveBackAcrossWindows(t *testing.T) {
	d := open(t, envoyrls.Settings{AllOrNothing: true}, domain)
	var once sync.Once
	d.fail = func(_ context.Context, req *bucketring.Request) error {
		switch hits := req.Args[0]; {
		case hits == 2: // both have been looked at
			once.Do(func() { d.expect(request("leaf=b+3"), "ok | ok 0/3") })
		case hits < 0: // a's charge is to be given back
			d.advance(time.Hour)
			d.expect(request("leaf=a+3"), "ok | ok 0/3")
		}
		return nil
	}
	d.ask(request("leaf=a+2 leaf=b+2"))
	d.expect(request("leaf=a+0"), "ok | ok 0/3")
}

// TestOverrides: a limit that comes along replaces whatever the file has, with a counter of
// its own for another unit.
func TestOverrides(t *testing.T) {
	d := open(t, envoyrls.Settings{}, domain)
	with := func(entry, limit string) string {
		key, value, _ := strings.Cut(entry, "=")
		return fmt.Sprintf(`{"domain": "d", "descriptors": [{"entries": [{"key": %q, "value": %q}], "limit": %s}]}`, key, value, limit)
	}
	hour, two := `{"requestsPerUnit": 1, "unit": "HOUR"}`, `{"requestsPerUnit": 2, "unit": "HOUR", "unitMultiplier": 2}`
	d.expect(with("leaf=a", hour), "ok | ok 0/1")
	d.expect(with("leaf=a", hour), "over | over 0/1")
	d.expect(request("leaf=a"), "ok | ok 0/3") // the same counter: the number is no part of it
	d.expect(with("leaf=a", two), "ok | ok 1/2")
	d.expect(with("nowhere=a", hour), "ok | ok 0/1")
	d.expect(with("dark=a", hour), "ok | ok 0/1")
	d.expect(with("dark=a", hour), "over | over 0/1") // no shadow
	d.expect(strings.Replace(with("leaf=a", hour), `"d"`, `"other"`, 1), "ok | ok")
	got := d.ask(with("leaf=a", two)).GetStatuses()[0]
	if l := got.GetCurrentLimit(); l.GetUnit().String() != "HOUR" || l.GetUnitMultiplier().GetValue() != 2 || l.GetName() != "" {
		t.Errorf("current limit = %v, want 2 hours without a name", l)
	}
	if d.ask(request("base=a")).GetStatuses()[0].GetCurrentLimit().GetName() != "base" {
		t.Error("a limit with a name is shown without it")
	}
	for unit, most := range map[string]int64{"SECOND": 1, "MINUTE": 60, "DAY": 86400, "MONTH": 2592000, "YEAR": 31536000} {
		left := d.ask(with("leaf="+unit, `{"requestsPerUnit": 1, "unit": "`+unit+`"}`)).GetStatuses()[0].GetDurationUntilReset().GetSeconds()
		if want := most - began.Unix()%most; left != want {
			t.Errorf("of a %s %d s are left, want %d", unit, left, want)
		}
	}
}

// TestLongValues: a value that is too long for a key still counts, apart from others, and
// meets the rules that it meets.
func TestLongValues(t *testing.T) {
	d := open(t, envoyrls.Settings{}, domain)
	long := strings.Repeat("w", 100_000)
	d.expect(request("leaf="+long), "ok | ok 2/3")
	d.expect(request("leaf="+long+" leaf="+long+"x"), "ok | ok 1/3 | ok 2/3")
	d.expect(request("wild="+long), "ok | ok 1/2")
	many := strings.TrimSuffix(strings.Repeat("k="+strings.Repeat("v", 500)+"/", 64), "/")
	withLimit := strings.Replace(request(many), `]}]}`, `], "limit": {"requestsPerUnit": 2, "unit": "DAY"}}]}`, 1)
	d.expect(withLimit, "ok | ok 1/2")
	d.expect(withLimit, "ok | ok 0/2")
	for _, s := range d.takes() {
		if len(s.req.Key) > bucketring.MaxKeyLen {
			t.Errorf("a key has %d bytes", len(s.req.Key))
		}
	}
}
