// check.go refuses calls that are malformed, before anything is counted.

package envoyrls

import (
	"math"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
	"github.com/bucketring/bucketring/policy"
)

// Bounds of a call.
const (
	maxDescriptors = 256
	maxEntries     = 64      // of a descriptor
	maxKey         = 512     // bytes of an entry's key
	maxValue       = 512     // bytes of a value; the digest of a longer one counts
	maxMessage     = 1 << 20 // bytes
)

// hits are what a descriptor adds to its counter: 0 only looks.
type hits struct {
	n    int64
	back bool // they are given back
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// check reports what is wrong with the call, with the name of the field, and notes the hits
// of its descriptors.
func (c *call) check() error {
	all := c.req.GetDescriptors()
	switch {
	case c.req.GetDomain() == "":
		return invalid("domain is empty: name the one whose limits apply")
	case len(all) == 0:
		return invalid("descriptors is empty: send at least one")
	case len(all) > maxDescriptors:
		return invalid("descriptors has %d elements, at most %d are allowed", len(all), maxDescriptors)
	case proto.Size(c.req) > maxMessage:
		return invalid("message has more than %d bytes", maxMessage)
	}
	c.hits = make([]hits, len(all))
	for i, d := range all {
		if err := checkDescriptor(i, d); err != nil {
			return err
		}
		n := uint64(max(c.req.GetHitsAddend(), 1))
		if d.GetHitsAddend() != nil {
			n = d.GetHitsAddend().GetValue()
		}
		c.hits[i] = hits{int64(min(n, math.MaxInt64)), d.GetIsNegativeHits()}
	}
	return nil
}

func checkDescriptor(i int, d *rls.RateLimitDescriptor) error {
	entries := d.GetEntries()
	switch {
	case len(entries) == 0:
		return invalid("descriptors[%d].entries is empty: send at least one", i)
	case len(entries) > maxEntries:
		return invalid("descriptors[%d].entries has %d elements, at most %d are allowed", i, len(entries), maxEntries)
	}
	for j, e := range entries {
		switch {
		case e.GetKey() == "":
			return invalid("descriptors[%d].entries[%d].key is empty", i, j)
		case len(e.GetKey()) > maxKey:
			return invalid("descriptors[%d].entries[%d].key has %d bytes, at most %d are allowed", i, j, len(e.GetKey()), maxKey)
		}
	}
	if d.GetLimit() == nil {
		return nil
	}
	unit := d.GetLimit().GetUnit()
	if unit <= rls.RateLimitUnit_UNKNOWN || unit > rls.RateLimitUnit_YEAR {
		return invalid("descriptors[%d].limit.unit is %v: it must be SECOND, MINUTE, HOUR, DAY, MONTH or YEAR", i, unit)
	}
	if m := d.GetLimit().GetUnitMultiplier(); m != nil && m.GetValue() == 0 {
		return invalid("descriptors[%d].limit.unit_multiplier is 0: it must be 1 or more", i)
	}
	return nil
}

// entriesOf are the entries of a descriptor.
func entriesOf(d *rls.RateLimitDescriptor) []policy.Entry {
	all := make([]policy.Entry, len(d.GetEntries()))
	for i, e := range d.GetEntries() {
		all[i] = policy.Entry{Key: e.GetKey(), Value: e.GetValue()}
	}
	return all
}
