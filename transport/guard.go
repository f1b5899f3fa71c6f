// guard.go asks a Guard who makes a call of the public API, or of another API that is
// served beside it, and whether that caller may.

package transport

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/bucketring/bucketring"
)

// Metadata in which a caller shows its token: the first as "Bearer TOKEN", the other as it
// is, for callers behind a proxy that uses the first one itself.
const (
	authorization = "authorization"
	tokenField    = "x-bucketring-token"
)

// tokenIn returns the token of a call, empty for none, or for several.
func tokenIn(ctx context.Context) string {
	if own := metadata.ValueFromIncomingContext(ctx, tokenField); len(own) == 1 {
		return own[0]
	} else if len(own) > 1 {
		return ""
	}
	all := metadata.ValueFromIncomingContext(ctx, authorization)
	if len(all) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(all[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// admit returns a context that stands for the caller of a method, or an error for it. What
// is open is not asked about.
func (s *Server) admit(ctx context.Context, method string) (context.Context, error) {
	if slices.Contains(s.open, method) {
		return ctx, nil
	}
	admitted, err := s.guard.Admit(ctx, tokenIn(ctx))
	if err != nil {
		return nil, toStatus(err)
	}
	return admitted, nil
}

func (s *Server) admitUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx, err := s.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handle(ctx, req)
}

func (s *Server) admitStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, err := s.admit(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handle(srv, &admittedStream{stream, ctx})
}

// An admittedStream is one whose caller is known.
type admittedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (a *admittedStream) Context() context.Context { return a.ctx }

// may reports whether the caller of ctx may make a request. Ids in it become those that the
// limiter knows.
func (s *Server) may(ctx context.Context, req *bucketring.Request) error {
	return req.Permit(ctx, s.guard)
}

// hide makes ids in a decision those that the caller of ctx may know.
func (s *Server) hide(ctx context.Context, d *bucketring.Decision) {
	if s.guard != nil {
		d.Leases, d.Reservation = s.guard.Hide(ctx, d.Leases, d.Reservation)
	}
}

// judge notes of calls that came together which their caller may not make, and why: they
// fail alone.
func (s *Server) judge(ctx context.Context, calls []streamCall) {
	if s.guard == nil {
		return
	}
	for i := range calls {
		if one := &calls[i]; one.invalid == nil {
			one.req.Verb = bucketring.Verb(one.verb)
			one.invalid = s.may(ctx, &one.req)
		}
	}
}

// known reports whether the caller of a stream still is: else the stream ends.
func (s *Server) known(ctx context.Context) error {
	if s.guard == nil {
		return nil
	}
	if err := s.guard.Known(ctx); err != nil {
		return toStatus(err)
	}
	return nil
}
