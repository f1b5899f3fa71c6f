// texts.go has the errors of items. Clients compare those that are Gubernator's, up to
// where ours begin, so they are kept to the letter.

package gubernatorapi

import (
	"fmt"

	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

const (
	tooManyItems = "Requests.RateLimits list too large; max size is '1000'"
	noUniqueKey  = "field 'unique_key' cannot be empty"
	noName       = "field 'namespace' cannot be empty"

	notGregorian = "behavior DURATION_IS_GREGORIAN is set; but `Duration` is not a valid gregorian interval"

	multiRegion  = "behavior MULTI_REGION is not supported: leave it out, or have the operator set the node to ignore it"
	noRoom       = "the owner has no room for another counter: try again later, or have the operator give it more memory"
	panicText    = "it ended in a panic, which was counted"
	otherVersion = "the owner's answer is not understood: it runs another version"
)

// keyText is how Gubernator names a counter in its errors.
func keyText(item *pb.RateLimitReq) string { return item.GetName() + "_" + item.GetUniqueKey() }

// refused is the error of an item that cannot be counted.
func refused(item *pb.RateLimitReq, cause string) string {
	return fmt.Sprintf("Error while apply rate limit for '%s': during workerPool.GetRateLimit: %s", keyText(item), cause)
}

// unanswered is the error of an item whose owner has not answered.
func unanswered(item *pb.RateLimitReq, cause string) string {
	return fmt.Sprintf("while fetching rate limit '%s' from peer: %s", keyText(item), cause)
}

// unknownAlgorithm and badInterval are causes of refused.
func unknownAlgorithm(item *pb.RateLimitReq) string {
	return fmt.Sprintf("Invalid rate limit algorithm '%d'", item.GetAlgorithm())
}

func badInterval(item *pb.RateLimitReq) string {
	name := "tokenBucket"
	if item.GetAlgorithm() == pb.Algorithm_LEAKY_BUCKET {
		name = "leakyBucket"
	}
	return fmt.Sprintf("Error in %s: %s", name, notGregorian)
}

func tooLong(bytes, most int) string {
	return fmt.Sprintf("name and unique_key have %d bytes together, at most %d are allowed: send a hash of the key", bytes, most)
}
