// where.go says where the counters of a call live.

package main

import (
	"context"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
	"github.com/bucketring/bucketring/policy"
	"github.com/bucketring/bucketring/ring"
)

// Explain implements httpapi.View.
func (v *view) Explain(ctx context.Context, req bucketring.Request) (answer httpapi.Explanation, err error) {
	r := v.node.Ring()
	answer = httpapi.Explanation{Key: req.Key, Namespace: req.Namespace, Node: v.cfg.NodeName, RingVersion: r.Version}
	if req.Namespace != "" {
		answer.Places, err = v.placesOf(r, &req)
	} else {
		var at httpapi.Place
		where, wrong := v.node.Explain(req)
		at.Partition, at.Owner, at.Replica = int(where.Partition), where.Owner, where.Replica
		answer.Place, err = at, wrong
	}
	if err != nil || req.Namespace == "" && len(req.Limits) == 0 {
		return answer, err
	}
	d, err := v.node.Take(ctx, req)
	answer.Decision = &d
	return answer, err
}

// placesOf lists where the limits count that a call meets in its namespace. A call that is
// refused before any is asked, and limits that only compare, have no place.
func (v *view) placesOf(r *ring.Ring, req *bucketring.Request) ([]httpapi.Place, error) {
	set := v.node.Policies()
	p, err := set.Policy(req.Namespace)
	if err != nil {
		return nil, err
	}
	call, err := p.Resolve(req, policy.Facts{Rows: set, Now: time.Now(), NewID: func() (id bucketring.ID) { return id }})
	if err != nil {
		return nil, err
	}
	placer, err := v.keys.Placer()
	if err != nil {
		return nil, err
	}
	var all []httpapi.Place
	without := map[string]*ring.Ring{} // rings as their owners see them, who alone know who comes next
	for i := range call.Groups {
		g := &call.Groups[i]
		at := httpapi.Place{Partition: -1}
		for _, c := range g.Charges {
			at.Limits = append(at.Limits, c.Limit.Name)
		}
		part := ring.Partition(placer.Key(g.Namespace, g.Value))
		if owner, ok := r.Owner(part); ok && !g.Here {
			if without[owner.Name] == nil {
				if without[owner.Name], err = ring.NewBuilder(placer, owner.Name).Build(r.Members); err != nil {
					return nil, err
				}
			}
			next, _ := without[owner.Name].Successor(part)
			at.Partition, at.Owner, at.Replica = int(part), owner.Name, next.Name
		}
		all = append(all, at)
	}
	return all, nil
}
