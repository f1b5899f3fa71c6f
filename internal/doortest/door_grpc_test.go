// door_grpc_test.go asks over gRPC: call by call, over a stream, and in batches.

package doortest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/bucketring/bucketring/transport/limitpb"
)

const noBytesInProto = "texts of protobuf are UTF-8"

func grpcDoor() door {
	return door{
		name: "gRPC Take", cannot: map[string]string{anyBytes: noBytesInProto},
		open: func(t *testing.T, n *node) take {
			c := newLimiterClient(t, n)
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				return decided(c.Take(ctx, takeRequest(key, limit, cost)))
			}
		},
	}
}

func batchDoor() door {
	return door{
		name: "gRPC TakeBatch", cannot: map[string]string{anyBytes: noBytesInProto},
		open: func(t *testing.T, n *node) take {
			c := newLimiterClient(t, n)
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				resp, err := c.TakeBatch(ctx, &limitpb.TakeBatchRequest{Requests: []*limitpb.TakeRequest{
					takeRequest(key, limit, cost), takeRequest(key, limit, 0),
				}})
				if err != nil {
					return false, 0, err
				}
				all := resp.GetAnswers()
				if len(all) != 2 || all[0].GetDecision().GetRemaining() != all[1].GetDecision().GetRemaining() {
					return false, 0, fmt.Errorf("%v, want two decisions that agree", all)
				}
				return decided(decisionOf(all[0]))
			}
		},
	}
}

func streamDoor() door {
	return door{
		name: "gRPC TakeStream", cannot: map[string]string{anyBytes: noBytesInProto},
		open: func(t *testing.T, n *node) take {
			stream, err := newLimiterClient(t, n).TakeStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			id := uint64(0)
			return func(_ context.Context, key, limit string, cost int64) (bool, int64, error) {
				id++
				if err := stream.Send(&limitpb.StreamRequest{Id: id, Request: takeRequest(key, limit, cost)}); err != nil {
					return false, 0, err
				}
				resp, err := stream.Recv()
				if err != nil {
					return false, 0, err
				}
				if resp.GetId() != id || len(resp.GetMore()) > 0 {
					return false, 0, fmt.Errorf("the answer to %d is %v", id, resp)
				}
				return decided(decisionOf(resp.GetAnswer()))
			}
		},
	}
}

func newLimiterClient(t *testing.T, n *node) limitpb.LimiterClient {
	t.Helper()
	conn, err := grpc.NewClient(n.doors["grpc"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return limitpb.NewLimiterClient(conn)
}

func takeRequest(key, limit string, cost int64) *limitpb.TakeRequest {
	return &limitpb.TakeRequest{Key: key, Limit: limit, Cost: &cost}
}

func decisionOf(a *limitpb.Answer) (*limitpb.Decision, error) {
	if e := a.GetError(); e != nil {
		return nil, errors.New(e.GetDetail())
	}
	return a.GetDecision(), nil
}

func decided(d *limitpb.Decision, err error) (bool, int64, error) {
	return d.GetAllowed(), d.GetRemaining(), err
}
