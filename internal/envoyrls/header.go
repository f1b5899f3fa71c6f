// header.go writes the headers and the dynamic metadata of answers.

package envoyrls

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"

	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
)

// dialectHeaders describe one descriptor: the last that is over its limit, quotas and rules
// in shadow apart, else the first with the least remaining. Those without a limit are never
// described.
func (s *Settings) dialectHeaders(asks []*ask, statuses []*rls.RateLimitResponse_DescriptorStatus) []*rls.HeaderValue {
	var over, least *rls.RateLimitResponse_DescriptorStatus
	for i, status := range statuses {
		if status.CurrentLimit == nil {
			continue
		}
		if status.Code == rls.RateLimitResponse_OVER_LIMIT && !asks[i].quota() {
			over = status
		}
		if least == nil || status.LimitRemaining < least.LimitRemaining {
			least = status
		}
	}
	if over == nil {
		over = least
	}
	if over == nil {
		return nil
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []*rls.HeaderValue{
		{Key: s.HeaderLimit, Value: number(int64(over.CurrentLimit.RequestsPerUnit))},
		{Key: s.HeaderRemaining, Value: number(int64(over.LimitRemaining))},
		{Key: s.HeaderReset, Value: number(over.DurationUntilReset.GetSeconds())},
	}
}

// metadata repeats what was asked, for later filters, with more that is said of it.
func (c *call) metadata(more map[string]any) *structpb.Struct {
	descriptors := make([]any, len(c.req.GetDescriptors()))
	for i, d := range c.req.GetDescriptors() {
		descriptors[i] = describe(d)
	}
	all := map[string]any{"domain": c.req.GetDomain(), "descriptors": descriptors}
	if n := c.req.GetHitsAddend(); n != 0 {
		all["hitsAddend"] = float64(n)
	}
	if len(more) > 0 {
		all["metadata"] = more
	}
	return structOf(all)
}

func describe(d *rls.RateLimitDescriptor) map[string]any {
	entries := make([]any, len(d.GetEntries()))
	for i, e := range d.GetEntries() {
		entries[i] = e.GetKey() + "=" + e.GetValue()
	}
	one := map[string]any{"entries": entries}
	if o := d.GetLimit(); o != nil {
		text := fmt.Sprintf("requests_per_unit:%d unit:%v", o.GetRequestsPerUnit(), o.GetUnit())
		if m := o.GetUnitMultiplier(); m != nil {
			text += fmt.Sprintf(" unit_multiplier:%d", m.GetValue())
		}
		one["limit"] = text
	}
	if d.GetHitsAddend() != nil {
		one["hitsAddend"] = float64(d.GetHitsAddend().GetValue())
	}
	return one
}

// structOf makes a message of JSON's types. All of it is from a file that was checked, or
// from a message.
func structOf(all map[string]any) *structpb.Struct {
	made, err := structpb.NewStruct(all)
	if err != nil {
		return nil
	}
	return made
}
