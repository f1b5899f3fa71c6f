// charges.go has the holder of a key count what this node admitted without asking it.

package node

import (
	"context"
	"slices"
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
	chargesEvery  = 20 * time.Millisecond
	chargesAtOnce = 32
	chargedAtOnce = 50 * time.Millisecond
)

// charges are takes that no holder has counted yet.
type charges struct {
	wake  chan struct{} // one slot: something is due
	mu    sync.Mutex
	due   map[chargeKey]int64 // tokens; guarded by mu
	calls []chargeCall        // belongs to runCharges: told, and not acknowledged
}

// A chargeKey names a counter, and a window of it.
type chargeKey struct {
	part   uint32
	limit  bucketring.Limit
	key    string
	window int64
}

// A chargeCall tells some charges of one partition. Its token makes it count once.
type chargeCall struct {
	req   bucketring.Request
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
	if _, known := u.due[k]; !known && len(u.due) >= maxCharged {
		return
	}
	if u.due == nil {
		u.due = map[chargeKey]int64{}
	}
	u.due[k] += cost
	poke(u.wake)
}

// poke wakes whoever waits for wake, which has one slot.
func poke(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// gather makes calls of what is due.
func (u *charges) gather() {
	u.mu.Lock()
	due := u.due
	u.due = nil
	u.mu.Unlock()
	if len(due) == 0 {
		return
	}
	byPart := map[uint32][]bucketring.Charge{}
	for k, cost := range due {
		limit := k.limit
		byPart[k.part] = append(byPart[k.part], bucketring.Charge{Limit: &limit, Key: k.key, Cost: cost, Window: k.window, Force: true})
	}
	for part, all := range byPart {
		for some := range slices.Chunk(all, chargesAtOnce) {
			req := bucketring.Request{Verb: bucketring.VerbTake, Partition: part, Each: true, Charges: some, Token: newRequestID()}
			u.calls = append(u.calls, chargeCall{req, time.Now()})
		}
	}
	if over := len(u.calls) - maxCharged; over > 0 {
		u.calls = u.calls[over:]
	}
}

// runCharges tells charges as soon as it can until ctx is done: until then the holder
// gives out what was given already.
func (n *Node) runCharges(ctx context.Context) {
	for {
		var again <-chan time.Time
		if len(n.charges.calls) > 0 {
			again = time.After(chargesEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-n.charges.wake:
			select { // what follows soon is told together
			case <-ctx.Done():
				return
			case <-time.After(chargesEvery):
			}
		case <-again:
		}
		n.tellCharges(ctx)
	}
}

// tellCharges has the holders count what is due, for a moment.
func (n *Node) tellCharges(ctx context.Context) {
	n.charges.gather()
	began := time.Now()
	n.charges.calls = slices.DeleteFunc(n.charges.calls, func(c chargeCall) bool {
		switch {
		case time.Since(c.since) > chargedFor:
			return true
		case time.Since(began) > chargedAtOnce:
			return false
		}
		d, err := n.take(ctx, uint64(c.req.Partition), &c.req)
		return err == nil && (!d.Degraded || d.Source == bucketring.SourceReplica)
	})
}
