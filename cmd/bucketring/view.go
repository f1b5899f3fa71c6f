// view.go shows the cluster as this node sees it.

package main

import (
	"fmt"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/internal/httpapi"
	"github.com/bucketring/bucketring/node/member"
	"github.com/bucketring/bucketring/ring"
)

// A view is the server as the source of members, ring and explain.
type view server

var _ httpapi.View = (*view)(nil)

// Members implements httpapi.View.
func (v *view) Members() httpapi.Members {
	r := v.node.Ring()
	owned := map[string]int{}
	for i, n := range r.Owned() {
		owned[r.Members[i].Name] = n
	}
	answer := httpapi.Members{
		Node: v.cfg.NodeName, RingVersion: r.Version, Listeners: (*server)(v).addresses(), Members: []httpapi.Member{},
	}
	for _, m := range v.known() {
		answer.Members = append(answer.Members, httpapi.Member{
			Name: m.Name, State: m.State.String(), Gossip: m.Addr, Peer: m.Peer, Zone: m.Zone, Version: m.Version,
			Owned: owned[m.Name], Share: share(owned[m.Name]), Self: m.Self, Since: m.Since,
			PolicyHash: fmt.Sprintf("%016x", m.PolicyHash), GossipKey: member.Print(m.Key), GossipKeys: member.Print(m.Keys), Ring: v.ringOf(&m),
		})
	}
	return answer
}

// known returns the members, which is this node alone without a cluster.
func (v *view) known() []cluster.Member {
	if c := v.member.Cluster(); c != nil {
		return c.Members()
	}
	return []cluster.Member{{
		Name: v.cfg.NodeName, State: cluster.StateActive, Self: true, Since: v.began, PolicyHash: v.node.Policies().Hash(),
		Zone: v.cfg.NodeZone, Version: version,
	}}
}

// ringOf says whether a member has this node's ring.
func (v *view) ringOf(m *cluster.Member) string {
	agrees, told := v.member.RingOf(m.Name)
	switch {
	case m.Self, agrees && m.State == cluster.StateActive:
		return "agrees"
	case told && m.State == cluster.StateActive:
		return "differs"
	}
	return "unknown"
}

// Ring implements httpapi.View.
func (v *view) Ring() httpapi.Ring {
	r := v.node.Ring()
	answer := httpapi.Ring{
		Node: v.cfg.NodeName, Version: r.Version, Fingerprint: fmt.Sprintf("%016x", r.Fingerprint),
		Partitions: ring.Partitions, Members: []httpapi.Share{}, Owners: make([]string, ring.Partitions),
	}
	for i, n := range r.Owned() {
		answer.Members = append(answer.Members, httpapi.Share{Name: r.Members[i].Name, Owned: n, Share: share(n)})
	}
	for p := range answer.Owners {
		owner, _ := r.Owner(uint32(p))
		answer.Owners[p] = owner.Name
	}
	return answer
}

func share(owned int) float64 { return float64(owned) / ring.Partitions }
