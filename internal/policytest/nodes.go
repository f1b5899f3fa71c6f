// nodes.go joins the nodes of a test in memory: each call goes to the next of them,
// as callers behind a load balancer go.

package policytest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
	"github.com/bucketring/bucketring/ring"
)

// nodes are those of one test, in their order.
type nodes struct {
	all  []*node.Node
	turn int
}

// peers reach the other nodes by their names, which are their addresses too.
type peers map[string]bucketring.Limiter

// Peer implements node.Peers.
func (p peers) Peer(addr string) bucketring.Limiter { return p[addr] }

// patience is the forward budget: a test must not depend on how busy a machine is.
const patience = time.Minute

// newNodes returns count nodes on one clock that own a part of the keys each.
func newNodes(count int, clock func() time.Time) (*nodes, error) {
	n, reach := &nodes{}, peers{}
	members := make([]ring.Member, max(count, 1))
	for i := range members {
		name := fmt.Sprintf("test-%d", i+1)
		members[i] = ring.Member{Name: name, Addr: name}
		one, err := node.New(node.Config{Name: name, Now: clock, Peers: reach, Budget: patience})
		if err != nil {
			return nil, err
		}
		reach[name] = one.Local()
		n.all = append(n.all, one)
	}
	if count < 2 {
		return n, nil
	}
	var errs []error
	for i, one := range n.all {
		r, err := ring.NewBuilder(ring.Placer{}, members[i].Name).Build(members)
		if err == nil {
			one.SetRing(r)
		}
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}

// Take asks the next node.
func (n *nodes) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	n.turn++
	return n.all[n.turn%len(n.all)].Take(ctx, req)
}

// Policies are those of every node.
func (n *nodes) Policies() *policy.Set { return n.all[0].Policies() }

// SetPolicies gives every node the same policies.
func (n *nodes) SetPolicies(s *policy.Set) {
	for _, one := range n.all {
		one.SetPolicies(s)
	}
}
