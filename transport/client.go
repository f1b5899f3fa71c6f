package transport

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// A Client asks a node through the public API. It is a bucketring.Limiter for
// any verb, without retry or failover; package client has those.
type Client struct {
	api    limitpb.LimiterClient
	writer writer
}

var _ bucketring.Limiter = (*Client)(nil)

// NewClient returns a Client on a connection, which stays the caller's.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{api: limitpb.NewLimiterClient(conn)}
}

// Take asks the node to carry out req. Of a renewal or release the Decision is
// allowed if all leases were reached.
func (c *Client) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	if err := sendable(&req); err != nil {
		return bucketring.Decision{}, err
	}
	if req.Verb == bucketring.VerbRenew || req.Verb == bucketring.VerbRelease {
		return c.leases(ctx, &req)
	}
	m, err := c.ask(ctx, &req)
	if err != nil {
		return bucketring.Decision{}, fromStatus(err)
	}
	return fromDecision(m), nil
}

// TakeWithin is Take for a caller who does something else after most: the error is
// context.DeadlineExceeded then. 0 means no bound beside ctx.
func (c *Client) TakeWithin(ctx context.Context, most time.Duration, req bucketring.Request) (bucketring.Decision, error) {
	if most > 0 {
		bounded, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		ctx = bounded
	}
	return c.Take(ctx, req)
}

// ask calls the method for the verb of req, which is known.
func (c *Client) ask(ctx context.Context, req *bucketring.Request) (*limitpb.Decision, error) {
	switch req.Verb {
	case bucketring.VerbTake:
		return c.api.Take(ctx, c.writer.toTake(req))
	case bucketring.VerbPeek:
		return c.api.Peek(ctx, c.writer.toTake(req))
	case bucketring.VerbRefund:
		return c.api.Refund(ctx, c.writer.toTake(req))
	case bucketring.VerbReset:
		return c.api.Reset(ctx, c.writer.toTake(req))
	case bucketring.VerbSettle:
		return c.api.Settle(ctx, &limitpb.SettleRequest{Reservation: req.IDs[0], Cost: req.Cost, CostNanos: req.CostNanos})
	case bucketring.VerbAdd, bucketring.VerbSet:
		return c.api.SetLevel(ctx, toLevel(req))
	default:
		return c.api.Usage(ctx, &limitpb.UsageRequest{Namespace: req.Namespace, Attributes: req.Attributes})
	}
}

func (c *Client) leases(ctx context.Context, req *bucketring.Request) (bucketring.Decision, error) {
	call := c.api.Renew
	if req.Verb == bucketring.VerbRelease {
		call = c.api.Release
	}
	m, err := call(ctx, &limitpb.LeasesRequest{Leases: req.IDs})
	if err != nil {
		return bucketring.Decision{}, fromStatus(err)
	}
	missed := func(id string) bool { return !slices.Contains(m.GetLeases(), id) }
	return bucketring.Decision{Allowed: !slices.ContainsFunc(req.IDs, missed), Leases: m.GetLeases()}, nil
}

// sendable refuses what the public API cannot carry; its strings are UTF-8. Sent
// anyway it would look as if the node were away.
func sendable(req *bucketring.Request) error {
	switch {
	case req.Verb > bucketring.VerbUsage:
		return bucketring.Invalidf("unknown verb %d", req.Verb)
	case req.Args != nil:
		return bucketring.Invalidf("arguments are for doors of a node: a client has none")
	case req.Verb == bucketring.VerbSettle && len(req.IDs) != 1:
		return bucketring.Invalidf("%d ids to settle: give one reservation", len(req.IDs))
	case !utf8.ValidString(req.Key):
		return notText("key", "send a hash of it")
	case !utf8.ValidString(req.Token):
		return notText("token", "write it in letters and digits")
	case !utf8.ValidString(req.Namespace):
		return notText("namespace", "give its name as the policy does")
	}
	for i := range req.Limits {
		if !utf8.ValidString(req.Limits[i].Zone) {
			return notText("time zone", "give an IANA name such as Europe/Berlin")
		}
	}
	for _, id := range req.IDs {
		if !utf8.ValidString(id) {
			return notText("id", "give it as the take answered it")
		}
	}
	for name, value := range req.Attributes {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return notText("an attribute", "encode it as the policy expects")
		}
	}
	return nil
}

func notText(what, instead string) error {
	return bucketring.Invalidf("%s is not UTF-8, which the public API cannot carry: %s", what, instead)
}
