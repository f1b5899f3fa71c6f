// charges.go has the holder of a key count what this node admitted without asking it.

package node

import (
	"context"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

const (
	// maxCharged bounds the counters that are remembered. What goes beyond is forgotten,
	// which admits more.
	maxCharged = 65536
	// chargedFor is how long it is tried to tell the holder.
	chargedFor = 5 * time.Minute
	// chargesAtOnce bounds the charges of one call, chargedAtOnce the time of one round.
	chargesAtOnce = 32
	chargedAtOnce = 50 * time.Millisecond
)

// charges are takes that no holder has counted yet. The zero value is empty.
type charges struct {
	mu  sync.Mutex
	due map[chargeKey]*uncounted // guarded by mu
}

// A chargeKey names a counter, and a window of it.
type chargeKey struct {
	part   uint32
	limit  bucketring.Limit
	key    string
	window int64
}

type uncounted struct {
	cost  int64
	since time.Time
}

// note remembers an admitted call. states are what its limits said, in their order.
func (u *charges) note(hash uint64, req *bucketring.Request, states []bucketring.LimitState) {
	if req.Verb != bucketring.VerbTake {
		return
	}
	c := callOf(req)
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range c.len() {
		charge := c.at(i)
		if charge.Cost <= 0 || charge.Limit.Kind != bucketring.KindRate {
			continue
		}
		k := chargeKey{part: partOf(hash, req), limit: *charge.Limit, key: charge.Key}
		if i < len(states) && charge.Limit.Algorithm == bucketring.FixedWindow && charge.Limit.Align != bucketring.AlignFirstRequest {
			k.window = states[i].Window // the same for all nodes
		}
		u.add(k, charge.Cost)
	}
}

func (u *charges) add(k chargeKey, cost int64) {
	one := u.due[k]
	switch {
	case one == nil && len(u.due) >= maxCharged:
		return
	case u.due == nil:
		u.due = map[chargeKey]*uncounted{}
	}
	if one == nil {
		one = &uncounted{since: time.Now()}
		u.due[k] = one
	}
	one.cost += cost
}

// take returns all that is due, by partition, and forgets it.
func (u *charges) take() map[uint32]map[chargeKey]*uncounted {
	u.mu.Lock()
	due := u.due
	u.due = nil
	u.mu.Unlock()
	byPart := map[uint32]map[chargeKey]*uncounted{}
	for k, one := range due {
		if time.Since(one.since) > chargedFor {
			continue
		}
		if byPart[k.part] == nil {
			byPart[k.part] = map[chargeKey]*uncounted{}
		}
		byPart[k.part][k] = one
	}
	return byPart
}

// back remembers what could not be told.
func (u *charges) back(keys map[chargeKey]*uncounted) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for k, one := range keys {
		u.add(k, one.cost)
		if u.due[k] != nil {
			u.due[k].since = one.since
		}
	}
}

// tellCharges has the holders count what is due, for a moment.
func (n *Node) tellCharges(ctx context.Context) {
	began := time.Now()
	for part, keys := range n.charges.take() {
		if time.Since(began) > chargedAtOnce {
			n.charges.back(keys)
			continue
		}
		req := bucketring.Request{Verb: bucketring.VerbTake, Partition: part, Each: true}
		told := map[chargeKey]*uncounted{}
		for k, one := range keys {
			if len(told) == chargesAtOnce {
				break
			}
			told[k] = one
			limit := k.limit
			req.Charges = append(req.Charges, bucketring.Charge{Limit: &limit, Key: k.key, Cost: one.cost, Window: k.window, Force: true})
		}
		if d, err := n.take(ctx, uint64(part), &req); err != nil || d.Degraded && d.Source != bucketring.SourceReplica {
			n.charges.back(keys)
			continue
		}
		for k := range told {
			delete(keys, k)
		}
		n.charges.back(keys)
	}
}
