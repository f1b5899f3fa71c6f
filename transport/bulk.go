// bulk.go carries large messages on a connection of their own.

package transport

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	maxBulky = 64 << 20 // bytes of a message
	maxBulks = 512      // messages that wait for the connection; more are lost
)

// A bulk is the asking side: a queue and, from the first message on, a connection.
type bulk struct {
	peer *peer
	mu   sync.Mutex
	wait []*peerpb.Msg // guarded by mu
	full bool          // the last message was lost; guarded by mu
	wake chan struct{} // one slot: something waits
}

// push queues a message, or loses it.
func (b *bulk) push(m *peerpb.Msg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(b.wait) < maxBulks:
		b.wait = append(b.wait, m)
		b.full = false
	case !b.full:
		b.full = true
		b.peer.sessions.Add(1) // whoever copies must begin anew
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *bulk) busy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.wait) > maxBulks/8
}

func (b *bulk) pop() *peerpb.Msg {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wait) == 0 {
		return nil
	}
	m := b.wait[0]
	b.wait = b.wait[1:]
	return m
}

// run sends what is queued until ctx ends. A broken connection loses what waits:
// whoever sent it asks for an answer, and sends it again.
func (b *bulk) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		}
		err := b.session(ctx)
		b.mu.Lock()
		b.wait = nil
		b.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			b.peer.cfg.Logger.Warn("bulk transfer broken", "peer", b.peer.target.Name, "err", err)
			b.peer.sessions.Add(1) // what was sent may be lost
		}
	}
}

// session sends messages over one connection.
func (b *bulk) session(ctx context.Context) error {
	conn, err := b.peer.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := peerpb.NewPeerClient(conn).Bulk(ctx)
	if err != nil {
		return err
	}
	cfg := b.peer.cfg
	hello := &peerpb.Hello{
		Node: cfg.Node, Boot: cfg.Boot(), RingCfg: cfg.RingSettings, Wire: wireVersion, ToBoot: b.peer.boot.Load(),
	}
	if err := stream.Send(&peerpb.Chunk{Hello: hello}); err != nil {
		return bulkEnd(stream, err)
	}
	seen := &news{}
	for {
		for m := b.pop(); m != nil; m = b.pop() {
			if err := sendBulky(stream, &peerpb.Bulky{View: seen.view(cfg.View), Msg: m}); err != nil {
				return bulkEnd(stream, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.wake:
		}
	}
}

// bulkEnd returns why the other side ended a stream.
func bulkEnd(stream grpc.ClientStreamingClient[peerpb.Chunk, peerpb.BulkDone], err error) error {
	if errors.Is(err, io.EOF) {
		_, err = stream.CloseAndRecv()
	}
	return err
}

func sendBulky(stream grpc.ClientStreamingClient[peerpb.Chunk, peerpb.BulkDone], m *peerpb.Bulky) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	for {
		size := min(len(data), pieceSize)
		chunk := &peerpb.Chunk{Data: data[:size], Last: size == len(data)}
		if err := stream.Send(chunk); err != nil || chunk.Last {
			return err
		}
		data = data[size:]
	}
}

// maxBulkStreams is how many bulk streams a node may have: the one before may be ending.
const maxBulkStreams = 2

// beginBulk counts the bulk streams of a node, up or down, and reports whether there is
// room for it.
func (s *PeerServer) beginBulk(node string, change int) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bulks[node]+change > maxBulkStreams {
		return false
	}
	if s.bulks[node] += change; s.bulks[node] == 0 {
		delete(s.bulks, node)
	}
	return true
}

// Bulk takes large messages from a member.
func (s *PeerServer) Bulk(stream grpc.ClientStreamingServer[peerpb.Chunk, peerpb.BulkDone]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if err := s.admit(stream.Context(), hello); err != nil {
		s.strangers.Add(1)
		return err
	}
	if err := s.awaitJoined(stream.Context()); err != nil {
		return err
	}
	if to := hello.GetToBoot(); to != 0 && to != s.cfg.Boot() {
		return status.Error(codes.FailedPrecondition, "transport: these messages are for an earlier start of this node")
	}
	if !s.beginBulk(hello.GetNode(), 1) {
		return status.Error(codes.ResourceExhausted, "transport: one bulk stream of a node at a time")
	}
	defer s.beginBulk(hello.GetNode(), -1)
	from := Sender{hello.GetNode(), hello.GetBoot()}
	var data []byte
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&peerpb.BulkDone{})
		}
		if err != nil {
			return err
		}
		if len(data)+len(chunk.GetData()) > maxBulky {
			return status.Errorf(codes.ResourceExhausted, "transport: a message has more than %d bytes", maxBulky)
		}
		if data = append(data, chunk.GetData()...); !chunk.GetLast() {
			continue
		}
		m := &peerpb.Bulky{}
		if err := proto.Unmarshal(data, m); err != nil {
			s.strangers.Add(1)
			return status.Error(codes.InvalidArgument, "transport: a message cannot be read")
		}
		data = nil
		if m.GetMsg() != nil {
			s.cfg.heardFrom(from, m.GetView(), []*peerpb.Msg{m.GetMsg()})
		}
	}
}
