// ids.go renews and releases leases, and settles reservations: their ids say where
// they are kept.

package node

import (
	"context"
	"fmt"
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

// maxIDs bounds the ids of one call.
const maxIDs = 1000

// takeIDs carries out a verb about ids. A reservation of several limits has
// several ids, joined by points. Each partition's ids go to its owner.
func (n *Node) takeIDs(ctx context.Context, req *bucketring.Request) (bucketring.Decision, error) {
	byPart, order, err := sorted(req)
	if err != nil {
		return bucketring.Decision{}, err
	}
	d := bucketring.Decision{Allowed: true, Limits: []bucketring.LimitState{}, Node: n.cfg.Name}
	asked := 0
	for _, part := range order {
		ask := *req
		ask.IDs, ask.Partition, ask.Charges = byPart[part], part, nil
		one, err := n.askIDs(ctx, &ask)
		if err != nil {
			return d, err
		}
		asked += len(ask.IDs)
		d.Leases = append(d.Leases, one.Leases...)
		d.Limits = append(d.Limits, one.Limits...)
		d.Owner, d.Source = one.Owner, one.Source
	}
	d.Allowed = len(d.Leases) == asked
	if req.Verb == bucketring.VerbSettle {
		if len(d.Leases) == 0 {
			return d, errNeverMade
		}
		d.Allowed, d.Reservation, d.Leases = true, req.IDs[0], nil
		if len(d.Limits) > 0 {
			d.LimitState = d.Limits[0]
		}
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
			case (err != nil || part >= ring.Partitions) && req.Verb == bucketring.VerbSettle:
				return nil, nil, errNeverMade
			case err != nil:
				return nil, nil, err
			case part >= ring.Partitions:
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
// for itself are kept where they were taken, whoever owns the partition.
func (n *Node) askIDs(ctx context.Context, req *bucketring.Request) (bucketring.Decision, error) {
	own := n.local.doIDs(req)
	if n.Ring().OwnedBySelf(req.Partition) || len(own.Leases) == len(req.IDs) {
		return own, nil
	}
	return n.forward(ctx, n.Ring(), uint64(req.Partition), req)
}

// doIDs carries out a verb about ids of one partition that are kept here. The
// decision's Leases are those that were found.
func (l *Local) doIDs(req *bucketring.Request) bucketring.Decision {
	now := l.clock.now()
	d := bucketring.Decision{Source: bucketring.SourceOwner, Node: l.name, Owner: l.name, Limits: []bucketring.LimitState{}}
	for _, text := range req.IDs {
		id, _, err := bucketring.ParseID(text)
		if err != nil {
			continue
		}
		found := false
		switch req.Verb {
		case bucketring.VerbRenew:
			_, found = l.table.Renew(req.Partition, id, now)
		case bucketring.VerbRelease:
			found = l.table.Release(req.Partition, id, now)
		case bucketring.VerbSettle:
			var s bucket.Settled
			if s, found = l.table.Settle(req.Partition, id, req.Cost, req.CostNanos, now); found {
				d.Limits = append(d.Limits, bucketring.LimitState{})
				show(&d.Limits[len(d.Limits)-1], &s.Limit, &s.Result, now)
			}
		}
		if found {
			d.Leases = append(d.Leases, text)
		}
	}
	d.Allowed = len(d.Leases) == len(req.IDs)
	return d
}
