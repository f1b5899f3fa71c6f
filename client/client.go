package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

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
	// Unary sends each call by itself, for a proxy that balances calls. Else those of many
	// callers share a stream to a node, at a quarter of the cost.
	Unary bool
	// Sticky asks one node for all keys, as long as it answers: one on the same machine,
	// say. Else a call goes to the node that owns its key, once an answer has said which.
	Sticky bool
	// Options are passed to gRPC, for example a dialer for tests.
	Options []grpc.DialOption
}

// A Client is a bucketring.Limiter that asks nodes. Close ends it.
type Client struct {
	conns []*grpc.ClientConn
	nodes []bucketring.Limiter
	ends  []func()      // of streams
	next  atomic.Uint32 // the node to ask for a key without an owner, mostly the one that answered last
	guide *guide        // nil if each call goes to that node
}

var _ bucketring.Limiter = (*Client)(nil)

// Dial returns a client. It does not wait for a connection: a node that is away
// shows with the first call.
func Dial(_ context.Context, cfg Config) (*Client, error) {
	if len(cfg.Addrs) == 0 {
		return nil, errors.New("client: no address of a node is given")
	}
	creds := insecure.NewCredentials()
	if cfg.TLS != nil {
		creds = credentials.NewTLS(cfg.TLS)
	}
	c := &Client{}
	if !cfg.Sticky {
		c.guide = newGuide(len(cfg.Addrs))
	}
	for _, addr := range cfg.Addrs {
		opts := append([]grpc.DialOption{grpc.WithTransportCredentials(creds)}, cfg.Options...)
		conn, err := grpc.NewClient(addr, opts...)
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

// Take asks the node that owns the key, if an answer has said which, or else the one that
// answered last; and each other one once if that fails. A rate may be charged twice then,
// for a call that was lost on its way, which only denies; leases and reservations are made
// once, and the other verbs can be repeated. Not so a refund or an addition to a level: only one node is asked for
// it. After such a failure, and after a call that ran out of time, the next call
// begins at another node.
func (c *Client) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	count := uint32(len(c.nodes))
	first := c.next.Load()
	hash, guided := c.guide.hash(&req)
	if guided {
		if no, ok := c.guide.first(hash); ok {
			first = no
		}
	}
	if count > 1 && req.Token == "" && leases(&req) {
		req.Token = rand.Text()
	}
	var failed error
	for i := range count {
		no := (first + i) % count
		d, err := c.nodes[no].Take(ctx, req)
		away := errors.Is(err, bucketring.ErrUnavailable)
		switch {
		case errors.Is(err, context.DeadlineExceeded), away && !repeatable(req.Verb):
			c.leave(no)
			return d, err
		case !away || ctx.Err() != nil:
			if i > 0 {
				c.next.Store(no)
			}
			if err == nil && guided {
				c.guide.learn(no, hash, &d)
			}
			return d, err
		}
		c.guide.fail(no)
		failed = err
	}
	return bucketring.Decision{}, failed
}

// leave has calls that began at a node that failed begin at the next one that is not known
// to have failed, or else at the next one.
func (c *Client) leave(no uint32) {
	c.guide.fail(no)
	count := uint32(len(c.nodes))
	next := (no + 1) % count
	for i := uint32(1); i < count; i++ {
		if one := (no + i) % count; c.guide.isUp(one) {
			next = one
			break
		}
	}
	c.next.CompareAndSwap(no, next)
}

// repeatable reports whether a call may be sent again that was perhaps carried out.
// Renewals, releases and resets say how things shall be, as does a set; of
// settlements the first one wins.
func repeatable(v bucketring.Verb) bool {
	return v != bucketring.VerbRefund && v != bucketring.VerbAdd
}

// leases reports whether a call may be given leases or a reservation, which a
// second try without a token would make anew and nobody would end.
func leases(req *bucketring.Request) bool {
	held := func(l bucketring.Limit) bool { return l.Kind == bucketring.KindConcurrency }
	return req.Verb == bucketring.VerbTake && (req.Namespace != "" || slices.ContainsFunc(req.Limits, held))
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
