// serve.go is the way of a call through the interceptors.

package grpclimit

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

// Unary returns an interceptor for calls of one message. It panics if cfg cannot work.
func Unary(cfg Config) grpc.UnaryServerInterceptor {
	c := cfg.checked()
	return func(ctx context.Context, msg any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (reply any, err error) {
		err = c.limit(ctx, info.FullMethod, msg, unaryCall{ctx}, func(ctx context.Context) error {
			reply, err = handle(ctx, msg)
			return err
		})
		return reply, err
	}
}

// Stream returns an interceptor for streams, which takes once for each. It panics if cfg
// cannot work.
func Stream(cfg Config) grpc.StreamServerInterceptor {
	c := cfg.checked()
	return func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		return c.limit(s.Context(), info.FullMethod, nil, streamCall{s}, func(ctx context.Context) error {
			return handle(srv, &stream{s, ctx})
		})
	}
}

// A stream has the context of its Grant.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the context that the handler works in.
func (s *stream) Context() context.Context { return s.ctx }

// An answer takes the metadata of a call's answer.
type answer interface {
	setHeader(metadata.MD)
	setTrailer(metadata.MD)
}

// unaryCall and streamCall are the two kinds of answers. Whoever cannot set metadata any
// more has gone, or is a test without a server: the call itself matters more.
type (
	unaryCall  struct{ ctx context.Context }
	streamCall struct{ s grpc.ServerStream }
)

func (c unaryCall) setHeader(md metadata.MD)   { _ = grpc.SetHeader(c.ctx, md) }
func (c unaryCall) setTrailer(md metadata.MD)  { _ = grpc.SetTrailer(c.ctx, md) }
func (c streamCall) setHeader(md metadata.MD)  { _ = c.s.SetHeader(md) }
func (c streamCall) setTrailer(md metadata.MD) { c.s.SetTrailer(md) }

// limit asks, and has the call served or refused.
func (cfg *Config) limit(ctx context.Context, method string, msg any, to answer, serve func(context.Context) error) error {
	req, ok := cfg.Request(ctx, method, msg)
	if !ok {
		return serve(ctx)
	}
	d, err := cfg.take(ctx, method, req)
	switch {
	case errors.Is(err, bucketring.ErrInvalid):
		return errInvalid
	case err != nil && cfg.FailClosed:
		return errUndecided
	case err != nil:
		return serve(ctx)
	}
	md := fieldsOf(&d)
	if !d.Allowed {
		// Not as a header: once one is sent, gRPC's own retries are off.
		to.setTrailer(md)
		return deny(req.Limits, &d, to)
	}
	if len(md) > 0 {
		to.setHeader(md)
	}
	ctx, grant := client.Hold(ctx, cfg.Limiter, d, cfg.leaseTTL(req.Limits))
	defer func() { // also if the handler panics
		if err := grant.End(); err != nil {
			cfg.observe(ctx, method, &d, err)
		}
	}()
	return serve(ctx)
}

// take asks, for as long as Config allows, and has the answer observed.
func (cfg *Config) take(ctx context.Context, method string, req bucketring.Request) (bucketring.Decision, error) {
	within, cancel := context.WithTimeout(ctx, cfg.Within)
	defer cancel()
	d, err := cfg.Limiter.Take(within, req)
	if err != nil {
		cfg.observe(ctx, method, nil, err)
	} else {
		cfg.observe(ctx, method, &d, nil)
	}
	return d, err
}
