package policy_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

const described = `
apiVersion: limits/v1
namespace: described
identify:
  ip: [{descriptor: remote_address}, {header: X-Real-Ip}]
  user: [{lookup: {table: keys, by: key_of, field: user}}, {descriptor: user_id}]
  key_of: [{descriptor: api_key}]
limits:
  - {name: calls, key: [user], limit: 10, per: 1m, burst: 20, precision: 1, when: {path: [/v1/**]}}
  - {name: open, key: [ip], limit: unlimited, per: 1d}
  - {name: hours, key: [ip], limit: 5, per: 2h, algorithm: sliding_window, mode: off}
  - {name: slots, kind: concurrency, key: [user], limit: 2, lease: {ttl: 60s}}
`

// TestAttributes: a policy gets what it can use of a descriptor, in values that it takes.
func TestAttributes(t *testing.T) {
	p := parse(t, described)
	long := strings.Repeat("x", policy.MaxAttributeValue+1)
	got := p.Attributes([]policy.Entry{
		{Key: "user", Value: "a"}, {Key: "user", Value: "b"}, {Key: "unknown", Value: "c"}, {Key: "method", Value: "GET"}, {Key: "path", Value: "/" + long},
		{Key: "remote_address", Value: long}, {Key: "user_id", Value: ""}, {Key: "request_id", Value: "r"}, {Key: "X-Real-Ip", Value: "h"},
	})
	want := map[string]string{
		"user": "b", "method": "GET", "path": "/" + long, "user_id": "", "request_id": "r",
		"remote_address": fmt.Sprintf("%x", sha256.Sum256([]byte(long))),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Attributes (-want +got):\n%s", diff)
	}
}

// charges resolves a call and returns what it charges, "NAME AMOUNT PER COST KEY".
func charges(t *testing.T, p *policy.Policy, rows policy.Rows, req bucketring.Request) (all []string) {
	t.Helper()
	c, err := p.Resolve(&req, policy.Facts{Rows: rows, Now: time.Unix(0, 0), NewID: func() bucketring.ID { return bucketring.ID{1} }})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range c.Groups {
		for _, one := range g.Charges {
			l := one.Limit
			all = append(all, fmt.Sprintf("%s %v %d %v %d %q", l.Name, l.Algorithm, l.Amount, l.Per, one.Cost, one.Key))
		}
	}
	return all
}

// TestDescriptorSources: identify finds entries of descriptors, also those by which a table
// is looked up.
func TestDescriptorSources(t *testing.T) {
	s := set(t, described).WithRows("described", "keys", map[string]map[string]string{"k1": {"user": "owner"}}, true)
	p := s.Find("described")
	for want, attributes := range map[string]map[string]string{
		"owner": {"api_key": "k1", "user_id": "u"}, "u": {"api_key": "k2", "user_id": "u"}, "sent": {"user": "sent", "api_key": "k1"},
	} {
		got := charges(t, p, s, bucketring.Request{Namespace: "described", Cost: 1, Attributes: attributes})
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("with %v charges are %v, want slots of %s", attributes, got, want)
		}
	}
}

// TestRate: a limit that comes with the call takes the place of every rate that the call
// meets, and of nothing else.
func TestRate(t *testing.T) {
	p := parse(t, described)
	req := bucketring.Request{Namespace: "described", Cost: 1, Attributes: map[string]string{"path": "/v1/x", "user": "u", "ip": "i"}}
	before := charges(t, p, nil, req)
	policy.Rate{Requests: 7, Per: 2 * time.Hour}.Ask(&req)
	want := []string{
		`calls fixed_window 70 2h0m0s 10 "\x02u"`, `open fixed_window 7 2h0m0s 1 "\x02i"`, `slots token_bucket 2 0s 1 "\x02u"`,
	}
	got := charges(t, p, nil, req)
	for i := range want {
		if len(got) != len(want) || got[i] != want[i] {
			t.Fatalf("charges under a rate are\n%s\nwant\n%s\nbefore\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), strings.Join(before, "\n"))
		}
	}
	if len(before) != 2 || !strings.HasPrefix(before[0], "calls token_bucket 100 1m") {
		t.Errorf("charges without a rate are %v", before)
	}
	policy.Rate{Requests: 1, Per: 500 * 24 * time.Hour}.Ask(&req)
	if got := charges(t, p, nil, req); !strings.Contains(got[0], bucketring.MaxPer.String()) {
		t.Errorf("charges under a rate of 500 days are %v, want the longest window", got)
	}
}

func TestPer(t *testing.T) {
	p := parse(t, described)
	for name, want := range map[string]time.Duration{"calls": time.Minute, "hours": 2 * time.Hour, "slots": 0, "nothing": 0} {
		if got := p.Per(name); got != want {
			t.Errorf("Per(%s) = %v, want %v", name, got, want)
		}
	}
}
