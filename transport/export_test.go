package transport

import (
	"context"
	"crypto/tls"
	"time"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// Bounds that tests hold the code against.
const (
	MaxFrame   = maxFrame
	FrameItems = frameItems
	MaxDefs    = maxDefs
	MaxQueued  = maxQueued
	MaxBytes   = maxBytes
	MaxName    = maxName
	MaxDialers = maxDialers
	KeepMemory = keepMemory
	Remembered = remembered
	Silence    = DefaultSilence
	MaxBatch   = maxBatch
	MaxMessage = maxMessage
	InFlight   = maxInFlight
)

var (
	ToStatus     = toStatus
	FromStatus   = fromStatus
	FromCode     = fromCode
	ToDecision   = toDecision
	FromDecision = fromDecision
	FromVerdict  = fromVerdict
	Bounds       = bounds
)

// A LinkEnd is the answering side of a link without its stream.
type LinkEnd struct{ link }

func (s *PeerServer) NewLink(node string, boot uint64) *LinkEnd {
	return &LinkEnd{link{server: s, memory: s.remember(dialer{node, boot}), limits: map[uint32][]bucketring.Limit{}}}
}

func (l *LinkEnd) Answer(f *peerpb.Frame) (*peerpb.Frame, error) {
	return l.answer(context.Background(), f)
}

// Limits returns how many limits the link has numbered, and the bytes of names.
func (l *LinkEnd) Limits() (count, names int) {
	for _, limit := range l.limits {
		names += len(limit[0].Name)
	}
	return len(l.limits), names
}

func (s *PeerServer) Dialers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.memory)
}

func (id *Identity) ServerTLS() *tls.Config            { return id.server() }
func (id *Identity) ClientTLS(peer string) *tls.Config { return id.client(peer) }

// Expire makes the certificate as old as it is when a new one is due.
func (id *Identity) Expire() {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.leaf.Leaf.NotAfter = id.leaf.Leaf.NotBefore
}

// Register serves links on a server of the test's own making.
func (s *PeerServer) Register(g *grpc.Server) { peerpb.RegisterPeerServer(g, s) }

// Age makes the link to addr look as it does after d: to nobody having heard
// the peer and, if paused, to nobody having looked either.
func (p *Pool) Age(addr string, d time.Duration, paused bool) {
	peer := p.Peer(addr).(*peer)
	peer.heard.Add(-int64(d))
	if paused {
		peer.watched.Add(-int64(d))
	}
}
