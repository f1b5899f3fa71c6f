// message.go has what goes in and out of a machine.

package handover

// An Event is something that has happened.
type Event interface{ event() }

// RingChanged says that this node sees the cluster otherwise.
type RingChanged struct{ View View }

// Received is a message of another node. The sender's view of the membership travels
// with every message: whoever delivers it merges that first, as a RingChanged.
type Received struct {
	From Node
	Msg  Msg
}

// Frozen answers a Freeze: no charge after it is in the state.
type Frozen struct {
	Part  uint32
	State State
}

// Replicated is a copy that the holder of a partition has streamed to this node. Upto
// rises from copy to copy of one generation.
type Replicated struct {
	Part uint32
	From Node
	Copy Copy
	Upto uint64
}

// Dropped says that the copy of a partition is not kept any more: its holder has another
// successor, which has all of it.
type Dropped struct{ Part uint32 }

// Left is a state that this node has counted beside the holder, of a lineage of its
// own: it goes to the holder.
type Left struct {
	Part uint32
	Copy Copy
}

// Drain asks for Drained once everything is handed over.
type Drain struct{}

// Tick says that time has passed, at least every few milliseconds.
type Tick struct{}

func (RingChanged) event() {}
func (Received) event()    {}
func (Frozen) event()      {}
func (Replicated) event()  {}
func (Dropped) event()     {}
func (Left) event()        {}
func (Drain) event()       {}
func (Tick) event()        {}

// An Action is something to be done.
type Action interface{ action() }

// Send brings a message to another node. It may be lost, doubled or late.
type Send struct {
	To  Node
	Msg Msg
}

// SetRole makes the role of a partition the one that calls meet. A holder's
// generation and lineage may change with it.
type SetRole struct {
	Part uint32
	Role Role
	Gen  Gen
}

// Freeze stops charges in a partition and asks for its state, as Frozen.
type Freeze struct{ Part uint32 }

// Install makes a state the partition's, at a generation of a lineage.
type Install struct {
	Part    uint32
	Gen     Gen
	Lineage uint64
	State   State
}

// Join joins a state into that of a partition that is held here.
type Join struct {
	Part  uint32
	State State
}

// Drained says that nothing is left here that others need.
type Drained struct{}

func (Send) action()    {}
func (SetRole) action() {}
func (Freeze) action()  {}
func (Install) action() {}
func (Join) action()    {}
func (Drained) action() {}

// A Msg is what one machine tells another, mostly about one partition. Whoever carries
// messages may put many into one.
type Msg interface{ msg() }

// partOf returns the partition that a message is about, if it is about one.
func partOf(msg Msg) (p uint32, ok bool) {
	switch msg := msg.(type) {
	case Take:
		return msg.Part, true
	case Given:
		return msg.Part, true
	case Ack:
		return msg.Part, true
	case Who:
		return msg.Part, true
	case Iam:
		return msg.Part, true
	case Held:
		return msg.Part, true
	case Nudge:
		return msg.Part, true
	case Offer:
		return msg.Part, true
	}
	return 0, false
}

// Take asks for a partition that the sender should own.
type Take struct{ Part uint32 }

// Given answers a Take.
type Given struct {
	Part uint32
	How  How
	Copy Copy // of a grant
	Hint Ref  // of Moved: who was given it
}

// How says what a Given gives.
type How uint8

// The answers to a Take.
const (
	Grant  How = iota // it is yours
	NotYou            // the ring says another, as I see it
	Moved             // ask the node in Hint
	Later             // ask again in a moment
	Nothing
)

// Ack answers a Grant, or an Offer by its number.
type Ack struct {
	Part  uint32
	Gen   Gen    // of the grant; 0 for an offer
	Offer uint64 // of the offer
	Stale bool   // the grant came too late

	Lineage uint64 // of the holder that has joined the offer
}

// Who asks what the receiver knows of a partition, and, for a claim, for its copies.
type Who struct {
	Part   uint32
	Token  uint64
	Copies bool
}

// Iam answers a Who.
type Iam struct {
	Part   uint32
	Token  uint64
	Role   Role
	Gen    Gen
	Seen   Gen
	Known  Gen // the highest that it has heard of
	Fwd    Ref
	Has    bool // copies
	Copies []Copy
}

// Held says what its sender holds.
type Held struct {
	Part    uint32
	Gen     Gen
	Lineage uint64
}

// Nudge is Held for a receiver that should own it.
type Nudge struct {
	Part uint32
	Gen  Gen
}

// Offer brings a state to whoever holds the partition.
type Offer struct {
	Part uint32
	ID   uint64
	Back Node // who offers, and wants the Ack
	Hops int
	Copy Copy
}

// Bye says that its sender is leaving, and asks for Clear.
type Bye struct{}

// Clear says that all its sender has granted to the receiver is acknowledged, and
// that it will grant nothing more.
type Clear struct{}

func (Bye) msg()   {}
func (Clear) msg() {}
func (Take) msg()  {}
func (Given) msg() {}
func (Ack) msg()   {}
func (Who) msg()   {}
func (Iam) msg()   {}
func (Held) msg()  {}
func (Nudge) msg() {}
func (Offer) msg() {}
