// floor_test.go measures what no limiter can undercut on the same machine.

package bench_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring/transport/limitpb"
)

// BenchmarkFloor is a reading of the clock, a change of one word, both as the
// least that a decision needs, and gRPC with a limiter that does nothing.
func BenchmarkFloor(b *testing.B) {
	b.Run("kind=clock", floorClock)
	b.Run("kind=swap", floorSwap)
	b.Run("kind=clock+swap", floorBoth)
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("kind=grpc/callers=%d", callers), func(b *testing.B) { floorGRPC(b, callers) })
	}
}

func floorClock(b *testing.B) {
	base, last := time.Now(), time.Duration(0)
	for b.Loop() {
		last = time.Since(base)
	}
	if last < 0 {
		b.Fatal("the clock went back")
	}
}

func floorSwap(b *testing.B) {
	var word atomic.Int64
	for b.Loop() {
		old := word.Load()
		word.CompareAndSwap(old, old+1)
	}
}

// floorBoth is the arithmetic of a token bucket on one word, without a key.
func floorBoth(b *testing.B) {
	var word atomic.Int64
	base := time.Now()
	for b.Loop() {
		now, old := int64(time.Since(base)), word.Load()
		if next := max(old, now) + 1; next-now < int64(time.Hour) {
			word.CompareAndSwap(old, next)
		}
	}
}

// yes is the public API without a limiter behind it.
type yes struct {
	limitpb.UnimplementedLimiterServer
}

func (yes) Take(context.Context, *limitpb.TakeRequest) (*limitpb.Decision, error) {
	return &limitpb.Decision{Allowed: true}, nil
}

func floorGRPC(b *testing.B, callers int) {
	g := grpc.NewServer()
	limitpb.RegisterLimiterServer(g, yes{})
	api := limitpb.NewLimiterClient(dial(b, g))
	b.ReportAllocs()
	m := startMeter(nil)
	b.ResetTimer()
	err := concurrently(callers, b.N, func(ctx context.Context, _, calls int) error {
		request := &limitpb.TakeRequest{Key: "account:0", Limit: roomForOne}
		for range calls {
			if _, err := api.Take(ctx, request); err != nil {
				return err
			}
		}
		return nil
	})
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	m.report(b, b.N)
}
