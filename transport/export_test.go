package transport

import (
	"context"
	"crypto/tls"
	"time"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
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

func (id *Identity) ServerTLS() *tls.Config { return id.server() }

func (id *Identity) ClientTLS(peer string) *tls.Config {
	cfg, _ := id.client(peer)
	return cfg
}

// Claim is what a caller that shows its certificate sends along, and ClaimName its name.
func (id *Identity) Claim() string {
	_, claim := id.client("any")
	return string(claim)
}

const ClaimName = claimName

// Expire makes the certificate as old as it is when a new one is due.
func (id *Identity) Expire() {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.leaf.Leaf.NotAfter = id.leaf.Leaf.NotBefore
}

// Register serves links on a server of the test's own making.
func (s *PeerServer) Register(g *grpc.Server) { peerpb.RegisterPeerServer(g, s) }

// Age makes the link to addr look as it does after d without an answer and, if paused, to
// nobody having looked either.
func (p *Pool) Age(addr string, d time.Duration, paused bool) {
	peer := p.Peer(addr).(*peer)
	peer.ask(peer.now())
	peer.asked.Add(-int64(d))
	if paused {
		peer.watched.Add(-int64(d))
	}
}

// PackedRequest writes a limitpb.StreamRequest and PackedAnswer a limitpb.Answer, as a
// stream does.
func PackedRequest(id uint64, budget time.Duration, req *bucketring.Request) []byte {
	return new(writer).appendCall(nil, id, budget, req)
}

func PackedAnswer(d *bucketring.Decision, err error) []byte { return appendAnswer(nil, d, err) }

// ReadAnswer reads a limitpb.Answer.
func ReadAnswer(b []byte) (d bucketring.Decision, failed, err error) {
	failed, err = new(decisionReader).readAnswer(b, &d)
	return d, failed, err
}

// ReadAnswers reads a limitpb.StreamResponse, and returns how many answers it has.
func ReadAnswers(b []byte) (count int, err error) {
	came, err := new(decisionReader).readStream(b, nil)
	return len(came), err
}

// A ReadCall is one request of a message.
type ReadCall struct {
	ID      uint64
	Verb    int32
	Budget  time.Duration
	Req     bucketring.Request
	Invalid error
}

// ReadCalls reads a limitpb.StreamRequest, or a limitpb.TakeBatchRequest.
func ReadCalls(b []byte, batch bool) (calls []ReadCall, count int, nested bool, err error) {
	c := streamCalls{parser: new(parser)}
	read := c.readStream
	if batch {
		read = c.readBatch
	}
	err = read(b)
	for _, one := range c.calls {
		calls = append(calls, ReadCall{one.id, one.verb, one.budget, one.req, one.invalid})
	}
	return calls, c.count, c.nested, err
}

// FromTake reads a request as the generated code has it.
func FromTake(verb bucketring.Verb, m *limitpb.TakeRequest) (bucketring.Request, error) {
	return new(parser).fromTake(verb, m)
}

// MaxWaiting bounds the bytes of copies that wait on a link.
const MaxWaiting = maxWaiting

// Ends reports whether a timer of c waits for the end of calls.
func (c *StreamClient) Ends() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	active := c.ending.timer.Stop()
	if active {
		c.ending.timer.Reset(time.Until(c.ending.next))
	}
	return active
}
