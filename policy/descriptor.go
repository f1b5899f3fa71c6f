// descriptor.go is what Envoy's descriptors have for policies in limits/v1: entries that
// become attributes, and a limit that comes with the call.

package policy

import (
	"time"

	"github.com/bucketring/bucketring"
)

// Attributes returns what the policy can use of a descriptor: each entry is the attribute of
// its key, the last one of a key counts. The digest of a value that is longer than attributes
// may be stands for it.
func (p *Policy) Attributes(entries []Entry) map[string]string {
	used := make(map[string]string, len(entries))
	for _, e := range entries {
		if !p.uses(e.Key) {
			continue
		}
		most := MaxAttributeValue
		if e.Key == "path" {
			most = MaxPath
		}
		if len(e.Value) > most {
			e.Value = digest(e.Value)
		}
		used[e.Key] = e.Value
	}
	return used
}

// uses reports whether a call's attribute has a meaning in the policy.
func (p *Policy) uses(name string) bool {
	if _, ok := p.slots[name]; ok || name == "request_id" {
		return true
	}
	for i := range p.identify {
		for j := range p.identify[i].sources {
			if s := &p.identify[i].sources[j]; s.kind == sourceDescriptor && s.name == name {
				return true
			}
		}
	}
	return false
}

// Each reports whether limits that have room are charged although others deny.
func (p *Policy) Each() bool { return p.each }

// Per returns the window of a limit; 0 if the policy has none of that name, or it has none.
func (p *Policy) Per(limit string) time.Duration {
	for i := range p.limits {
		if p.limits[i].name == limit {
			return p.limits[i].per
		}
	}
	return 0
}

// A Rate is what a call brings along to be held to in place of a policy's rates: so many
// per window, in windows from the epoch.
type Rate struct {
	Requests int64         // 0 denies
	Per      time.Duration // whole seconds; more than bucketring.MaxPer is as much as that
}

// Ask has req, which names a policy, be held to the rate. It reaches the policy only in the
// process that resolves the call: callers from outside cannot choose their limits.
func (r Rate) Ask(req *bucketring.Request) {
	req.Args = []int64{r.Requests, int64(min(r.Per, bucketring.MaxPer) / time.Second)}
}

// rateOf returns the rate that a request asks to be held to, nil for none.
func rateOf(req *bucketring.Request) *Rate {
	if len(req.Args) != 2 {
		return nil
	}
	return &Rate{req.Args[0], time.Duration(req.Args[1]) * time.Second}
}

// valueAt is what a rate becomes under another one.
func (l *limit) valueAt(r *Rate) *value {
	b := l.base
	b.Algorithm, b.Align, b.Burst, b.Zone, b.Per = bucketring.FixedWindow, bucketring.AlignEpoch, 0, "", r.Per
	amount, err := bucketring.Scale(r.Requests, 0, l.precision)
	if err != nil {
		amount = bucketring.Unlimited
	}
	b.Amount = amount
	return &value{valueNumber, &b}
}
