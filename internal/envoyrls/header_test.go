package envoyrls_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/internal/envoyrls"
)

// TestDialectHeaders: which of several descriptors the headers describe.
func TestDialectHeaders(t *testing.T) {
	for _, tt := range []struct {
		calls []string // the last one counts
		want  string   // limit remaining
	}{
		{[]string{"leaf=a minute=a"}, "3 2"},
		{[]string{"minute=a leaf=a hour=a"}, "3 2"},
		{[]string{"hour=a+8 leaf=a"}, "10 2"},                    // the first of the smallest
		{[]string{"leaf=a+5 minute=a leaf=vip+6 base=a"}, "5 0"}, // the last that is over
		{[]string{"quota=a+2 leaf=a+5"}, "3 0"},
		{[]string{"leaf=a+5 quota=a+2"}, "3 0"},                   // a quota is not described so
		{[]string{"quota=a quotas=a", "quotas=a quota=a"}, "2 0"}, // the first of the smallest
		{[]string{"dark=a+2 leaf=a"}, "1 0"},
		{[]string{"leaf=a+5 dark=a+2"}, "3 0"},
		{[]string{"open=a leaf=a unknown=a"}, "3 2"},
		{[]string{"open=a unknown=a"}, ""},
		{[]string{"base=a open=a"}, ""}, // replaced
	} {
		d := open(t, envoyrls.Settings{ResponseHeaders: envoyrls.On, HeaderReset: "X-Reset"}, domain)
		var headers []string
		for _, call := range tt.calls {
			headers = headersOf(d.ask(request(call)))
		}
		var got []string
		for i, prefix := range []string{"RateLimit-Limit: ", "RateLimit-Remaining: ", "X-Reset: "} {
			if i < len(headers) {
				value, _ := strings.CutPrefix(headers[i], prefix)
				got = append(got, value)
			}
		}
		if strings.Join(got[:min(2, len(got))], " ") != tt.want || len(got) == 3 && !slices.Contains([]string{"3500", "20"}, got[2]) {
			t.Errorf("%v: headers = %q, want %s", tt.calls, headers, tt.want)
		}
		if resp := open(t, envoyrls.Settings{}, domain).ask(request(tt.calls[0])); resp.GetResponseHeadersToAdd() != nil || resp.GetDynamicMetadata() != nil {
			t.Errorf("%v: headers and metadata are there by default: %v", tt.calls, resp)
		}
	}
}

const described = `
domain: d
descriptors:
  - {key: a, metadata: {from: a, deep: {a: 1, both: a}}, rate_limit: {unit: hour, requests_per_unit: 1}}
  - {key: b, metadata: {from: b, deep: {b: [1, null], both: b}}, detailed_metric: true, rate_limit: {unlimited: true}}
  - {key: dark, metadata: {dark: true}, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 0}}
  - {key: gone, metadata: {gone: true}, rate_limit: {name: gone, unit: hour, requests_per_unit: 5}}
  - {key: instead, rate_limit: {unit: hour, requests_per_unit: 5, replaces: [{name: gone}]}}
  - {key: step, metadata: {step: true}}
`

// TestMetadata: what was asked, and what the rules that passed say.
func TestMetadata(t *testing.T) {
	type m = map[string]any
	type list = []any
	d := open(t, envoyrls.Settings{DynamicMetadata: true}, described)
	for _, tt := range []struct {
		request string
		want    m
	}{
		{request("a=1/x= b=2+3"), m{"domain": "d", "descriptors": list{m{"entries": list{"a=1", "x="}}, m{"entries": list{"b=2"}, "hitsAddend": 3.}}, "metadata": m{"from": "b", "deep": m{"b": list{1., nil}, "both": "b"}}}},
		{request("a=2 b=2"), m{"domain": "d", "descriptors": list{m{"entries": list{"a=2"}}, m{"entries": list{"b=2"}}}, "metadata": m{"from": "a", "deep": m{"a": 1., "b": list{1., nil}, "both": "a"}}}},
		{request("a=2"), m{"domain": "d", "descriptors": list{m{"entries": list{"a=2"}}}}}, // over
		{request("dark=1 step=1"), m{"domain": "d", "descriptors": list{m{"entries": list{"dark=1"}}, m{"entries": list{"step=1"}}}, "metadata": m{"dark": true}}},
		{request("gone=1 instead=1"), m{"domain": "d", "descriptors": list{m{"entries": list{"gone=1"}}, m{"entries": list{"instead=1"}}}}},
		{
			`{"domain": "other", "hitsAddend": 5, "descriptors": [{"entries": [{"key": "k", "value": "v"}], "limit": {"requestsPerUnit": 7, "unit": "DAY", "unitMultiplier": 2}}]}`,
			m{"domain": "other", "hitsAddend": 5., "descriptors": list{m{"entries": list{"k=v"}, "limit": "requests_per_unit:7 unit:DAY unit_multiplier:2"}}},
		},
	} {
		if diff := cmp.Diff(tt.want, answerOf(d, tt.request)["dynamicMetadata"]); diff != "" {
			t.Errorf("%s: metadata (-want +got):\n%s", tt.request, diff)
		}
	}
}
