package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
)

// Config says whom to ask. Only Addrs is required.
type Config struct {
	// Addrs are the gRPC addresses of nodes, host:port. One is enough; with
	// several, calls go on while a node is away.
	Addrs []string
	// TLS secures the connections; nil sends in clear, for loopback.
	TLS *tls.Config
	// Token says who this client is, where nodes have a tokens file. It is not sent in clear
	// to another machine, unless TokenInClear says so.
	Token        string
	TokenInClear bool
	// Unary sends each call by itself, for a proxy that balances calls. Else those of many
	// callers share a stream to a node, at a quarter of the cost.
	Unary bool
	// Sticky asks one node for all keys, as long as it answers: one on the same machine,
	// say. Else a call goes to the node that owns its key, once an answer has said which.
	Sticky bool
	// AttemptTimeout is how long a call waits for one node before it asks another, which may
	// charge it twice; half of the time that is left, if that is less. While all other nodes
	// have failed, it waits four times as long, and for the last one until its context ends.
	// 0 means DefaultAttemptTimeout; below 0 a call waits so for each node.
	AttemptTimeout time.Duration
	// Options are passed to gRPC, for example a dialer for tests.
	Options []grpc.DialOption
}

// A Client is a bucketring.Limiter that asks nodes. Close ends it.
type Client struct {
	conns []*grpc.ClientConn
	nodes []asker
	ends  []func()      // of streams
	next  atomic.Uint32 // the node to ask for a key without an owner, mostly the one that answered last
	guide *guide        // nil for a single node

	attempt time.Duration // Config.AttemptTimeout
}

var _ bucketring.Limiter = (*Client)(nil)

// An asker asks one node.
type asker interface {
	// TakeWithin fails with context.DeadlineExceeded after most; 0 means no bound beside ctx.
	TakeWithin(ctx context.Context, most time.Duration, req bucketring.Request) (bucketring.Decision, error)
}

// Dial returns a client. It does not wait for a connection: a node that is away
// shows with the first call. A connection on which a node says nothing for 17 s, though it
// is asked, ends, and calls on it fail as unavailable.
func Dial(_ context.Context, cfg Config) (*Client, error) {
	if len(cfg.Addrs) == 0 {
		return nil, errors.New("client: no address of a node is given")
	}
	cfg.Options = append(steady(), cfg.Options...)
	c := &Client{guide: newGuide(len(cfg.Addrs), !cfg.Sticky), attempt: cmp.Or(cfg.AttemptTimeout, DefaultAttemptTimeout)}
	for _, addr := range cfg.Addrs {
		opts, err := cfg.secured(addr)
		if err != nil {
			_ = c.Close()
			return nil, err
		}
		conn, err := grpc.NewClient(addr, append(opts, cfg.Options...)...)
		if err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("client: dial %s: %w", addr, err)
		}
		c.conns = append(c.conns, conn)
		if cfg.Unary {
			c.nodes = append(c.nodes, transport.NewClient(conn))
			continue
		}
		s := transport.NewStreamClient(conn)
		c.nodes, c.ends = append(c.nodes, s), append(c.ends, s.Close)
	}
	return c, nil
}

// Close ends the connections. Calls under way fail.
func (c *Client) Close() error {
	for _, end := range c.ends {
		end()
	}
	var all error
	for _, conn := range c.conns {
		all = errors.Join(all, conn.Close())
	}
	return all
}
