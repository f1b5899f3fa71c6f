package transport_test

import (
	"context"
	"sync"

	"google.golang.org/grpc/stats"
)

// sizes is a stats.Handler that keeps the largest message of each direction.
type sizes struct {
	mu      sync.Mutex
	in, out int // bytes, as the server sees them; guarded by mu
	count   int // messages received; guarded by mu
}

func (s *sizes) HandleRPC(_ context.Context, event stats.RPCStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch event := event.(type) {
	case *stats.InPayload:
		s.in = max(s.in, event.Length)
		s.count++
	case *stats.OutPayload:
		s.out = max(s.out, event.Length)
	}
}

func (s *sizes) received() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

func (s *sizes) largest() (in, out int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in, s.out
}

func (s *sizes) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (s *sizes) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (s *sizes) HandleConn(context.Context, stats.ConnStats)                       {}
