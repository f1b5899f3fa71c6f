package transport_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// foreign is a service of another door: it answers the length of a text.
var foreign = grpc.ServiceDesc{
	ServiceName: "foreign.Door", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Length", Handler: func(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		var in wrapperspb.StringValue
		if err := decode(&in); err != nil {
			return nil, err
		}
		handle := func(context.Context, any) (any, error) { return wrapperspb.Int64(int64(len(in.GetValue()))), nil }
		return intercept(ctx, &in, &grpc.UnaryServerInfo{FullMethod: "/foreign.Door/Length"}, handle)
	}}},
}

// TestSizesOfMessages: other doors on the listener take messages of 4 MiB, while those of
// this API end at 256 KiB, whichever way they come.
func TestSizesOfMessages(t *testing.T) {
	s := transport.NewServer(&owner{})
	g := s.GRPC()
	g.RegisterService(&foreign, nil)
	conn := newWorld(t).connected(g)
	long := strings.Repeat("x", 4<<20-5)
	var length wrapperspb.Int64Value
	if err := conn.Invoke(t.Context(), "/foreign.Door/Length", wrapperspb.String(long), &length); err != nil || length.GetValue() != int64(len(long)) {
		t.Errorf("4 MiB to another door = %v, %v, want its length", length.GetValue(), err)
	}
	err := conn.Invoke(t.Context(), "/foreign.Door/Length", wrapperspb.String(long+"xx"), &length)
	if want := "larger than max (4194306 vs. 4194304)"; status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), want) {
		t.Errorf("more than that = %v, want %q", err, want)
	}
	api := limitpb.NewLimiterClient(conn)
	many := &limitpb.TakeRequest{Key: strings.Repeat("k", transport.MaxMessage), Limit: "3/m"}
	ways := map[string]func() error{
		"Take": func() error { _, err := api.Take(t.Context(), many); return err },
		"TakeBatch": func() error {
			_, err := api.TakeBatch(t.Context(), &limitpb.TakeBatchRequest{Requests: []*limitpb.TakeRequest{many}})
			return err
		},
		"TakeStream": func() error {
			stream, err := api.TakeStream(t.Context())
			if err != nil {
				return err
			}
			if err := stream.Send(&limitpb.StreamRequest{Id: 1, Request: many}); err != nil {
				return fmt.Errorf("send: %w", err)
			}
			_, err = stream.Recv()
			return err
		},
	}
	for name, call := range ways {
		if err := call(); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "vs. 262144") {
			t.Errorf("%s of more than 256 KiB = %v, want ResourceExhausted", name, err)
		}
	}
}
