// link.go is the life of a link on the asking side: dial, greet, write what is
// queued, read verdicts, and all again when it breaks.

package transport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	wireVersion = 3         // 1 did not know Holdings and Repls, 2 not Repls.slotted
	leastWire   = 1         // that is spoken still
	frameItems  = 1000      // calls of a frame
	frameBytes  = 192 << 10 // at which a frame ends; with one more call it stays below maxFrame
	maxFrame    = 256 << 10 // bytes of a frame; a larger one ends the link
	maxDefs     = 4096      // limits that a link numbers before it starts over
	greetWithin = time.Second
	probeAfter  = 10 * time.Second // of silence, after which a connection that is dead ends
	probeWithin = 5 * time.Second
	retryMin    = 20 * time.Millisecond
	retryMax    = time.Second
)

// run keeps the link until ctx is done.
func (p *peer) run(ctx context.Context) {
	defer close(p.done)
	var bulking sync.WaitGroup
	bulking.Go(func() { p.bulk.run(ctx) })
	defer bulking.Wait()
	defer p.failAll(fmt.Errorf("%w: link closed", bucketring.ErrUnavailable))
	defer p.state.Store(int32(closed))
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		began := time.Now()
		err := p.session(ctx)
		if ctx.Err() != nil {
			return
		}
		state := linkState(p.state.Load())
		if state == linked {
			p.cfg.Logger.Warn("link broken", "peer", p.target.Name, "err", err)
			p.reconnects.Add(1)
			if time.Since(began) > retryMax {
				p.state.Store(int32(linking))
				wait = retryMin / 2
				continue // once more at once: calls under way wait for it
			}
		}
		if state == linking {
			p.cfg.Logger.Warn("peer cannot be reached", "peer", p.target.Name, "err", err)
		}
		p.state.Store(int32(refused))
		p.failAll(fmt.Errorf("%w: %w", bucketring.ErrUnavailable, err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)): // #nosec: jitter needs no secrecy
		}
	}
}

// dial makes a connection for one session. It is not used again: gRPC would go
// on dialing by itself, at its own pace.
func (p *peer) dial() (*grpc.ClientConn, error) {
	security := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if p.cfg.Identity != nil {
		cfg, claim := p.cfg.Identity.client(p.target.Name)
		security[0] = grpc.WithTransportCredentials(credentials.NewTLS(cfg))
		if claim != "" {
			security = append(security, grpc.WithPerRPCCredentials(claim))
		}
	}
	dial := p.cfg.Dial
	if dial == nil {
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err == nil {
				resendSoon(conn)
			}
			return conn, err
		}
	}
	return grpc.NewClient("passthrough:///"+p.target.Addr, append(security,
		grpc.WithContextDialer(dial),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxFrame)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: probeAfter, Timeout: probeWithin}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: greetWithin}),
	)...)
}

// session is one link from its beginning to its end.
func (p *peer) session(ctx context.Context) error {
	conn, err := p.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	greeting := time.AfterFunc(greetWithin, cancel)
	defer greeting.Stop()
	stream, err := peerpb.NewPeerClient(conn).Link(ctx)
	if err != nil {
		return err
	}
	hello := &peerpb.Hello{Node: p.cfg.Node, Boot: p.cfg.Boot(), RingCfg: p.cfg.RingSettings, Wire: wireVersion}
	if err := stream.Send(&peerpb.Frame{Sent: p.now(), Hello: hello}); err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if err := p.check(first.GetHello()); err != nil {
		return err
	}
	greeting.Stop()
	p.fresh(p.now())
	watching.Go(func() { p.watch(ctx) })
	p.requeue()
	p.boot.Store(first.GetHello().GetBoot())
	p.wire.Store(first.GetHello().GetWire())
	p.sessions.Add(1)
	p.state.Store(int32(linked))
	p.cfg.Logger.Info("link up", "peer", p.target.Name)

	written := make(chan error, 1)
	go func() {
		defer cancel() // a writer that fails ends the reader
		written <- p.write(ctx, stream)
	}()
	err = p.read(stream, Sender{p.target.Name, first.GetHello().GetBoot()})
	cancel()
	// The reader knows why a stream broke, unless the writer's own error did it.
	if werr := <-written; status.Code(err) == codes.Canceled {
		return werr
	}
	return err
}

// check refuses a peer that would count differently, or is somebody else.
func (p *peer) check(hello *peerpb.Hello) error {
	switch {
	case hello == nil:
		return fmt.Errorf("transport: greet %s: first frame has no hello", p.target.Name)
	case hello.GetRingCfg() != p.cfg.RingSettings:
		return fmt.Errorf("transport: greet %s: it places keys differently, so its version does not fit", p.target.Name)
	case hello.GetNode() != p.target.Name:
		return fmt.Errorf("transport: greet %s: node %s answers there", p.target.Name, hello.GetNode())
	}
	return nil
}

func (p *peer) read(stream grpc.BidiStreamingClient[peerpb.Frame, peerpb.Frame], from Sender) error {
	for {
		frame, err := stream.Recv()
		if err != nil {
			return err
		}
		p.hear(p.now())
		p.cfg.heardFrom(from, frame.GetView(), nil) // before a referral sends someone there
		for _, v := range frame.GetVerdicts() {
			p.settle(v)
		}
	}
}

// write sends what is queued. It yields once before it looks, so that callers
// that are about to ask share the frame; it never waits for one to fill.
func (p *peer) write(ctx context.Context, stream grpc.BidiStreamingClient[peerpb.Frame, peerpb.Frame]) error {
	defs, seen := map[bucketring.Limit]uint32{}, &news{}
	ping := time.NewTimer(untilNext(pingEvery))
	resting := false // at the last ping
	defer ping.Stop()
	p.notify() // calls may wait from before
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ping.C:
			every := p.interval(p.now())
			resting = every == pingAtRest
			ping.Reset(untilNext(every))
			if err := p.sendFrame(stream, &peerpb.Frame{Ping: true}); err != nil {
				return err
			}
			continue
		case <-p.wake:
			if resting {
				resting = false
				ping.Reset(untilNext(pingEvery))
			}
		}
		runtime.Gosched()
		if err := p.writeMessages(stream, seen); err != nil {
			return err
		}
		calls, more := p.dequeue()
		if more {
			p.notify()
		}
		if len(calls) == 0 {
			continue
		}
		if err := p.sendFrame(stream, p.frame(calls, defs)); err != nil {
			return err
		}
		p.frames.Add(1)
		p.items.Add(int64(len(calls)))
		if p.cfg.Observe != nil {
			p.cfg.Observe(len(calls))
		}
	}
}

// sendFrame sends a frame, which will be answered.
func (p *peer) sendFrame(stream grpc.BidiStreamingClient[peerpb.Frame, peerpb.Frame], f *peerpb.Frame) error {
	f.Sent = p.now()
	p.ask(f.Sent)
	return stream.Send(f)
}

func (p *peer) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// frame writes calls as items. A limit is defined before its first use on the
// link; when there are too many, numbering starts over.
func (p *peer) frame(calls []*outgoing, defs map[bucketring.Limit]uint32) *peerpb.Frame {
	f := &peerpb.Frame{Items: make([]*peerpb.Item, len(calls))}
	used := 0
	for _, o := range calls {
		used += charges(o.req)
	}
	if len(defs)+used > maxDefs {
		clear(defs)
	}
	now := time.Now()
	for i, o := range calls {
		f.Items[i] = o.item(f, defs)
		if !o.deadline.IsZero() {
			f.Items[i].BudgetNs = max(int64(o.deadline.Sub(now)), 1)
		}
	}
	return f
}

func (p *peer) now() int64 { return int64(time.Since(p.base)) }
