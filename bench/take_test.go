package bench_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/workload"
	"github.com/bucketring/bucketring/transport"
)

// A way leads to a decision.
type way struct {
	limiter bucketring.Limiter
	links   []linkCount // that calls pass
	callers []int       // at once: how many are interesting here
	// allow, if set, is asked in place of the limiter, which then only tells what was charged.
	allow func(ctx context.Context, key string, limits []bucketring.Limit) (bool, error)
}

// owned asks the node that decides.
func owned(b *testing.B) way { return way{limiter: alone(b), callers: []int{1, 8}} }

// allowed asks it for a yes or a no.
func allowed(b *testing.B) way {
	n := alone(b)
	return way{limiter: n, callers: []int{1, 8}, allow: func(ctx context.Context, key string, limits []bucketring.Limit) (bool, error) {
		return n.Allow(ctx, key, limits, 1)
	}}
}

// prepared asks it about a key that it has been told of before.
func prepared(b *testing.B) way {
	n, keys := alone(b), workload.Hot().All()
	p, err := n.Prepare(keys[0], bucketring.MustParse(roomForOne))
	if err != nil {
		b.Fatal(err)
	}
	return way{limiter: n, callers: []int{1, 8}, allow: func(ctx context.Context, _ string, _ []bucketring.Limit) (bool, error) {
		return p.Allow(ctx, 1)
	}}
}

// forwarded asks a node that has to ask another one about the hot key.
func forwarded(b *testing.B) way {
	m := strangerTo(b, newCluster(b, 2), workload.Hot().All()[0])
	return way{limiter: m, links: []linkCount{m.pool}, callers: []int{1, 64, 256}}
}

// public asks a node that decides, from outside over gRPC.
func public(b *testing.B) way {
	conn := dial(b, transport.NewServer(alone(b)).GRPC())
	return way{limiter: transport.NewClient(conn), callers: []int{1, 64}}
}

// streamed asks a node that decides, from outside over one stream.
func streamed(b *testing.B) way {
	c := transport.NewStreamClient(dial(b, transport.NewServer(alone(b)).GRPC()))
	b.Cleanup(c.Close)
	return way{limiter: c, callers: []int{1, 64, 256}}
}

// A bounded client gives each call so long, as one that could ask another node does.
type bounded struct{ *transport.StreamClient }

func (c bounded) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return c.TakeWithin(ctx, 250*time.Millisecond, req)
}

// boundedStream is streamed with a bound for each call.
func boundedStream(b *testing.B) way {
	w := streamed(b)
	w.limiter = bounded{w.limiter.(*transport.StreamClient)}
	return w
}

// BenchmarkTake is a limit that has room.
func BenchmarkTake(b *testing.B) {
	b.Run("path=owned", func(b *testing.B) {
		hot(b, owned(b), roomForOne)
		distinct(b, 8)
		large(b, owned, "keys=uniform/callers=1", 0)
		large(b, owned, "keys=zipf/callers=1", popular)
	})
	b.Run("path=allow", func(b *testing.B) {
		hot(b, allowed(b), roomForOne)
		large(b, allowed, "keys=uniform/callers=1", 0)
		large(b, allowed, "keys=zipf/callers=1", popular)
	})
	b.Run("path=prepared", func(b *testing.B) { hot(b, prepared(b), roomForOne) })
	b.Run("path=forwarded", func(b *testing.B) { hot(b, forwarded(b), roomForOne) })
	b.Run("path=public", func(b *testing.B) { hot(b, public(b), roomForOne) })
	b.Run("path=stream", func(b *testing.B) { hot(b, streamed(b), roomForOne) })
	b.Run("path=bounded_stream", func(b *testing.B) { hot(b, boundedStream(b), roomForOne) })
}

// hot is one key for all callers.
func hot(b *testing.B, w way, limits string) {
	keys := workload.Hot()
	books := newLedger(w.limiter, keys.All(), limits)
	books.fill(b)
	for _, callers := range w.callers {
		b.Run(fmt.Sprintf("keys=hot/callers=%d", callers), func(b *testing.B) {
			load{w, books, callers, func(int) *workload.Stream { return keys.Stream() }}.run(b)
		})
	}
}

// large is a million keys, which no cache holds, with a Zipf exponent.
func large(b *testing.B, start func(*testing.B) way, name string, exponent float64) {
	b.Run(name, func(b *testing.B) {
		w, keys := start(b), workload.Zipf(million, exponent, seed)
		books := newLedger(w.limiter, keys.All(), roomForEach)
		books.fill(b)
		load{w, books, 1, func(int) *workload.Stream { return keys.Stream() }}.run(b)
	})
}

// distinct gives each caller keys of its own: what is left to contend for is
// inside the node.
func distinct(b *testing.B, callers int) {
	w, all, keys := owned(b), []string{}, make([]*workload.Keys, callers)
	for caller := range keys {
		keys[caller] = workload.Distinct(64, caller)
		all = append(all, keys[caller].All()...)
	}
	books := newLedger(w.limiter, all, roomForOne)
	books.fill(b)
	b.Run(fmt.Sprintf("keys=distinct/callers=%d", callers), func(b *testing.B) {
		load{w, books, callers, func(caller int) *workload.Stream { return keys[caller].Stream() }}.run(b)
	})
}

// eachWay runs a benchmark of the hot key under limits, on every way.
func eachWay(b *testing.B, limits string) {
	b.Run("path=owned", func(b *testing.B) { hot(b, owned(b), limits) })
	b.Run("path=forwarded", func(b *testing.B) { hot(b, forwarded(b), limits) })
	b.Run("path=public", func(b *testing.B) { hot(b, public(b), limits) })
}

// BenchmarkDenied is a limit that has nothing left, as under an attack.
func BenchmarkDenied(b *testing.B) { eachWay(b, "1/366d") }

// BenchmarkScarce is a limit for which callers race: 1000 a second pass, and
// not one more.
func BenchmarkScarce(b *testing.B) { eachWay(b, "1000/s") }

// BenchmarkTwoLimits is two limits in a call, both with room.
func BenchmarkTwoLimits(b *testing.B) {
	eachWay(b, roomForOne+", 1000000000/365d burst=4000000000")
}

// BenchmarkAlgorithm is the hot key under each algorithm.
func BenchmarkAlgorithm(b *testing.B) {
	for _, a := range bucketring.Algorithms() {
		limit := bucketring.Limit{Algorithm: a, Amount: 4_000_000_000, Per: bucketring.MaxPer}
		b.Run(fmt.Sprintf("algorithm=%v/path=owned", a), func(b *testing.B) { hot(b, owned(b), limit.String()) })
	}
}
