package transport

import (
	"context"
	"unicode/utf8"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// A Client asks a node through the public API. It is a bucketring.Limiter for
// any verb, without retry or failover; package client has those.
type Client struct{ api limitpb.LimiterClient }

var _ bucketring.Limiter = (*Client)(nil)

// NewClient returns a Client on a connection, which stays the caller's.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{limitpb.NewLimiterClient(conn)}
}

// Take asks the node to carry out req.
func (c *Client) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	if !utf8.ValidString(req.Key) {
		return bucketring.Decision{}, bucketring.Invalidf("key is not UTF-8, which the public API cannot carry: send a hash of it")
	}
	call := c.api.Take
	switch req.Verb {
	case bucketring.VerbPeek:
		call = c.api.Peek
	case bucketring.VerbRefund:
		call = c.api.Refund
	case bucketring.VerbReset:
		call = c.api.Reset
	}
	m, err := call(ctx, toTake(&req))
	if err != nil {
		return bucketring.Decision{}, fromStatus(err)
	}
	return fromDecision(m), nil
}
