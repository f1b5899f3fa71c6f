// failover.go asks one node after the other until one answers.

package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	"github.com/bucketring/bucketring"
)

// DefaultAttemptTimeout is how long a call waits for one node unless the Config says
// otherwise: many times what a node needs that waits for others itself.
const DefaultAttemptTimeout = 250 * time.Millisecond

const (
	// failedFactor is how much longer a call waits for a node while all others have failed.
	failedFactor = 4
	// fairTime is what a node must have had before a call holds its silence against it: some
	// callers have next to no time left.
	fairTime = 10 * time.Millisecond
	// probeAfter is when a connection with calls or a stream is asked whether anybody is
	// there: a node permits that every 10 s, and breaks off with who does it more often.
	probeAfter  = 12 * time.Second
	probeWithin = 5 * time.Second
	dialWithin  = 5 * time.Second
	// window is how many bytes of answers may be on their way. It is fixed: one that grows as
	// needed is measured by a ping for every message.
	window = 1 << 20
)

// steady are the options that have gRPC notice a machine that vanished, look for it again as
// soon as calls do, and send nothing beside the calls while all is well.
func steady() []grpc.DialOption {
	again := backoff.DefaultConfig
	again.MaxDelay = maxPassedOver
	return []grpc.DialOption{
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: probeAfter, Timeout: probeWithin}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: dialWithin}),
	}
}

// Take asks the node that owns the key, if an answer has said which, or else the one that
// answered last; and each other one once if that fails, or says nothing for
// Config.AttemptTimeout. A rate may be charged twice then, for a call that was lost on its way
// or was answered too late, which only denies; leases and reservations are made once, and the
// other verbs can be repeated. Not so a refund or an addition to a level: only one node is
// asked for it, until ctx ends. After a failure calls begin at other nodes for a while.
func (c *Client) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	first, hash, guided := c.begin(&req)
	if len(c.nodes) > 1 && req.Token == "" && leases(&req) {
		req.Token = rand.Text()
	}
	repeats := repeatable(req.Verb)
	var failed error
	var asked []bool // nil until one has failed
	for no, ok := first, true; ok; {
		began := time.Now()
		d, err := c.nodes[no].TakeWithin(ctx, c.within(ctx, no, asked, repeats), req)
		fair := !errors.Is(err, context.DeadlineExceeded) || time.Since(began) >= fairTime
		switch {
		case !isAway(err):
			if no != first {
				c.next.Store(no)
			}
			if err == nil {
				c.learn(no, hash, guided, &d)
			}
			return d, err
		case ctx.Err() != nil || !repeats:
			if fair {
				c.leave(no)
			}
			return d, err
		}
		if fair {
			c.guide.fail(no)
		}
		failed = err
		if asked == nil {
			asked = make([]bool, len(c.nodes))
		}
		asked[no] = true
		no, _, ok = c.other(no, asked)
	}
	if !errors.Is(failed, bucketring.ErrUnavailable) {
		failed = fmt.Errorf("%w: no node has answered in time: %w", bucketring.ErrUnavailable, failed)
	}
	return bucketring.Decision{}, failed
}

// begin returns the node to ask first, and what the guide calls the key if it may know more.
func (c *Client) begin(req *bucketring.Request) (no uint32, hash uint64, guided bool) {
	tries := repeatable(req.Verb)
	hash, guided = c.guide.hash(req)
	if guided {
		if owner, ok := c.guide.first(hash, tries); ok {
			return owner, hash, true
		}
	}
	no = c.next.Load()
	if c.guide.use(no, tries) {
		return no, hash, guided
	}
	if other, up, _ := c.other(no, nil); up {
		no = other
	}
	return no, hash, guided
}

// within returns how long a call waits for a node, 0 for as long as it has: nobody else is to
// be asked. While one that is up could answer in its place, half of the time is left for that.
// The others have failed: where all are slow, asking them, too, would make them slower.
func (c *Client) within(ctx context.Context, no uint32, asked []bool, repeats bool) time.Duration {
	_, up, ok := c.other(no, asked)
	switch {
	case !ok || !repeats || c.attempt < 0:
		return 0
	case !up:
		return failedFactor * c.attempt
	}
	if deadline, ok := ctx.Deadline(); ok {
		return max(min(c.attempt, time.Until(deadline)/2), 1)
	}
	return c.attempt
}

// isAway reports whether an error says that a node has not decided, as far as is known.
func isAway(err error) bool {
	return err != nil && (errors.Is(err, bucketring.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded))
}

// other returns the next node that was not asked: one that is not passed over, if there is
// one, which up says.
func (c *Client) other(no uint32, asked []bool) (next uint32, up, ok bool) {
	count := uint32(len(c.nodes))
	for i := uint32(1); i < count; i++ {
		one := (no + i) % count
		switch {
		case asked != nil && asked[one]:
		case c.guide.isUp(one):
			return one, true, true
		case !ok:
			next, ok = one, true
		}
	}
	return next, false, ok
}

// learn takes from an answer what it says of the node and of the key's owner.
func (c *Client) learn(no uint32, hash uint64, guided bool, d *bucketring.Decision) {
	c.guide.answered(no)
	if guided {
		c.guide.learn(no, hash, d)
	}
}

// leave has calls that began at a node that failed begin at the next one that is not known
// to have failed, or else at the next one.
func (c *Client) leave(no uint32) {
	c.guide.fail(no)
	if next, _, ok := c.other(no, nil); ok {
		c.next.CompareAndSwap(no, next)
	}
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
