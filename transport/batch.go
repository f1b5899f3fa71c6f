// batch.go answers calls with many requests.

package transport

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring/transport/limitpb"
)

// answerSize is about the bytes of an answer about one limit.
const answerSize = 128

// A batch is the memory of one call, to be used again.
type batch struct {
	in packed // limitpb.TakeBatchRequest
	streamCalls
	made prompts
}

func newBatch(s *Server) *batch {
	return &batch{in: packed{Message: (*limitpb.TakeBatchRequest)(nil).ProtoReflect()}, streamCalls: streamCalls{parser: &s.parser}}
}

// forget lets go of what the last call had.
func (b *batch) forget() {
	b.streamCalls.forget()
	b.made.reset(0)
	b.in.raw = keptBytes(b.in.raw)
}

// handleBatch is the generated handler of TakeBatch, but for the types of its messages.
func handleBatch(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	s := srv.(*Server)
	b, _ := s.batches.Get().(*batch)
	if b == nil {
		b = newBatch(s)
	}
	defer s.batches.Put(b)
	defer b.forget()
	if err := decode(&b.in); err != nil {
		return nil, err
	}
	handle := func(ctx context.Context, _ any) (any, error) {
		made, err := s.takeBatch(ctx, b)
		if err != nil {
			return nil, err
		}
		return &packed{Message: (*limitpb.TakeBatchResponse)(nil).ProtoReflect(), raw: made}, nil
	}
	if intercept == nil {
		return handle(ctx, &b.in)
	}
	return intercept(ctx, &b.in, &grpc.UnaryServerInfo{Server: srv, FullMethod: limitpb.Limiter_TakeBatch_FullMethodName}, handle)
}

// TakeBatch implements limitpb.LimiterServer, for servers that Register did not make.
func (s *Server) TakeBatch(ctx context.Context, m *limitpb.TakeBatchRequest) (*limitpb.TakeBatchResponse, error) {
	b := newBatch(s)
	var err error
	if b.in.raw, err = proto.Marshal(m); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	made, err := s.takeBatch(ctx, b)
	if err != nil {
		return nil, err
	}
	answers := new(limitpb.TakeBatchResponse)
	return answers, proto.Unmarshal(made, answers)
}

// takeBatch returns a limitpb.TakeBatchResponse. What needs no other node is decided first;
// of the rest, calls of one key, or of policies, follow each other, and other keys do not
// wait for them.
func (s *Server) takeBatch(ctx context.Context, batch *batch) ([]byte, error) {
	if err := batch.readBatch(batch.in.raw); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if batch.count > maxBatch {
		return nil, status.Errorf(codes.OutOfRange, "%d requests in a batch, at most %d are allowed: send several batches", batch.count, maxBatch)
	}
	made, waiting := &batch.made, map[string][]int(nil) // by key
	s.takeEachNow(ctx, batch.calls, made)
	for i, done := range made.done {
		if done {
			continue
		}
		if waiting == nil {
			waiting = map[string][]int{}
		}
		waiting[batch.calls[i].req.Key] = append(waiting[batch.calls[i].req.Key], i)
	}
	var deciding sync.WaitGroup
	for _, of := range waiting {
		deciding.Go(func() {
			for _, i := range of {
				made.ds[i], made.errs[i] = s.takeCall(ctx, &batch.calls[i])
			}
		})
	}
	deciding.Wait()
	out := make([]byte, 0, answerSize*len(made.ds))
	for i := range made.ds {
		b, mark := begin(out, 1)
		out = end(appendAnswer(b, &made.ds[i], made.errs[i]), mark)
	}
	return out, nil
}
