// public_test.go measures what the public API has beside single calls.

package bench_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring/internal/workload"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// BenchmarkBatch is calls with many requests, each for another key.
func BenchmarkBatch(b *testing.B) {
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprintf("path=public/size=%d", size), func(b *testing.B) {
			n := alone(b)
			api := limitpb.NewLimiterClient(dial(b, transport.NewServer(n).GRPC()))
			keys := workload.Distinct(size, 0)
			books := newLedger(n, keys.All(), roomForOne)
			batch := &limitpb.TakeBatchRequest{}
			for _, key := range keys.All() {
				batch.Requests = append(batch.Requests, &limitpb.TakeRequest{Key: key, Limit: roomForOne})
			}
			b.ReportAllocs()
			m := startMeter(nil)
			for b.Loop() {
				answers, err := api.TakeBatch(context.Background(), batch)
				if err != nil {
					b.Fatal(err)
				}
				for _, a := range answers.GetAnswers() {
					if err := books.enter(a); err != nil {
						b.Fatal(err)
					}
				}
			}
			m.report(b, b.N*size)
			books.audit(b)
		})
	}
}

// enter writes an answer of the public API into the books.
func (l *ledger) enter(a *limitpb.Answer) error {
	d := a.GetDecision()
	if d == nil || d.GetDegraded() {
		return fmt.Errorf("answer %v, want the owner's decision", a)
	}
	if d.GetAllowed() {
		l.admitted.Add(1)
	}
	return nil
}

// BenchmarkStream is many callers on one stream.
func BenchmarkStream(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("path=public/keys=hot/callers=%d", callers), func(b *testing.B) {
			n := alone(b)
			api := limitpb.NewLimiterClient(dial(b, transport.NewServer(n).GRPC()))
			key := workload.Hot().All()
			books := newLedger(n, key, roomForOne)
			s := openStream(b, api, callers)
			request := &limitpb.TakeRequest{Key: key[0], Limit: roomForOne}
			b.ReportAllocs()
			m := startMeter(nil)
			b.ResetTimer()
			err := concurrently(callers, b.N, func(_ context.Context, caller, calls int) error {
				for range calls {
					a, err := s.take(caller, request)
					if err != nil {
						return err
					}
					if err := books.enter(a); err != nil {
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
			books.audit(b)
		})
	}
}

// A shared stream carries one call at a time of each caller.
type shared struct {
	mu      sync.Mutex // one sends
	stream  grpc.BidiStreamingClient[limitpb.StreamRequest, limitpb.StreamResponse]
	answers []chan *limitpb.Answer // by caller; closed when the stream has ended
}

// openStream opens a stream that ends with the benchmark.
func openStream(b *testing.B, api limitpb.LimiterClient, callers int) *shared {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := api.TakeStream(ctx)
	if err != nil {
		cancel()
		b.Fatal(err)
	}
	s := &shared{stream: stream, answers: make([]chan *limitpb.Answer, callers)}
	for i := range s.answers {
		s.answers[i] = make(chan *limitpb.Answer, 1)
	}
	var reading sync.WaitGroup
	reading.Go(s.read)
	b.Cleanup(func() {
		cancel()
		reading.Wait()
	})
	return s
}

// read hands answers out until the stream ends.
func (s *shared) read() {
	for {
		m, err := s.stream.Recv()
		if err != nil {
			for _, c := range s.answers {
				close(c)
			}
			return
		}
		s.answers[m.GetId()] <- m.GetAnswer()
	}
}

// take sends a call and waits for its answer.
func (s *shared) take(caller int, r *limitpb.TakeRequest) (*limitpb.Answer, error) {
	s.mu.Lock()
	err := s.stream.Send(&limitpb.StreamRequest{Id: uint64(caller), Request: r})
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	a, ok := <-s.answers[caller]
	if !ok {
		return nil, fmt.Errorf("the stream ended before call %d was answered", caller)
	}
	return a, nil
}
