// ids.go renews and releases leases, and settles reservations: their ids say where
// they are kept.

package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
)

// byID reports whether a verb is about ids.
func byID(v bucketring.Verb) bool {
	return v == bucketring.VerbRenew || v == bucketring.VerbRelease || v == bucketring.VerbSettle
}

var errNeverMade = fmt.Errorf("%w: it was never made, or its window is over for long", bucketring.ErrUnknownID)

const (
	maxIDs    = 1000 // of one call
	idsAtOnce = 64   // of one call to another node
)

// takeIDs carries out a verb about ids. A reservation of several limits has
// several ids, joined by points. Each partition's ids go to its owner.
func (n *Node) takeIDs(ctx context.Context, req *bucketring.Request) (bucketring.Decision, error) {
	byPart, order, err := sorted(req)
	if err != nil {
		return bucketring.Decision{}, err
	}
	d := bucketring.Decision{Allowed: true, Limits: []bucketring.LimitState{}, Node: n.cfg.Name}
	asked, failed := 0, error(nil)
	for _, part := range order {
		for ids := range slices.Chunk(byPart[part], idsAtOnce) {
			asked += len(ids)
			ask := *req
			ask.IDs, ask.Partition, ask.Charges = ids, part, nil
			one, err := n.askIDs(ctx, &ask)
			if err != nil {
				failed = err // the others' leases must not end because of this one
				continue
			}
			d.Leases = append(d.Leases, one.Leases...)
			d.Limits = append(d.Limits, one.Limits...)
			d.Owner, d.Source = one.Owner, one.Source
		}
	}
	if failed != nil && (len(d.Leases) == 0 || errors.Is(failed, bucketring.ErrInvalid)) {
		return d, failed
	}
	d.Allowed = len(d.Leases) == asked
	if req.Verb != bucketring.VerbSettle {
		return d, nil
	}
	if len(d.Leases) == 0 {
		return d, errNeverMade
	}
	d.Allowed, d.Reservation, d.Leases = true, req.IDs[0], nil
	if len(d.Limits) > 0 {
		d.LimitState = d.Limits[0]
	}
	return d, nil
}

// sorted groups the ids of a call by partition, in the order in which they come.
func sorted(req *bucketring.Request) (byPart map[uint32][]string, order []uint32, err error) {
	if len(req.IDs) == 0 || len(req.IDs) > maxIDs {
		return nil, nil, bucketring.Invalidf("%d ids in one call, 1 to %d are allowed", len(req.IDs), maxIDs)
	}
	if req.Verb == bucketring.VerbSettle && (len(req.IDs) > 1 || req.Cost < 0 || req.CostNanos < 0) {
		return nil, nil, bucketring.Invalidf("settle one reservation at a time, with a cost of 0 or more")
	}
	byPart = map[uint32][]string{}
	for _, text := range req.IDs {
		for one := range strings.SplitSeq(text, ".") {
			_, part, err := bucketring.ParseID(one)
			switch {
			case (err != nil || part&^bucketring.Anywhere >= ring.Partitions) && req.Verb == bucketring.VerbSettle:
				return nil, nil, errNeverMade
			case err != nil:
				return nil, nil, err
			case part&^bucketring.Anywhere >= ring.Partitions:
				return nil, nil, bucketring.Invalidf("an id is none that was handed out")
			}
			if byPart[part] == nil {
				order = append(order, part)
			}
			byPart[part] = append(byPart[part], one)
		}
	}
	return byPart, order, nil
}

// askIDs asks this node first, which costs little: limits that each node counts
// for itself are kept where they were taken, whoever owns the partition, and so are
// leases that were taken while the owner was away.
func (n *Node) askIDs(ctx context.Context, req *bucketring.Request) (bucketring.Decision, error) {
	own, here, err := n.local.doIDs(req)
	left := missing(req.IDs, own.Leases)
	if err == nil && len(left) > 0 {
		share := idCall{n.share.table.Load(), n.local.clock.now(), req.Partition &^ bucketring.Anywhere % shareParts}
		err = share.do(&own, req, left)
		left = missing(left, own.Leases)
	}
	switch {
	case err != nil || len(left) == 0 || here:
		return own, err
	case req.Partition&bucketring.Anywhere != 0:
		n.askEveryone(ctx, req, &own, left)
		return own, nil
	}
	ask := *req
	ask.IDs = left
	d, err := n.forward(ctx, uint64(req.Partition), &ask)
	d.Leases = append(own.Leases, d.Leases...)
	d.Limits = append(own.Limits, d.Limits...)
	if len(own.Leases) > 0 {
		err = nil // what was found here was done
	}
	return d, err
}

// askEveryone asks one node after the other for ids that only one of them knows.
// Those that no node knows, or whose node is away, are not found.
func (n *Node) askEveryone(ctx context.Context, req *bucketring.Request, d *bucketring.Decision, left []string) {
	for _, m := range n.Ring().Members {
		if m.Name == n.cfg.Name || n.cfg.Peers == nil || len(left) == 0 {
			continue
		}
		ask := *req
		ask.IDs = left
		ends, ok := n.ends(ctx.Deadline())
		if !ok {
			break
		}
		one, err := n.askPeer(ctx, n.cfg.Peers.Peer(m.Addr), ends, &ask, 0)
		if err == nil {
			d.Leases = append(d.Leases, one.Leases...)
			d.Limits = append(d.Limits, one.Limits...)
			left = missing(left, one.Leases)
		}
	}
}

// missing returns the ids that are not among those found.
func missing(ids, found []string) (left []string) {
	for _, id := range ids {
		if !slices.Contains(found, id) {
			left = append(left, id)
		}
	}
	return left
}

// takeIDs is doIDs for a peer, which is told whom to ask if the ids are not kept here.
func (l *Local) takeIDs(req *bucketring.Request) (bucketring.Decision, error) {
	d, here, err := l.doIDs(req)
	if err != nil || here || req.Partition&bucketring.Anywhere != 0 || len(d.Leases) == len(req.IDs) {
		return d, err
	}
	return d, l.refusal(req.Partition, req.Hinted)
}

// doIDs carries out a verb about ids of one partition that are kept here. The
// decision's Leases are those that were found; the others do not exist if the partition
// is here. The error is ErrInvalid, of a settlement that does not fit its limit.
func (l *Local) doIDs(req *bucketring.Request) (d bucketring.Decision, here bool, err error) {
	d = bucketring.Decision{Source: bucketring.SourceOwner, Node: l.name, Owner: l.name, Limits: []bucketring.LimitState{}}
	part, now := req.Partition&^bucketring.Anywhere, l.clock.now()
	tables := []*bucket.Table{l.own, l.table}
	here = req.Partition&bucketring.Anywhere == 0 && l.here(part) && l.sure.is(now)
	if !here && l.acting.Here(part) {
		tables, here = []*bucket.Table{l.own, l.acting}, true
	}
	for _, table := range tables {
		if err == nil && (table == l.own || here) {
			err = idCall{table, now, part}.do(&d, req, missing(req.IDs, d.Leases))
		}
	}
	d.Allowed = len(d.Leases) == len(req.IDs)
	if givesBack(req.Verb) && len(d.Leases) > 0 {
		l.gaveBack(part, now)
	}
	return d, here && (l.here(part) || l.acting.Here(part)), err
}

// An idCall is a call about ids at one table.
type idCall struct {
	table *bucket.Table
	now   bucket.Now
	part  uint32
}

// do carries the verb out for some ids and notes what was found.
func (c idCall) do(d *bucketring.Decision, req *bucketring.Request, ids []string) error {
	for _, text := range ids {
		id, _, err := bucketring.ParseID(text)
		if err != nil {
			continue
		}
		found := false
		switch req.Verb {
		case bucketring.VerbRenew:
			_, found = c.table.Renew(c.part, id, c.now)
		case bucketring.VerbRelease:
			found = c.table.Release(c.part, id, c.now)
		case bucketring.VerbSettle:
			var s bucket.Settled
			if s, found = c.table.Settle(c.part, id, req.Cost, req.CostNanos, c.now); s.Err != nil {
				return s.Err
			}
			if found {
				d.Limits = append(d.Limits, bucketring.LimitState{})
				show(&d.Limits[len(d.Limits)-1], &s.Limit, &s.Result, c.now)
			}
		}
		if found {
			d.Leases = append(d.Leases, text)
		}
	}
	return nil
}
