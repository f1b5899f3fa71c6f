package gubernatorapi

import (
	"time"

	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// ArgsOf returns the arguments of a step for an item, with a time of its own or of its
// caller, and the skew that is allowed, in ms.
func ArgsOf(item *pb.RateLimitReq, skew int64, bounds [4]int64) []int64 {
	q := question{
		algorithm: item.GetAlgorithm(), behavior: item.GetBehavior(), hits: item.GetHits(), limit: item.GetLimit(),
		duration: item.GetDuration(), burst: item.GetBurst(), at: item.GetCreatedAt(), skew: skew, bounds: bounds,
	}
	return q.appendArgs(nil)
}

// Around returns what a calendar says of a moment.
func Around(code int64, zone *time.Location, now int64) [4]int64 {
	c := calendar{code: code, zone: zone}
	return c.around(now)
}

// Statuses are the codes of HTTP by those of gRPC.
var Statuses = statuses

// Plus, Minus and Share are the sums of this package.
var (
	Plus  = plus
	Minus = minus
	Share = share
)
