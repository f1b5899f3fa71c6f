// wire.go writes the messages of the ownership protocol and reads them.

package node

import (
	"math"

	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// toWire writes a message, with times counted from now.
func toWire(msg handover.Msg, now bucket.Now) *peerpb.Msg {
	switch m := msg.(type) {
	case handover.Take:
		return &peerpb.Msg{Of: &peerpb.Msg_Take{Take: &peerpb.Take{Part: m.Part}}}
	case handover.Given:
		given := &peerpb.Given{Part: m.Part, How: uint32(m.How), Hint: toRef(m.Hint)}
		if m.How == handover.Grant {
			given.Copy = toCopy(m.Copy, now)
		}
		return &peerpb.Msg{Of: &peerpb.Msg_Given{Given: given}}
	case handover.Ack:
		return &peerpb.Msg{Of: &peerpb.Msg_Ack{Ack: &peerpb.Ack{
			Part: m.Part, Gen: uint64(m.Gen), Offer: m.Offer, Stale: m.Stale, Lineage: m.Lineage,
		}}}
	case handover.Who:
		return &peerpb.Msg{Of: &peerpb.Msg_Who{Who: &peerpb.Who{Part: m.Part, Token: m.Token, Copies: m.Copies}}}
	case handover.Iam:
		iam := &peerpb.Iam{
			Part: m.Part, Token: m.Token, Role: uint32(m.Role), Gen: uint64(m.Gen), Seen: uint64(m.Seen), Known: uint64(m.Known),
			Fwd: toRef(m.Fwd), Has: m.Has,
		}
		for _, c := range m.Copies {
			iam.Copies = append(iam.Copies, toCopy(c, now))
		}
		return &peerpb.Msg{Of: &peerpb.Msg_Iam{Iam: iam}}
	case handover.Held:
		return &peerpb.Msg{Of: &peerpb.Msg_Held{Held: toHeld(m)}}
	case handover.Nudge:
		return &peerpb.Msg{Of: &peerpb.Msg_Nudge{Nudge: &peerpb.Nudge{Part: m.Part, Gen: uint64(m.Gen)}}}
	case handover.Offer:
		return &peerpb.Msg{Of: &peerpb.Msg_Offer{Offer: &peerpb.Offer{
			Part: m.Part, Id: m.ID, Back: toRef(handover.Ref{Node: m.Back}), Hops: uint32(m.Hops), Copy: toCopy(m.Copy, now),
		}}}
	case handover.Bye:
		return &peerpb.Msg{Of: &peerpb.Msg_Bye{Bye: &peerpb.Bye{}}}
	default:
		return &peerpb.Msg{Of: &peerpb.Msg_Clear{Clear: &peerpb.Clear{}}}
	}
}

// fromWire reads a message that is for the machine; ok is false for others.
func fromWire(msg *peerpb.Msg, now bucket.Now) (m handover.Msg, ok bool) {
	switch of := msg.GetOf().(type) {
	case *peerpb.Msg_Take:
		return handover.Take{Part: of.Take.GetPart()}, true
	case *peerpb.Msg_Given:
		g := of.Given
		return handover.Given{Part: g.GetPart(), How: handover.How(min(g.GetHow(), math.MaxUint8)), Copy: fromCopy(g.GetCopy(), now), Hint: fromRef(g.GetHint())}, true
	case *peerpb.Msg_Ack:
		a := of.Ack
		return handover.Ack{Part: a.GetPart(), Gen: handover.Gen(a.GetGen()), Offer: a.GetOffer(), Stale: a.GetStale(), Lineage: a.GetLineage()}, true
	case *peerpb.Msg_Who:
		return handover.Who{Part: of.Who.GetPart(), Token: of.Who.GetToken(), Copies: of.Who.GetCopies()}, true
	case *peerpb.Msg_Iam:
		return fromIam(of.Iam, now), true
	case *peerpb.Msg_Held:
		return fromHeld(of.Held), true
	case *peerpb.Msg_Nudge:
		return handover.Nudge{Part: of.Nudge.GetPart(), Gen: handover.Gen(of.Nudge.GetGen())}, true
	case *peerpb.Msg_Offer:
		o := of.Offer
		return handover.Offer{
			Part: o.GetPart(), ID: o.GetId(), Back: fromRef(o.GetBack()).Node, Hops: int(min(o.GetHops(), math.MaxUint8)), Copy: fromCopy(o.GetCopy(), now),
		}, true
	case *peerpb.Msg_Bye:
		return handover.Bye{}, true
	case *peerpb.Msg_Clear:
		return handover.Clear{}, true
	}
	return nil, false
}

func fromIam(m *peerpb.Iam, now bucket.Now) handover.Iam {
	iam := handover.Iam{
		Part: m.GetPart(), Token: m.GetToken(), Role: handover.Role(min(m.GetRole(), math.MaxUint8)), Gen: handover.Gen(m.GetGen()),
		Seen: handover.Gen(m.GetSeen()), Known: handover.Gen(m.GetKnown()), Fwd: fromRef(m.GetFwd()), Has: m.GetHas(),
	}
	for _, c := range m.GetCopies() {
		iam.Copies = append(iam.Copies, fromCopy(c, now))
	}
	return iam
}

func toHeld(m handover.Held) *peerpb.Held {
	return &peerpb.Held{Part: m.Part, Gen: uint64(m.Gen), Lineage: m.Lineage}
}

func fromHeld(m *peerpb.Held) handover.Held {
	return handover.Held{Part: m.GetPart(), Gen: handover.Gen(m.GetGen()), Lineage: m.GetLineage()}
}

func toRef(r handover.Ref) *peerpb.Ref {
	if r == (handover.Ref{}) {
		return nil
	}
	return &peerpb.Ref{Node: r.Node.Name, Boot: r.Node.Boot, Gen: uint64(r.Gen)}
}

func fromRef(r *peerpb.Ref) handover.Ref {
	return handover.Ref{Node: handover.Node{Name: r.GetNode(), Boot: r.GetBoot()}, Gen: handover.Gen(r.GetGen())}
}

func toCopy(c handover.Copy, now bucket.Now) *peerpb.Copy {
	return &peerpb.Copy{Gen: uint64(c.Gen), Lineage: c.Lineage, State: toState(stateOf(c.State), now)}
}

func fromCopy(c *peerpb.Copy, now bucket.Now) handover.Copy {
	copied := handover.Copy{Gen: handover.Gen(c.GetGen()), Lineage: c.GetLineage()}
	if c.GetState() != nil {
		copied.State = fromState(c.GetState(), now)
	}
	return copied
}
