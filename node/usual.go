// usual.go decides the call that nearly all calls are, without what the others need.

package node

import (
	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
)

// isUsual reports whether a call only takes, from one rate that it brings along. What it
// does not look at was looked at when the counter was made: see bucket.Table.TryTake.
func isUsual(req *bucketring.Request) bool {
	if req.Verb != bucketring.VerbTake || len(req.Limits) != 1 || req.Cost < 0 || req.CostNanos != 0 ||
		req.Namespace != "" || req.Token != "" || req.Charges != nil || req.Attributes != nil {
		return false
	}
	l := &req.Limits[0]
	return l.Kind == bucketring.KindRate && l.TTL|l.MaxAge == 0 &&
		l.Unavailable <= bucketring.UnavailableDeny && l.Accuracy <= bucketring.Strict
}

// Now reads the clock for TakeNow, in nanoseconds since some moment.
func (n *Node) Now() int64 { return n.local.clock.now().Mono }

// TakeNow is Take for what needs no other node and no wait: a call that brings its limits
// along, of a key that is here, that its owner has lent this node tokens of, or that it has
// denied just now. It reports whether
// req was that; else it has done nothing. d is empty before. now is a reading of Now just
// before, which calls that came together may share.
func (n *Node) TakeNow(now int64, req *bucketring.Request, d *bucketring.Decision) (done bool) {
	if req.Namespace != "" || req.Verb > bucketring.VerbReset && req.Verb != bucketring.VerbStep {
		return false
	}
	hash := n.local.placer.Key("", req.Key)
	if isUsual(req) && n.local.takeUsual(n.local.clock.at(now), hash, req, d) {
		return true
	}
	if leases(req.Limits) || n.local.checkInline(req) != nil {
		return false // Take says what is wrong
	}
	return n.local.decideAt(n.local.clock.at(now), hash, req, d) || n.local.spend(hash, req, d) || n.local.remember(hash, req, d)
}

// takeUsual decides such a call into d, which is empty, if its counter is here already and
// nothing else is to be thought of. Else it has done nothing.
func (l *Local) takeUsual(now bucket.Now, hash uint64, req *bucketring.Request, d *bucketring.Decision) (done bool) {
	limit, part := &req.Limits[0], ring.Partition(hash)
	switch {
	case !l.sure.is(now):
		return false
	case l.mover == nil:
		if !l.ring.Load().OwnedBySelf(part) {
			return false
		}
	case l.mover.guard.closed[part].Load():
		return false
	}
	var res bucket.Result
	counter := bucket.Counter{Partition: part, Key: req.Key, Limit: limit}
	if !l.table.TryTake(&counter, now, req.Cost, &res) || !res.Allowed && limit.Accuracy == bucketring.Strict {
		return false // a strict denial is decided once more: see apart
	}
	show(&d.LimitState, limit, &res, now)
	d.Allowed = res.Allowed
	d.Source, d.Node, d.Owner = bucketring.SourceOwner, l.name, l.name
	return true
}
