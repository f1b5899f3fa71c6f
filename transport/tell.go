// tell.go brings notices to the other nodes: policies, tables and overrides that an
// operator put at one of them.

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring/transport/peerpb"
)

// A Notice is something that all nodes of a cluster should know. What its fields
// mean is between those who send and receive it; order and repetition must not
// matter to them.
type Notice struct {
	Kind, Namespace, Name string
	Text                  []byte // at most MaxNotice bytes
}

const (
	// MaxNotice bounds the text of a notice in bytes: tables grow larger than the
	// calls by which they were put.
	MaxNotice = 64 << 20
	pieceSize = 128 << 10
)

// Tell sends notices to every peer and waits until all have them or ctx is done.
// The error names the peers that may not have got all.
func (p *Pool) Tell(ctx context.Context, notices []Notice) error {
	p.mu.Lock()
	peers := make([]*peer, 0, len(p.peers))
	for _, peer := range p.peers {
		if p.gone[peer] == nil {
			peers = append(peers, peer)
		}
	}
	p.mu.Unlock()
	errs := make([]error, len(peers))
	var telling sync.WaitGroup
	for i, peer := range peers {
		telling.Go(func() {
			if err := peer.tell(ctx, notices); err != nil {
				errs[i] = fmt.Errorf("transport: tell %s: %w", peer.target.Name, err)
			}
		})
	}
	telling.Wait()
	return errors.Join(errs...)
}

// tell uses a connection of its own: large texts must not hold up calls.
func (p *peer) tell(ctx context.Context, notices []Notice) error {
	conn, err := p.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := peerpb.NewPeerClient(conn).Tell(ctx)
	if err != nil {
		return err
	}
	for i := range notices {
		if err := sendNotice(stream, &notices[i]); err != nil {
			break // CloseAndRecv knows why
		}
	}
	told, err := stream.CloseAndRecv()
	if err == nil && told.GetCount() != uint64(len(notices)) {
		err = fmt.Errorf("%d of %d notices arrived", told.GetCount(), len(notices))
	}
	return err
}

func sendNotice(stream grpc.ClientStreamingClient[peerpb.Piece, peerpb.Told], n *Notice) error {
	piece := &peerpb.Piece{Kind: n.Kind, Namespace: n.Namespace, Name: n.Name}
	for text := n.Text; ; {
		size := min(len(text), pieceSize)
		piece.Text, text = text[:size], text[size:]
		piece.Last = len(text) == 0
		if err := stream.Send(piece); err != nil || piece.Last {
			return err
		}
		piece = &peerpb.Piece{}
	}
}

// Tell receives notices. Only members may bring any.
func (s *PeerServer) Tell(stream grpc.ClientStreamingServer[peerpb.Piece, peerpb.Told]) error {
	if err := s.admitTeller(stream.Context()); err != nil {
		s.strangers.Add(1)
		return err
	}
	told := &peerpb.Told{}
	var n *Notice
	var refused error // one bad notice does not keep the others away
	for {
		piece, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && refused != nil:
			return status.Error(codes.InvalidArgument, refused.Error())
		case errors.Is(err, io.EOF):
			return stream.SendAndClose(told)
		}
		if err != nil {
			return err
		}
		if n == nil {
			n = &Notice{Kind: piece.GetKind(), Namespace: piece.GetNamespace(), Name: piece.GetName()}
		}
		if len(n.Text)+len(piece.GetText()) > MaxNotice {
			return status.Errorf(codes.ResourceExhausted, "transport: a notice has more than %d bytes", MaxNotice)
		}
		if n.Text = append(n.Text, piece.GetText()...); piece.GetLast() {
			if err := s.hear(n); err != nil {
				refused = errors.Join(refused, err)
			}
			told.Count++
			n = nil
		}
	}
}

// hear hands a notice on. A panic costs this notice.
func (s *PeerServer) hear(n *Notice) (err error) {
	defer recoverHear(&s.panics, &err)
	if s.cfg.Told == nil {
		return errors.New("transport: nobody here listens to notices")
	}
	return s.cfg.Told(*n)
}

func recoverHear(panics *atomic.Int64, err *error) {
	if cause := recover(); cause != nil {
		panics.Add(1)
		*err = errors.New("transport: a notice ended in a panic, which was counted")
	}
}

// admitTeller wants a certificate of the cluster, if there are certificates. The claim that a
// given one needs was checked before.
func (s *PeerServer) admitTeller(ctx context.Context) error {
	if s.cfg.Identity == nil {
		return nil
	}
	if leafOf(ctx) == nil {
		return status.Error(codes.PermissionDenied, "transport: no certificate of this cluster")
	}
	return nil
}
