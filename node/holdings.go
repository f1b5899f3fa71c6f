// holdings.go packs what a node tells of all that it holds, again and again: some thousand
// partitions, nearly all of them of one generation and lineage.

package node

import (
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// holdings are what one step of the machine tells of what is held here, by receiver.
type holdings map[handover.Node]*packing

// A packing is a message in the making.
type packing struct {
	msg  peerpb.Holdings
	last map[*peerpb.Holdings_Group]uint32 // the last partition of each group
	of   map[handover.Held]*peerpb.Holdings_Group
}

// add adds a partition. Those of a group come in rising order, or there is a further group.
func (h *holdings) add(to handover.Node, one handover.Held) {
	if *h == nil {
		*h = holdings{}
	}
	p := (*h)[to]
	if p == nil {
		p = &packing{last: map[*peerpb.Holdings_Group]uint32{}, of: map[handover.Held]*peerpb.Holdings_Group{}}
		(*h)[to] = p
	}
	kind := handover.Held{Gen: one.Gen, Lineage: one.Lineage}
	g := p.of[kind]
	if g == nil || p.last[g] >= one.Part {
		g = &peerpb.Holdings_Group{Gen: uint64(one.Gen), Lineage: one.Lineage}
		p.of[kind] = g
		p.msg.Groups = append(p.msg.Groups, g)
	}
	g.Gaps = append(g.Gaps, one.Part-p.last[g])
	p.last[g] = one.Part
}

// tellHoldings sends what was added, one by one to a node that knows nothing else.
func (m *mover) tellHoldings() {
	for to, p := range m.holdings {
		if m.wireOf(to) >= packedWire {
			m.send(to, &peerpb.Msg{Of: &peerpb.Msg_Holdings{Holdings: &p.msg}})
			continue
		}
		for _, one := range allHeld(&p.msg) {
			m.send(to, &peerpb.Msg{Of: &peerpb.Msg_Held{Held: toHeld(one)}})
		}
	}
	clear(m.holdings)
}

// These versions of the wire know Holdings and Repls, and Repls of what has slots.
const (
	packedWire  = 2
	slottedWire = 3
)

// wireOf is the version that a node speaks; 0 for one without a link.
func (m *mover) wireOf(to handover.Node) uint32 {
	return m.msgs.Wire(m.view.members[to].Addr, to.Boot)
}

// allHeld reads them. What comes after a partition that there is not is left out.
func allHeld(h *peerpb.Holdings) (all []handover.Held) {
	for _, g := range h.GetGroups() {
		part := uint64(0)
		for _, gap := range g.GetGaps() {
			if part += uint64(gap); part >= ring.Partitions || len(all) == ring.Partitions {
				return all
			}
			all = append(all, handover.Held{Part: uint32(part), Gen: handover.Gen(g.GetGen()), Lineage: g.GetLineage()})
		}
	}
	return all
}

// isRoutine reports whether a message says nothing new at a node at rest.
func isRoutine(msg *peerpb.Msg) bool {
	switch msg.GetOf().(type) {
	case *peerpb.Msg_Holdings, *peerpb.Msg_Held:
		return true
	}
	return false
}
