// start.go is the usual life of a member, in two calls.

package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/bucketring/bucketring/transport"
)

const (
	// settleIn is how long Start waits for the partitions of a node that has joined.
	settleIn = 20 * time.Second
	// linger is how long a member that has handed over goes on answering: its peers learn
	// late.
	linger = time.Second
)

// started is what Start has set going.
type started struct {
	stop   context.CancelFunc
	serve  interface{ Stop() } // the gRPC server for peers
	group  sync.WaitGroup
	closed sync.Once
	err    error // of the end; read after closed
}

// Start makes this process a member of a cluster and returns once it has joined and has the
// partitions that are its own. A first node finds nobody, and begins a cluster after 10 s
// if Join names others. The error says what to change, or is that of ctx. Close ends what
// Start began.
func Start(ctx context.Context, cfg Config) (*Member, error) {
	if err := cfg.exposed(); err != nil {
		return nil, err
	}
	m, err := New(cfg)
	if err != nil {
		return nil, err
	}
	base, stop := context.WithCancel(context.Background())
	m.started = &started{stop: stop}
	m.started.group.Go(func() { _ = m.Run(base) }) // ends with base alone
	at := Addresses{}
	if cfg.Gossip != "" {
		at.Peer, err = m.listen()
	}
	if err == nil {
		err = m.Join(ctx, at)
	}
	if err != nil {
		return nil, errors.Join(err, m.end(context.WithoutCancel(ctx)))
	}
	settling, cancel := context.WithTimeout(ctx, settleIn)
	defer cancel()
	if err := m.Settle(settling); err != nil {
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), m.end(context.WithoutCancel(ctx)))
		}
		m.log.Warn("not all partitions are here yet", "err", err)
	}
	return m, nil
}

// listen serves peers, and returns where.
func (m *Member) listen() (addr string, err error) {
	at := m.cfg.Peer
	if at == "" {
		host, _, err := net.SplitHostPort(m.cfg.Gossip)
		if err != nil {
			return "", fmt.Errorf("member: gossip address %q: %w", m.cfg.Gossip, err)
		}
		at = net.JoinHostPort(host, "0")
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		return "", fmt.Errorf("member: listen for peers: %w", err)
	}
	server := m.peers.GRPC()
	m.started.serve = server
	m.started.group.Go(func() {
		if err := server.Serve(transport.Listener(l)); err != nil {
			m.log.Error("peers cannot reach this node any more", "err", err)
		}
	})
	return l.Addr().String(), nil
}

// Close hands over what this node holds, leaves the cluster, and ends all that Start began.
// It returns the first time only after that; the error says what was not handed over when
// ctx was done. The others take over then as if this node had been killed.
//
// What New has made is ended by BeginLeave, HandOver, Leave and End instead.
func (m *Member) Close(ctx context.Context) error {
	if m.started == nil {
		return errors.New("member: Close ends what Start began, and this member was made by New: call BeginLeave, HandOver, Leave and End")
	}
	m.started.closed.Do(func() {
		m.BeginLeave(ctx)
		err := m.HandOver(ctx)
		if m.cluster.Load() != nil && err == nil {
			select { // as a member still: whom it refers callers to may have joined just now
			case <-time.After(linger):
			case <-ctx.Done():
			}
		}
		m.started.err = errors.Join(err, m.end(ctx))
	})
	return m.started.err
}

// end leaves, and stops what runs.
func (m *Member) end(ctx context.Context) error {
	err := m.Leave(ctx)
	if m.started.serve != nil {
		m.started.serve.Stop()
	}
	m.End()
	m.started.stop()
	m.started.group.Wait()
	return err
}

// exposed refuses addresses that strangers reach, where nothing keeps them out.
func (cfg *Config) exposed() error {
	if cfg.Keys.secret != nil || cfg.Keys.Insecure {
		return nil
	}
	for _, addr := range []string{cfg.Gossip, cfg.Peer} {
		if addr != "" && !IsLoopback(addr) {
			return fmt.Errorf("member: %s can be reached by strangers: give Keys, or accept the risk with Keys.Insecure", addr)
		}
	}
	return nil
}

// IsLoopback reports whether an address, host:port, is of this machine alone.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
