package transport_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// TestTakeIsAsGenerated: what a take asks for and what comes back is what the generated
// handler makes of it, one after the other in the same memory.
func TestTakeIsAsGenerated(t *testing.T) {
	var seen bucketring.Request
	var decided bucketring.Decision
	var fails error
	s := transport.NewServer(limiterFunc(func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		if seen = req; req.Key == "panic" {
			panic("boom")
		}
		return decided, fails
	}))
	generated := grpc.NewServer()
	limitpb.RegisterLimiterServer(generated, s)
	w := newWorld(t)
	plain, packed := limitpb.NewLimiterClient(w.connected(generated)), limitpb.NewLimiterClient(w.serve(s))
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	errs := []error{nil, nil, nil, bucketring.ErrUnavailable, bucketring.ErrNoPolicy, bucketring.Invalidf("no")}
	for range 2000 {
		m := someTake(r)
		decided, fails, seen = someDecision(r), errs[r.IntN(len(errs))], bucketring.Request{}
		want, wantErr := plain.Take(t.Context(), m)
		wantSeen := seen
		seen = bucketring.Request{}
		got, err := packed.Take(t.Context(), m)
		if !proto.Equal(got, want) || fmt.Sprint(status.Convert(err).Proto()) != fmt.Sprint(status.Convert(wantErr).Proto()) {
			t.Fatalf("Take(%v) = %v, %v, want %v, %v", m, got, err, want, wantErr)
		}
		if diff := cmp.Diff(wantSeen, seen, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("Take(%v) asked for (-generated +packed):\n%s", m, diff)
		}
	}
	for _, raw := range []string{"\x0a\x01\xff", "\x0a\x05k", "\x12\x01\xff", "\x2a\x03\x0a\x01\xff"} {
		m := new(limitpb.TakeRequest)
		m.ProtoReflect().SetUnknown([]byte(raw)) // which is sent as it is
		_, wantErr := plain.Take(t.Context(), m)
		if _, err := packed.Take(t.Context(), m); status.Code(err) != codes.Internal || status.Code(wantErr) != codes.Internal {
			t.Errorf("Take of the bytes %q = %v and %v as generated, want both to refuse them", raw, err, wantErr)
		}
	}
	if _, err := packed.Take(t.Context(), &limitpb.TakeRequest{Key: "panic", Limit: "3/m"}); err == nil || s.Panics() != 1 {
		t.Errorf("Take that panics = %v, counted %d times, want an error, counted once", err, s.Panics())
	}
}
