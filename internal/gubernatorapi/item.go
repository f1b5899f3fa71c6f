// item.go checks one item, asks its question, and writes its answer.

package gubernatorapi

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// check returns what is wrong with an item, and counts it; "" if nothing is. The order is
// Gubernator's.
func (s *Server) check(ctx context.Context, item *pb.RateLimitReq) (wrong string) {
	if item.GetUniqueKey() != "" && item.GetName() != "" && ctx.Err() != nil {
		return s.gone(ctx.Err())
	}
	if wrong = s.wrongWith(item); wrong == "" {
		wrong = s.mayNot(ctx, item)
	}
	if wrong != "" {
		s.counts.bad.Add(1)
	}
	return wrong
}

// wrongWith returns why an item cannot be counted, whatever happens, "" if it can.
func (s *Server) wrongWith(item *pb.RateLimitReq) string {
	code := item.GetDuration()
	switch bytes := len(item.GetName()) + len(item.GetUniqueKey()); {
	case item.GetUniqueKey() == "":
		return noUniqueKey
	case item.GetName() == "":
		return noName
	case bytes > s.cfg.MaxKeyLen:
		return tooLong(bytes, s.cfg.MaxKeyLen)
	case has(item, pb.Behavior_MULTI_REGION) && !s.cfg.IgnoreMultiRegion:
		return multiRegion
	case item.GetAlgorithm() != pb.Algorithm_TOKEN_BUCKET && item.GetAlgorithm() != pb.Algorithm_LEAKY_BUCKET:
		return refused(item, unknownAlgorithm(item))
	case has(item, pb.Behavior_DURATION_IS_GREGORIAN) && (code < 0 || code >= numIntervals):
		return refused(item, badInterval(item))
	}
	return ""
}

func has(item *pb.RateLimitReq, flag pb.Behavior) bool { return item.GetBehavior()&flag != 0 }

// keyOf returns the key of an item's register. It tells ("a", "b_c") from ("a_b", "c"):
// the name is preceded by its length. A key that is too long for that is hashed, behind a
// length that no name has.
func keyOf(item *pb.RateLimitReq) string {
	name, key := item.GetName(), item.GetUniqueKey()
	b := make([]byte, 0, 128) // enough for most, on the stack
	b = binary.AppendUvarint(b, uint64(len(name)))
	b = append(append(b, name...), key...)
	if len(b) > bucketring.MaxKeyLen {
		sum := sha256.Sum256(b)
		b = append(b[:0], 0)
		b = append(b, sum[:]...)
	}
	return string(b)
}

// ask makes req the request for an item that has passed check. now is the time of items
// that bring none, in ms since 1970.
func (s *Server) ask(req *bucketring.Request, item *pb.RateLimitReq, key string, now int64) {
	q := question{
		algorithm: item.GetAlgorithm(), behavior: item.GetBehavior(), hits: item.GetHits(), limit: item.GetLimit(),
		duration: item.GetDuration(), burst: item.GetBurst(), at: item.GetCreatedAt(), skew: s.cfg.MaxClockSkew.Milliseconds(),
	}
	if s.cfg.MaxClockSkew < 0 {
		q.skew = -1
	}
	if q.at == 0 {
		q.at = now
	}
	if has(item, pb.Behavior_DURATION_IS_GREGORIAN) {
		q.bounds = s.calendars[q.duration].around(now)
	}
	args := q.appendArgs(req.Args[:0])
	*req = s.request
	req.Key, req.Args = key, args
}

// tell writes the answer to an item.
func (s *Server) tell(item *pb.RateLimitReq, resp *pb.RateLimitResp, d *bucketring.Decision, err error) {
	a, ok := answerOf(d.Values)
	switch {
	case err != nil:
		resp.Error = s.failed(item, err)
		return
	case !d.Allowed:
		s.counts.full.Add(1)
		resp.Error = refused(item, noRoom)
		return
	case !ok:
		s.counts.unavailable.Add(1)
		resp.Error = unanswered(item, otherVersion)
		return
	}
	if s.counter != nil {
		s.counter.Count(item.GetUniqueKey(), bucketring.Decision{
			Allowed: !a.over, Source: d.Source, LimitState: bucketring.LimitState{Name: item.GetName()},
		})
	}
	resp.Limit, resp.Remaining, resp.ResetTime = max(item.GetLimit(), 0), a.remaining, a.reset
	if a.over {
		resp.Status = pb.Status_OVER_LIMIT
	}
	if d.Owner != "" && d.Owner != d.Node {
		resp.Metadata = map[string]string{"owner": s.address(d.Owner)}
	}
	if s.cfg.RetryAfter && a.over && a.retry >= 0 {
		if resp.Metadata == nil {
			resp.Metadata = map[string]string{}
		}
		resp.Metadata["retry_after_ms"] = strconv.FormatInt(a.retry, 10)
	}
}

// failed returns the error of an item for which the Limiter has returned err, and counts it.
func (s *Server) failed(item *pb.RateLimitReq, err error) string {
	if errors.Is(err, bucketring.ErrInvalid) {
		s.counts.bad.Add(1)
		return refused(item, err.Error())
	}
	s.counts.unavailable.Add(1)
	return unanswered(item, err.Error())
}

// gone returns the error of an item that was not begun, as the caller no longer waits, and
// counts it.
func (s *Server) gone(cause error) string {
	s.counts.unavailable.Add(1)
	return "Error while iterating request items: " + cause.Error()
}

// address returns what callers are told of a member.
func (s *Server) address(member string) string {
	if s.cfg.Address != nil {
		if addr := s.cfg.Address(member); addr != "" {
			return addr
		}
	}
	return member
}
