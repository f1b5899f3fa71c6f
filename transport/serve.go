// serve.go is the answering side of links.

package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// A PeerServer answers the links of other nodes.
type PeerServer struct {
	peerpb.UnimplementedPeerServer
	cfg   PeerConfig
	owned bucketring.Limiter
	base  time.Time

	mu     sync.Mutex
	memory map[dialer]*memory // guarded by mu
	bulks  map[string]int     // streams by node; guarded by mu

	decided, repeated, late, panics, strangers atomic.Int64
}

// A dialer is one start of one node.
type dialer struct {
	node string
	boot uint64
}

// ServerStats are figures of a PeerServer since it was made.
type ServerStats struct {
	Decided   int64 // calls decided for peers
	Repeated  int64 // calls that came again and were not decided again
	Late      int64 // calls not decided because their callers had given up
	Panics    int64 // calls that ended in a panic, which cost that call alone
	Strangers int64 // connections and links refused, or ended for a frame that no peer sends
}

// NewPeerServer returns a server whose calls owned decides. It must not forward.
func NewPeerServer(cfg PeerConfig, owned bucketring.Limiter) *PeerServer {
	return &PeerServer{cfg: cfg.withDefaults(), owned: owned, base: time.Now(), memory: map[dialer]*memory{}, bulks: map[string]int{}}
}

// GRPC returns a gRPC server that serves links and nothing else.
func (s *PeerServer) GRPC() *grpc.Server {
	opts := append(bounds(maxFrame), grpc.KeepaliveParams(keepalive.ServerParameters{Time: probeAfter, Timeout: probeWithin}))
	if s.cfg.Identity != nil {
		opts = append(opts, grpc.Creds(doorman{credentials.NewTLS(s.cfg.Identity.server()), &s.strangers}))
		if s.cfg.Identity.given != nil {
			opts = append(opts, s.claims()...)
		}
	}
	g := grpc.NewServer(opts...)
	peerpb.RegisterPeerServer(g, s)
	return g
}

// A doorman counts those who fail the TLS handshake.
type doorman struct {
	credentials.TransportCredentials
	strangers *atomic.Int64
}

func (d doorman) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := d.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		d.strangers.Add(1)
	}
	return secured, info, err
}

// Stats returns the present figures.
func (s *PeerServer) Stats() ServerStats {
	return ServerStats{
		Decided: s.decided.Load(), Repeated: s.repeated.Load(), Late: s.late.Load(),
		Panics: s.panics.Load(), Strangers: s.strangers.Load(),
	}
}

// Link serves one link until it breaks.
func (s *PeerServer) Link(stream grpc.BidiStreamingServer[peerpb.Frame, peerpb.Frame]) error {
	first, err := s.receive(stream)
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
	m := s.remember(dialer{hello.GetNode(), hello.GetBoot()})
	answer := &peerpb.Hello{
		Node: s.cfg.Node, Boot: s.cfg.Boot(), RingCfg: s.cfg.RingSettings, Wire: wireVersion, LastItem: m.last(),
	}
	if err := stream.Send(&peerpb.Frame{Sent: s.now(), Hello: answer}); err != nil {
		return err
	}
	l := &link{
		server: s, memory: m, limits: map[uint32][]bucketring.Limit{}, from: Sender{hello.GetNode(), hello.GetBoot()},
		sending: make(chan struct{}, 1), send: stream.Send,
	}
	defer l.parked.Wait()
	l.measure(first)
	for {
		frame, err := s.receive(stream)
		if err != nil {
			return err
		}
		s.cfg.heardFrom(l.from, frame.GetView(), frame.GetMsgs())
		reply, err := l.answer(stream.Context(), frame)
		if err != nil {
			s.strangers.Add(1)
			return err
		}
		if err := l.reply(reply); err != nil {
			return err
		}
	}
}

// awaitJoined keeps a link until this node can hear others.
func (s *PeerServer) awaitJoined(ctx context.Context) error {
	if s.cfg.Joined == nil {
		return nil
	}
	select {
	case <-s.cfg.Joined:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// receive counts the frames that gRPC refuses: too large, or not frames at all.
func (s *PeerServer) receive(stream grpc.BidiStreamingServer[peerpb.Frame, peerpb.Frame]) (*peerpb.Frame, error) {
	frame, err := stream.Recv()
	if code := status.Code(err); code == codes.ResourceExhausted || code == codes.Internal {
		s.strangers.Add(1)
	}
	return frame, err
}

// admit checks who dials. With certificates the name in it must be the one in
// the hello: being a peer is a matter of listener and certificate alone, and of a claim if
// the certificate is given.
func (s *PeerServer) admit(ctx context.Context, hello *peerpb.Hello) error {
	switch {
	case hello == nil || hello.GetNode() == "":
		return status.Error(codes.PermissionDenied, "transport: first frame has no hello")
	case len(hello.GetNode()) > maxName:
		return status.Error(codes.PermissionDenied, "transport: name of node is too long")
	case hello.GetRingCfg() != s.cfg.RingSettings:
		return status.Error(codes.FailedPrecondition, "transport: ring settings differ: run the same version on all nodes")
	case hello.GetWire() < leastWire:
		return status.Errorf(codes.FailedPrecondition, "transport: wire version %d is not spoken here", hello.GetWire())
	case s.cfg.Identity == nil:
		return nil
	}
	if leaf := leafOf(ctx); leaf == nil || !NamesNode(leaf, hello.GetNode()) {
		return status.Errorf(codes.PermissionDenied, "transport: certificate is not that of node %q", hello.GetNode())
	}
	return nil
}

func (s *PeerServer) now() int64 { return int64(time.Since(s.base)) }

// A link is the answering side of one stream.
type link struct {
	server *PeerServer
	memory *memory
	limits map[uint32][]bucketring.Limit // one each
	offset int64                         // smallest difference of the two clocks seen in this period, ns
	before int64                         // in the period before
	since  int64                         // beginning of this period
	known  bool                          // a frame was measured

	from    Sender
	parked  sync.WaitGroup            // calls that wait for their partition
	waiting atomic.Int64              // how many
	sending chan struct{}             // full while somebody sends, which may last
	send    func(*peerpb.Frame) error // guarded by sending
	seen    news                      // guarded by sending
}

// reply sends verdicts. One that refers to another node brings along what this one
// knows of the members: the asker may not know it.
func (l *link) reply(f *peerpb.Frame) error {
	l.sending <- struct{}{}
	defer func() { <-l.sending }()
	for _, v := range f.GetVerdicts() {
		if v.GetCode() == peerpb.Verdict_NOT_HOLDER {
			if view := l.seen.view(l.server.cfg.View); view != nil { // by itself: both may be large
				if err := l.send(&peerpb.Frame{Sent: f.GetSent(), View: view}); err != nil {
					return err
				}
			}
			break
		}
	}
	return l.send(f)
}

// offsetPeriod is how long a measured offset counts at least. Two clocks drift,
// and one stands still while its machine does: an old one would make all calls
// late for ever.
const offsetPeriod = 5 * time.Second

// measure returns how long a frame took beyond the fastest one lately: the
// clocks of two nodes can be compared in no other way.
func (l *link) measure(f *peerpb.Frame) time.Duration {
	now := l.server.now()
	offset := now - f.GetSent()
	switch {
	case !l.known:
		l.offset, l.before, l.since, l.known = offset, offset, now, true
	case now-l.since > int64(offsetPeriod):
		l.offset, l.before, l.since = offset, l.offset, now
	}
	l.offset = min(l.offset, offset)
	return time.Duration(offset - min(l.offset, l.before))
}

// answer decides all calls of a frame, in this goroutine.
func (l *link) answer(ctx context.Context, f *peerpb.Frame) (*peerpb.Frame, error) {
	late := l.measure(f)
	for _, def := range f.GetDefs() {
		if def.GetNo() >= 4*maxDefs {
			return nil, status.Error(codes.InvalidArgument, "transport: limit number is out of range")
		}
		if len(def.GetLimit()) > maxName || len(def.GetZone()) > maxName {
			return nil, status.Error(codes.InvalidArgument, "transport: name of limit or zone is too long")
		}
		l.limits[def.GetNo()] = []bucketring.Limit{fromDef(def)}
	}
	if len(f.GetItems()) > frameItems {
		return nil, status.Error(codes.InvalidArgument, "transport: too many calls in a frame")
	}
	reply := &peerpb.Frame{Ping: len(f.GetItems()) == 0}
	l.memory.touch(time.Now())
	for _, item := range f.GetItems() {
		v, repeated := l.memory.recall(item.GetId())
		if repeated {
			l.server.repeated.Add(1)
		} else {
			if v = l.decide(ctx, item, late); v == nil {
				continue // it is parked
			}
			l.memory.store(v)
		}
		reply.Verdicts = append(reply.Verdicts, v)
	}
	reply.Sent = l.server.now()
	return reply, nil
}

// decide carries out one call. A panic costs this call and no other.
func (l *link) decide(ctx context.Context, item *peerpb.Item, late time.Duration) (v *peerpb.Verdict) {
	defer func() {
		if cause := recover(); cause != nil {
			l.server.panics.Add(1)
			v = &peerpb.Verdict{Id: item.GetId(), Code: peerpb.Verdict_UNAVAILABLE}
		}
	}()
	if budget := time.Duration(item.GetBudgetNs()); budget < 0 || budget > 0 && late > budget {
		l.server.late.Add(1)
		return &peerpb.Verdict{Id: item.GetId(), Code: peerpb.Verdict_UNAVAILABLE}
	}
	req, err := l.request(item)
	if err != nil {
		return refusal(item.GetId(), err)
	}
	if req.Durable() {
		if l.waiting.Load() >= maxParked {
			return refusal(item.GetId(), fmt.Errorf("%w: too many calls wait for copies", bucketring.ErrUnavailable))
		}
		l.park(ctx, item, req, nil) // it waits for another node: the others shall not
		return nil
	}
	d, err := l.server.owned.Take(ctx, req)
	var refusal *bucketring.NotOwner
	if errors.As(err, &refusal) && refusal.Soon != nil && l.waiting.Load() < maxParked {
		l.park(ctx, item, req, refusal.Soon)
		return nil
	}
	return l.verdict(item, &req, &d, err)
}

// verdict makes the answer to a call of what was decided.
func (l *link) verdict(item *peerpb.Item, req *bucketring.Request, d *bucketring.Decision, err error) *peerpb.Verdict {
	if byID(req.Verb) && errors.Is(err, bucketring.ErrUnknownID) {
		*d, err = bucketring.Decision{}, nil // reached none of the ids: that is an answer
	}
	if err != nil {
		return refusal(item.GetId(), err)
	}
	l.server.decided.Add(1)
	return toVerdict(item, req, d)
}

// refusal is the verdict of a call that was not decided.
func refusal(id uint64, err error) *peerpb.Verdict {
	v := &peerpb.Verdict{Id: id, Code: peerpb.Verdict_UNAVAILABLE}
	var notOwner *bucketring.NotOwner
	switch {
	case errors.As(err, &notOwner):
		v.Code, v.Hint = peerpb.Verdict_NOT_HOLDER, &peerpb.Hint{Node: notOwner.Hint, Gen: notOwner.Gen}
	case errors.Is(err, bucketring.ErrInvalid), errors.Is(err, bucketring.ErrNoPolicy):
		v.Code, v.Detail = peerpb.Verdict_INVALID, detail(err)
	}
	return v
}

// detail keeps an error's text small, for the frame that it shares with others.
func detail(err error) string {
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), maxDetail)], "")
}
