// server.go takes calls: it checks them, finds out how they are answered, and keeps panics
// from costing more than one.

package envoyrls

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
	"github.com/bucketring/bucketring/policy"
)

// A Counter counts decisions that steps have made, whose meaning only their door knows. It is
// safe for concurrent use.
type Counter interface {
	// Count counts a decision about a key, which is for people. d has Allowed, Source and, as
	// Name, the domain.
	Count(key string, d bucketring.Decision)
}

// Config says what a Server needs. Limiter and Policies are required.
type Config struct {
	// Limiter decides every call. It has the same policies as Policies returns, and knows
	// Step by StepID. If it is a Counter too, it is told of each descriptor that a step
	// has decided.
	Limiter bucketring.Limiter
	// Policies returns the present policies. It is called for each call, from many
	// goroutines.
	Policies func() *policy.Set
	// Guard says what the callers may do that the gRPC server has admitted. Nil lets
	// everybody do everything.
	Guard bucketring.Guard
	// Settings are what an operator can choose; the zero value works.
	Settings Settings
	// Observe is told how long each call took. Nil means nobody.
	Observe func(time.Duration)
	// Logger is told of panics. Nil means silence.
	Logger *slog.Logger
}

// ServiceName is what gRPC calls the service.
const ServiceName = "envoy.service.ratelimit.v3.RateLimitService"

// A Server answers calls of Envoy's rate limit service. It is safe for concurrent use. Make
// it with New.
type Server struct {
	rls.UnimplementedRateLimitServiceServer // for what a later version of the service may have

	cfg     Config
	bounds  bounds
	counter Counter // nil if the Limiter is none
	counts  counts
	logged  atomic.Int64 // the Unix second of the last panic that was logged
	rules   ruleCounts
}

var _ rls.RateLimitServiceServer = (*Server)(nil)

// New returns a server. It panics without a Limiter or Policies.
func New(cfg Config) *Server {
	if cfg.Limiter == nil || cfg.Policies == nil {
		panic("envoyrls: New without a Limiter or Policies")
	}
	if cfg.Observe == nil {
		cfg.Observe = func(time.Duration) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Settings = cfg.Settings.withDefaults()
	s := &Server{cfg: cfg, bounds: envoysBounds}
	s.counter, _ = cfg.Limiter.(Counter)
	return s
}

// Register has r serve the service. Messages of up to 1 MiB must reach it, and those that
// are larger too, or the error for them is not the one that clients expect.
func (s *Server) Register(r grpc.ServiceRegistrar) { rls.RegisterRateLimitServiceServer(r, s) }

// Bounds in time of one call, since it began. Envoy's default is to wait for 20 ms.
type bounds struct {
	// count is what counters have, wherever they are.
	count time.Duration
	// local is what this node has to decide by itself. A node does that at once if its
	// caller gives it a millisecond.
	local time.Duration
	// giveBack is when at the latest charges must have been given back.
	giveBack time.Duration
}

var envoysBounds = bounds{count: 10 * time.Millisecond, local: time.Millisecond, giveBack: 14 * time.Millisecond}

// reserved is how much earlier than the caller's deadline counters must answer: it has room
// for bounds.local and the way back.
const reserved = 2 * time.Millisecond

// A call is one that is being answered.
type call struct {
	*Server
	ctx   context.Context
	began time.Time
	req   *rls.RateLimitRequest
	hits  []hits // by descriptor
	p     *policy.Policy
}

// ShouldRateLimit implements Envoy's service. The error is a gRPC status.
func (s *Server) ShouldRateLimit(ctx context.Context, req *rls.RateLimitRequest) (resp *rls.RateLimitResponse, err error) {
	c := call{Server: s, ctx: ctx, began: time.Now(), req: req}
	s.counts.calls.Add(1)
	defer func() {
		if cause := recover(); cause != nil {
			s.panicked(cause)
			resp, err = nil, errPanic
		}
		err = s.counted(err)
		s.cfg.Observe(time.Since(c.began))
	}()
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := c.may(); err != nil {
		return nil, err
	}
	set := s.cfg.Policies()
	switch c.p = set.Find(req.GetDomain()); {
	case c.p == nil && len(set.Policies()) == 0:
		return nil, status.Error(codes.Unavailable, "no policy is active: start the node with --policies")
	case c.p == nil:
		s.counts.unknownDomains.Add(1)
		return c.unknown(), nil
	case c.p.Domain() != nil:
		return c.dialect(c.p.Domain())
	}
	return c.native()
}

// unknown is the answer to a domain that nobody configured: nothing is limited.
func (c *call) unknown() *rls.RateLimitResponse {
	resp := &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK}
	for range c.req.GetDescriptors() {
		resp.Statuses = append(resp.Statuses, &rls.RateLimitResponse_DescriptorStatus{Code: rls.RateLimitResponse_OK})
	}
	if c.cfg.Settings.DynamicMetadata {
		resp.DynamicMetadata = c.metadata(nil)
	}
	return resp
}

// within returns the context of what must be done some time after the call began, and
// before its caller gives up.
func (c *call) within(d, spare time.Duration) (context.Context, context.CancelFunc) {
	end := c.began.Add(d)
	if callers, ok := c.ctx.Deadline(); ok && callers.Add(-spare).Before(end) {
		end = callers.Add(-spare)
	}
	return context.WithDeadline(c.ctx, end)
}

// errPanic is the error of a call that ended in a panic.
var errPanic = status.Error(codes.Internal, "the call ended in a panic, which was counted")

// statusOf makes the gRPC error of a Limiter's.
func statusOf(err error) error {
	switch {
	case errors.Is(err, errPanic):
		return errPanic
	case errors.Is(err, bucketring.ErrInvalid):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	}
	return status.Error(codes.Unavailable, err.Error())
}
