// policy.go decides calls that name a policy: it resolves them, has their charges
// counted where they live, and lets the policy describe what came of it.

package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
	"github.com/bucketring/bucketring/ring"
)

// takePolicy decides a call in a namespace.
func (n *Node) takePolicy(ctx context.Context, req *bucketring.Request) (bucketring.Decision, error) {
	if err := ctx.Err(); err != nil {
		return bucketring.Decision{}, err
	}
	set := n.policies.Load()
	p, err := set.Policy(req.Namespace)
	if err != nil {
		return bucketring.Decision{}, err
	}
	now := time.Unix(0, n.local.clock.now().Wall)
	c, err := p.Resolve(req, policy.Facts{Rows: set, Now: now, NewID: newID})
	if err != nil {
		return bucketring.Decision{}, err
	}
	w := newWork(n, c, req)
	if err := w.do(ctx); err != nil {
		return bucketring.Decision{}, err
	}
	d := c.Answer(newRequestID)
	w.sign(&d)
	if req.Verb == bucketring.VerbTake {
		n.tally.note(n.local.clock.now().Mono, p.Namespace(), p.Labels(), c, &d)
		if weight := n.hot.weigh(1); weight > 0 && d.Name != "" {
			n.hot.note(n.local.clock.now().Mono, &HotKey{Namespace: p.Namespace(), Limit: d.Name, Key: c.Counted(d.Name)}, d.Allowed, weight)
		}
	}
	return d, nil
}

// newID returns 128 random bits.
func newID() (id bucketring.ID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

func newRequestID() string {
	id := newID()
	return hex.EncodeToString(id[:])
}

// leases reports whether one of a call's own limits hands out leases.
func leases(limits []bucketring.Limit) bool {
	for i := range limits {
		if limits[i].Kind == bucketring.KindConcurrency {
			return true
		}
	}
	return false
}

// takeLeases decides a call whose own limits hand out leases: they need ids, which
// only charges have.
func (n *Node) takeLeases(ctx context.Context, hash uint64, req bucketring.Request) (bucketring.Decision, error) {
	part := ring.Partition(hash)
	charged := bucketring.Request{Verb: req.Verb, Partition: part, Charges: make([]bucketring.Charge, len(req.Limits))}
	for i := range req.Limits {
		c := bucketring.Charge{Limit: &req.Limits[i], Key: req.Key, Cost: req.Cost}
		if c.Limit.Kind == bucketring.KindConcurrency && c.Cost > 0 && req.Verb == bucketring.VerbTake {
			if c.ID = newID(); req.Token != "" {
				c.ID = bucketring.TokenID(req.Token, c.Limit.ID, c.Key)
			}
		}
		charged.Charges[i] = c
	}
	made, err := n.take(ctx, uint64(part), &charged)
	if err != nil {
		return made, err
	}
	d := describe(made.All(), req.Cost)
	if len(d.Limits) == 1 {
		d.Limits = nil
	}
	d.Source, d.Degraded, d.Node, d.Owner = made.Source, made.Degraded, made.Node, made.Owner
	for _, c := range charged.Charges {
		if d.Allowed && c.ID != (bucketring.ID{}) {
			d.Leases = append(d.Leases, c.ID.Text(part))
		}
	}
	return d, nil
}
