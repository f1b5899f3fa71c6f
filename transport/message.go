// message.go carries the messages of the ownership protocol on links, between the
// calls. They may be lost when a link breaks.

package transport

import (
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	maxMessages  = 64 << 10  // that wait on a link; more are lost
	maxWaiting   = 32 << 20  // bytes of copies among them
	messageBytes = 128 << 10 // of messages, at which a frame ends
	bulkFrom     = 32 << 10  // bytes of a message that does not travel on the link
)

// A Sender is the start of a node that a message came from.
type Sender struct {
	Node string
	Boot uint64
}

// Send brings a message to one start of the member at addr, or to nobody: it is lost
// if there is no link, or the link is to another start. It never waits. Messages keep
// their order while the link lives, but large ones may be overtaken.
func (p *Pool) Send(addr string, boot uint64, m *peerpb.Msg) {
	if peer := p.at(addr); peer != nil {
		peer.send(boot, m)
	}
}

// Session numbers the links to a start of the member at addr; 0 means that there is none
// now. Messages that were sent under another number may be lost.
func (p *Pool) Session(addr string, boot uint64) uint64 {
	if peer := p.at(addr); peer != nil && linkState(peer.state.Load()) == linked && peer.boot.Load() == boot {
		return peer.sessions.Load()
	}
	return 0
}

// Wire returns which version of the protocol a start of the member at addr speaks; 0 if there
// is no link to it.
func (p *Pool) Wire(addr string, boot uint64) uint32 {
	if peer := p.at(addr); peer != nil && peer.boot.Load() == boot {
		return peer.wire.Load()
	}
	return 0
}

// Busy reports whether large messages to the member at addr pile up: whoever sends many
// should wait.
func (p *Pool) Busy(addr string) bool {
	peer := p.at(addr)
	return peer != nil && peer.bulk.busy()
}

// Hears reports whether a start of the member at addr was heard of lately: it is not
// silent, nor refuses to be called again after a link broke.
func (p *Pool) Hears(addr string, boot uint64) bool {
	peer := p.at(addr)
	if peer == nil || peer.boot.Load() != boot {
		return false
	}
	switch linkState(peer.state.Load()) {
	case linked:
		return !peer.isSilent(peer.now(), peer.cfg.Silence+sureSilence)
	case linking:
		return peer.sessions.Load() > 0 && peer.now()-peer.heard.Load() <= int64(peer.cfg.Silence+peer.interval(peer.now()))
	}
	return false
}

func (p *Pool) at(addr string) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peers[addr]
}

// isLarge reports whether a message travels apart. Only states grow.
func isLarge(m *peerpb.Msg) bool {
	switch m.GetOf().(type) {
	case *peerpb.Msg_Given, *peerpb.Msg_Iam, *peerpb.Msg_Offer, *peerpb.Msg_Repl, *peerpb.Msg_Repls, *peerpb.Msg_Confirm:
		return proto.Size(m) > bulkFrom
	}
	return false
}

func (p *peer) send(boot uint64, m *peerpb.Msg) {
	if linkState(p.state.Load()) != linked || p.boot.Load() != boot {
		return
	}
	if isLarge(m) {
		p.bulk.push(m)
		return
	}
	p.mu.Lock()
	switch {
	case len(p.messages) < maxMessages && p.copies < maxWaiting:
		p.messages = append(p.messages, m)
		p.copies += copyBytes(m)
		if p.lossy {
			p.lossy = false
			p.sessions.Add(1) // what was to begin anew may have been lost as well
		}
	case !p.lossy:
		p.lossy = true
		p.sessions.Add(1) // whoever copies must begin anew
	}
	p.mu.Unlock()
	if _, routine := m.GetOf().(*peerpb.Msg_Holdings); !routine { // that is told at rest, too
		p.stir()
	}
	p.notify()
}

// copyBytes is about the size of a message that may be large.
func copyBytes(m *peerpb.Msg) int {
	return len(m.GetRepls().GetChanges()) + len(m.GetRepls().GetSlotted())
}

// nextMessages returns the next messages to send.
func (p *peer) nextMessages() (msgs []*peerpb.Msg, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size, taken := 0, 0
	for _, m := range p.messages {
		if size >= messageBytes {
			break
		}
		size += proto.Size(m) + 4
		p.copies -= copyBytes(m)
		taken++
	}
	msgs, p.messages = p.messages[:taken:taken], p.messages[taken:]
	if len(p.messages) == 0 {
		p.messages = nil
	}
	return msgs, len(p.messages) > 0
}

// writeMessages sends a frame of messages, if any wait.
func (p *peer) writeMessages(stream grpc.BidiStreamingClient[peerpb.Frame, peerpb.Frame], seen *news) error {
	msgs, more := p.nextMessages()
	if more {
		p.notify()
	}
	if len(msgs) == 0 {
		return nil
	}
	if view := seen.view(p.cfg.View); view != nil { // by itself: both may be large
		if err := p.sendFrame(stream, &peerpb.Frame{View: view}); err != nil {
			return err
		}
	}
	return p.sendFrame(stream, &peerpb.Frame{Msgs: msgs})
}

// news remembers which view the other end of a stream has.
type news struct{ version uint64 }

// view returns the present view unless the other end has it.
func (n *news) view(present func() (uint64, *peerpb.View)) *peerpb.View {
	if present == nil {
		return nil
	}
	version, view := present()
	if version == n.version {
		return nil
	}
	n.version = version
	return view
}

// heardFrom hands on what came with a frame. A panic costs this frame's messages.
func (cfg *PeerConfig) heardFrom(from Sender, view *peerpb.View, msgs []*peerpb.Msg) {
	if cfg.Heard == nil || view == nil && len(msgs) == 0 {
		return
	}
	defer func() {
		if cause := recover(); cause != nil {
			cfg.Logger.Error("a message ended in a panic", "peer", from.Node, "panic", cause)
		}
	}()
	cfg.Heard(from, view, msgs)
}
