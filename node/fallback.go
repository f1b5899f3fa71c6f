// fallback.go answers while a key's owner cannot be asked.

package node

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
)

// A share holds what this node admits of limits whose owner is away. It is a
// table of its own: these counters are nobody's truth. It begins anew with each
// ring, or a second outage would find what was saved since the first.
type share struct{ table atomic.Pointer[bucket.Table] }

// shareKeys bounds the keys that are counted without their owner.
const shareKeys = 65536

const shareParts = 64

func (s *share) forget() {
	s.table.Store(bucket.New(bucket.Config{Partitions: shareParts, MaxKeys: shareKeys}))
}

// fallback decides by the limits' Unavailable modes. One deny refuses the call;
// local limits are enforced at this node's share; allow limits have no say.
func (n *Node) fallback(r *ring.Ring, hash uint64, req *bucketring.Request) (bucketring.Decision, error) {
	if req.Verb == bucketring.VerbRefund || req.Verb == bucketring.VerbReset {
		return bucketring.Decision{}, fmt.Errorf("%w: the key's owner cannot be reached: try the %s again",
			bucketring.ErrUnavailable, req.Verb)
	}
	var local []bucketring.Limit
	for i := range req.Limits {
		switch req.Limits[i].Unavailable {
		case bucketring.UnavailableDeny:
			return n.closed(&req.Limits[i]), nil
		case bucketring.UnavailableLocal:
			local = append(local, shareOf(req.Limits[i], len(r.Members)))
		}
	}
	if len(local) == 0 {
		return n.open(req), nil
	}
	d := n.shared(hash, req, local, len(r.Members))
	if len(local) < len(req.Limits) {
		d.Limits = nil // the limits that had no say are not described
	}
	return n.degraded(d, bucketring.SourceFallbackShare), nil
}

// shareOf is a limit divided among members, rounded down but at least 1.
func shareOf(l bucketring.Limit, members int) bucketring.Limit {
	n := int64(max(members, 1))
	if l.Amount > 0 {
		l.Amount = max(l.Amount/n, 1)
	}
	if l.Burst > 0 {
		l.Burst = max(l.Burst/n, 1)
	}
	return l
}

// shared enforces this node's share. A counter begins with this node's part of
// what the owner had left when it spoke within the last second. Without such a
// word it begins with one token: then N nodes admit at most N more plus what the
// rate allows.
func (n *Node) shared(hash uint64, req *bucketring.Request, local []bucketring.Limit, members int) bucketring.Decision {
	now := n.local.clock.now()
	c := call{
		table: n.share.table.Load(), clock: n.local.clock, now: now, part: uint32(hash % shareParts), req: *req,
		spent: func(l *bucketring.Limit) int64 {
			return max(l.Capacity()-n.seen.part(hash, l, now.Mono, members), 0)
		},
	}
	c.req.Limits = local
	return c.decide()
}

// open lets a call pass that nobody counted.
func (n *Node) open(req *bucketring.Request) bucketring.Decision {
	now := unixUp(n.local.clock.now().Wall)
	states := make([]bucketring.LimitState, len(req.Limits))
	for i := range states {
		l := &req.Limits[i]
		states[i] = bucketring.LimitState{
			Name: l.Name, Allowed: true, Limit: l.Capacity(), Remaining: l.Capacity(), ResetAt: now,
		}
	}
	d := describe(states, req.Cost)
	if len(states) == 1 {
		d.Limits = nil
	}
	return n.degraded(d, bucketring.SourceFallbackOpen)
}

// closed refuses a call that nobody could check, because of the limit l. It is
// worth trying again soon.
func (n *Node) closed(l *bucketring.Limit) bucketring.Decision {
	d := bucketring.Decision{LimitState: bucketring.LimitState{
		Name: l.Name, Limit: l.Capacity(), ResetAfter: time.Second, RetryAfter: time.Second,
		ResetAt: unixUp(n.local.clock.now().Wall + int64(time.Second)),
	}}
	return n.degraded(d, bucketring.SourceFallbackClosed)
}

func (n *Node) degraded(d bucketring.Decision, source bucketring.Source) bucketring.Decision {
	d.Source, d.Degraded, d.Node, d.Owner = source, true, n.cfg.Name, ""
	return d
}
