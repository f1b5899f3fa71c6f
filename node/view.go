// view.go shows a ring to the ownership protocol.

package node

import (
	"slices"
	"strings"

	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
)

// A ringView is how this node sees the cluster: those that own, and those that leave.
type ringView struct {
	ring    *ring.Ring
	self    handover.Node
	peers   []handover.Node
	members map[handover.Node]ring.Member
}

var _ handover.View = (*ringView)(nil)

func nodeOf(m ring.Member) handover.Node { return handover.Node{Name: m.Name, Boot: m.Boot} }

func newView(r *ring.Ring, self handover.Node) *ringView {
	v := &ringView{ring: r, self: self, members: map[handover.Node]ring.Member{}}
	for _, m := range slices.Concat(r.Members, r.Leaving) {
		n := nodeOf(m)
		v.members[n] = m
		if n != self && n.Name != self.Name {
			v.peers = append(v.peers, n)
		}
	}
	slices.SortFunc(v.peers, func(a, b handover.Node) int { return strings.Compare(a.Name, b.Name) })
	return v
}

// Owner implements handover.View.
func (v *ringView) Owner(p uint32) handover.Node {
	m, ok := v.ring.Owner(p)
	if !ok {
		return handover.Node{}
	}
	return nodeOf(m)
}

// Without implements handover.View.
func (v *ringView) Without(p uint32) handover.Node {
	if !v.ring.OwnedBySelf(p) {
		return v.Owner(p)
	}
	m, ok := v.ring.Successor(p)
	if !ok {
		return v.heir()
	}
	return nodeOf(m)
}

// heir is who has copies where nobody else is on the ring: a node that is leaving is
// better than none.
func (v *ringView) heir() handover.Node {
	if len(v.peers) == 0 {
		return handover.Node{}
	}
	return v.peers[0]
}

// Peers implements handover.View.
func (v *ringView) Peers() []handover.Node { return v.peers }

// Leaving implements handover.View.
func (v *ringView) Leaving(n handover.Node) bool {
	return slices.ContainsFunc(v.ring.Leaving, func(m ring.Member) bool { return nodeOf(m) == n })
}
