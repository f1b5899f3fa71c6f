// throttle.go turns CL.THROTTLE into a request and a decision into its five numbers.

package resp

import (
	"math"
	"math/big"
	"time"

	"github.com/bucketring/bucketring"
)

// throttleID tells the buckets of this door from those of limits that come with a
// call elsewhere. It is the FNV-1a hash, of 64 bits, of "_redis cl.throttle", and
// must never change: nodes of different versions name a bucket by it.
const throttleID = 0x19bbca9c1e82f646

// cellError begins every complaint about the words of CL.THROTTLE, as in redis-cell.
const cellError = "Cell error: Store error: "

const throttleUsage = cellError + "Usage: cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]"

// cells are the parameters of a bucket, which travel in each call.
type cells struct{ maxBurst, count, period int64 }

// capacity is how many can pass at one instant.
func (p *cells) capacity() int64 { return p.maxBurst + 1 }

// limit returns the limit that the parameters stand for.
func (p *cells) limit(away bucketring.Unavailable) bucketring.Limit {
	per := time.Duration(math.MaxInt64)
	if p.period <= int64(per/time.Second) {
		per = time.Duration(p.period) * time.Second
	}
	return bucketring.Limit{
		Name: "cl.throttle", ID: throttleID, Algorithm: bucketring.Cell,
		Amount: p.count, Burst: p.capacity(), Per: per, Unavailable: away,
	}
}

// fill is the time in which an empty bucket becomes full, in nanoseconds rounded up.
func (p *cells) fill() time.Duration {
	product := big.NewInt(int64(time.Second))
	product.Mul(product, big.NewInt(p.period))
	product.Mul(product, big.NewInt(p.capacity()))
	count := big.NewInt(p.count)
	product.Add(product, count).Sub(product, big.NewInt(1)).Quo(product, count)
	if !product.IsInt64() {
		return math.MaxInt64
	}
	return time.Duration(product.Int64())
}

// A throttle is one CL.THROTTLE.
type throttle struct {
	cells
	quantity int64
}

// parseThrottle reads the words after the command's name. The problem, if it is not
// empty, is the error to answer.
func parseThrottle(words [][]byte) (t throttle, problem string) {
	if len(words) < 4 || len(words) > 5 {
		return t, throttleUsage
	}
	if problem = keyProblem(words[0]); problem != "" {
		return t, problem
	}
	numbers := [...]int64{3: 1} // a quantity that is not given is 1
	for i, word := range words[1:] {
		n, ok := parseInt(word)
		if !ok {
			return t, cellError + "Couldn't parse as integer: " + string(cut(word))
		}
		numbers[i] = n
	}
	t.cells, t.quantity = cells{numbers[0], numbers[1], numbers[2]}, numbers[3]
	switch {
	case t.count < 1 || t.period < 1:
		return t, cellError + "Zero rates are not supported"
	case t.maxBurst < 0 || t.maxBurst == math.MaxInt64:
		return t, cellError + "max_burst is out of range"
	}
	return t, ""
}

// verb returns what the quantity asks for, and how much of it.
func (t *throttle) verb() (bucketring.Verb, int64) {
	switch {
	case t.quantity > 0:
		return bucketring.VerbTake, t.quantity
	case t.quantity == 0:
		return bucketring.VerbPeek, 0
	case t.quantity == math.MinInt64:
		return bucketring.VerbRefund, math.MaxInt64
	}
	return bucketring.VerbRefund, -t.quantity
}

// appendReply appends the five numbers that d stands for.
func (t *throttle) appendReply(b []byte, d *bucketring.Decision) []byte {
	limited, retry, reset := int64(0), int64(-1), wholeSeconds(d.ResetAfter)
	remaining := min(max(d.Remaining, 0), t.capacity())
	switch {
	case d.Source == bucketring.SourceFallbackClosed:
		// Nobody has looked at the bucket; a second later somebody may.
		limited, remaining, retry, reset = 1, 0, 1, 1
	case t.quantity == 0:
		// A peek at nothing is allowed, but redis-cell says whether the bucket is in
		// debt, as smaller parameters than before can make it.
		if fill := t.fill(); d.ResetAfter > fill {
			limited, retry = 1, max(wholeSeconds(d.ResetAfter-fill), 1)
		}
	case t.quantity > 0 && !d.Allowed:
		limited = 1
		if t.quantity <= t.capacity() && d.RetryAfter != bucketring.Never {
			retry = max(wholeSeconds(d.RetryAfter), 1)
		}
	}
	b = appendList(b, 5)
	for _, n := range [...]int64{limited, t.capacity(), remaining, retry, reset} {
		b = appendInt(b, n)
	}
	return b
}

// wholeSeconds rounds up. The longest Duration stands for whatever does not fit one,
// and so becomes the largest number of a reply.
func wholeSeconds(d time.Duration) int64 {
	switch {
	case d == math.MaxInt64:
		return math.MaxInt64
	case d <= 0:
		return 0
	}
	seconds := int64(d / time.Second)
	if d%time.Second != 0 {
		seconds++
	}
	return seconds
}

// keyProblem returns the error for a key that cannot be one, "" for any other.
func keyProblem(key []byte) string {
	if len(key) == 0 || len(key) > bucketring.MaxKeyLen {
		return "ERR key must be 1 to 512 bytes"
	}
	return ""
}
