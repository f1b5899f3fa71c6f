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
	return req.Verb == bucketring.VerbTake && req.Cost >= 0 && req.CostNanos == 0 && req.Namespace == "" &&
		req.Token == "" && req.Charges == nil && req.Attributes == nil && usualLimits(req.Limits)
}

func usualLimits(limits []bucketring.Limit) bool {
	if len(limits) != 1 {
		return false
	}
	l := &limits[0]
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
	return n.takeNow(n.local.clock.at(now), n.local.placer.Key("", req.Key), req, d)
}

func (n *Node) takeNow(now bucket.Now, hash uint64, req *bucketring.Request, d *bucketring.Decision) (done bool) {
	if isUsual(req) && n.local.takeUsual(now, n.local.placeOf(hash, req.Key, &req.Limits[0]), req, d) {
		return true
	}
	if leases(req.Limits) || n.local.checkInline(req) != nil {
		return false // Take says what is wrong
	}
	return n.local.decideAt(now, hash, req, d) || n.local.spend(hash, req, d) || n.local.remember(hash, req, d)
}

// together is how many calls are looked up at once, and share a reading of the clock: more
// would make decisions of a node that is paused among them too old.
const together = 16

// TakeEachNow is TakeNow for calls that came together, of those that are not nil, in their
// order: ds and done are as long as reqs. It fetches the counters of several calls from memory
// at once, which takes as long as for one. It reads the clock itself.
func (n *Node) TakeEachNow(reqs []*bucketring.Request, ds []bucketring.Decision, done []bool) {
	for first := 0; first < len(reqs); first += together {
		last := min(first+together, len(reqs))
		n.takeTogether(reqs[first:last], ds[first:last], done[first:last])
	}
}

// takeTogether is TakeEachNow for a few calls. It returns its reading of the clock.
func (n *Node) takeTogether(reqs []*bucketring.Request, ds []bucketring.Decision, done []bool) (now int64) {
	var places [together]bucket.Place // of usual calls; the others have one that is never used
	l := n.local
	at := l.clock.now()
	for i, req := range reqs {
		if req != nil && isUsual(req) {
			places[i] = l.placeOf(l.placer.Key("", req.Key), req.Key, &req.Limits[0])
		}
	}
	l.table.Fetch(places[:len(reqs)])
	for i, req := range reqs {
		switch {
		case req == nil:
		case isUsual(req) && l.takeUsual(at, places[i], req, &ds[i]):
			done[i] = true
		default:
			done[i] = n.TakeNow(at.Mono, req, &ds[i])
		}
	}
	return at.Mono
}

// placeOf returns where a usual call is counted.
func (l *Local) placeOf(hash uint64, key string, limit *bucketring.Limit) bucket.Place {
	return l.table.Place(ring.Partition(hash), key, limit)
}

// decides reports whether usual calls of a partition are decided here, now.
func (l *Local) decides(now bucket.Now, part uint32) bool {
	if l.mover == nil {
		return l.sure.is(now) && l.ring.Load().OwnedBySelf(part)
	}
	return l.sure.is(now) && !l.mover.guard.closed[part].Load()
}

// takeUsual decides such a call into d, which is empty, if its counter is here already and
// nothing else is to be thought of. Else it has done nothing.
func (l *Local) takeUsual(now bucket.Now, at bucket.Place, req *bucketring.Request, d *bucketring.Decision) (done bool) {
	if !l.decides(now, at.Partition()) {
		return false
	}
	limit := &req.Limits[0]
	var res bucket.Result
	if !l.table.TryTake(at, req.Key, limit, now, req.Cost, &res) || !res.Allowed && limit.Accuracy == bucketring.Strict {
		return false // a strict denial is decided once more: see apart
	}
	show(&d.LimitState, limit, &res, now)
	d.Allowed = res.Allowed
	d.Source, d.Node, d.Owner = bucketring.SourceOwner, l.name, l.name
	return true
}
