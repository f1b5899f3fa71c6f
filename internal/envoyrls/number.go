// number.go fits numbers into the fields of the protocol, which never overflow.

package envoyrls

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/bucketring/bucketring"
	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
	"github.com/bucketring/bucketring/policy"
)

// u32 is n, or the nearest number that the field has.
func u32(n int64) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }

// longest is the longest Duration of protobuf, in seconds: 10,000 years.
const longest = 315_576_000_000

// seconds is a time in whole seconds.
func seconds(n int64) *durationpb.Duration {
	return &durationpb.Duration{Seconds: min(max(n, 0), longest)}
}

// whole is an amount in 10^-precision in whole tokens, rounded down.
func whole(amount int64, precision uint8) int64 {
	for range precision {
		amount /= 10
	}
	return amount
}

// currentLimit describes a limit.
func currentLimit(l *limit) *rls.RateLimitResponse_RateLimit {
	made := &rls.RateLimitResponse_RateLimit{
		Name: l.name, RequestsPerUnit: l.requests, Unit: rls.RateLimitResponse_RateLimit_Unit(l.unit),
	}
	if l.multiplier != 0 {
		made.UnitMultiplier = wrapperspb.UInt32(l.multiplier)
	}
	return made
}

// unitOf returns the longest unit that divides a window, and how often it does; 0 for once.
// Windows that follow the calendar have units of their own.
func unitOf(per time.Duration) (unit policy.Unit, multiplier uint32) {
	switch per {
	case bucketring.Month:
		return policy.UnitMonth, 0
	case bucketring.Year:
		return policy.UnitYear, 0
	}
	n := int64(per / time.Second)
	for _, unit := range policy.Units() {
		if s := unit.Seconds(); n >= s && n%s == 0 {
			if n == s {
				return unit, 0
			}
			return unit, u32(n / s)
		}
	}
	return policy.UnitUnknown, 0
}
