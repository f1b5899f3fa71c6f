// single.go answers takes that come one by one, which is what callers without a client of this
// repository send, without the generated types.

package transport

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// A single is the memory of one request, to be used again.
type single struct {
	in   packed // limitpb.TakeRequest
	call streamCall
}

// handleTake is the generated handler of Take, but for the types of its messages.
func handleTake(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	s := srv.(*Server)
	one, _ := s.singles.Get().(*single)
	if one == nil {
		one = &single{in: packed{Message: (*limitpb.TakeRequest)(nil).ProtoReflect()}}
	}
	defer func() {
		one.in.raw, one.call = keptBytes(one.in.raw), streamCall{}
		s.singles.Put(one)
	}()
	if err := decode(&one.in); err != nil {
		return nil, err
	}
	handle := func(ctx context.Context, _ any) (any, error) { return s.takeSingle(ctx, one) }
	if intercept == nil {
		return handle(ctx, &one.in)
	}
	return intercept(ctx, &one.in, &grpc.UnaryServerInfo{Server: srv, FullMethod: limitpb.Limiter_Take_FullMethodName}, handle)
}

// takeSingle returns a limitpb.Decision.
func (s *Server) takeSingle(ctx context.Context, one *single) (*packed, error) {
	call := &one.call
	if err := s.parser.readTake(call, one.in.raw); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	call.finish()
	if call.invalid != nil {
		return nil, toStatus(call.invalid)
	}
	call.req.Verb = bucketring.VerbTake
	d, err := s.decision(ctx, &call.req)
	if err != nil {
		return nil, err
	}
	out := appendDecision(make([]byte, 0, 2*answerSize), &d)
	return &packed{Message: (*limitpb.Decision)(nil).ProtoReflect(), raw: out}, nil
}
