package gubernatorapi

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// DefaultMaxClockSkew is the MaxClockSkew that suits nodes whose clocks are set by NTP.
const DefaultMaxClockSkew = time.Second

// Config says what a Server serves. Only Limiter is required.
type Config struct {
	// Limiter decides every item. Its nodes must know [Step] as [StepID].
	Limiter bucketring.Limiter
	// Address returns the gRPC address of a member, which is told to callers whose item
	// it has decided for another node. Nil, or "", tells them its name.
	Address func(member string) string
	// Peers lists the members for HealthCheck. Nil stands for a node that is alone and
	// has no address to tell.
	Peers func() []Peer
	// Ready returns why HealthCheck should call this node unhealthy, nil if it should
	// not. Nil stands for a node that is always ready.
	Ready func() error
	// Zone is where days, weeks, months and years begin, and hours. Nil means UTC.
	Zone *time.Location
	// MaxClockSkew is how far created_at of an item may be from the clock of the key's
	// owner; what is farther is moved to that distance. 0, or less than 1 ms, ignores
	// created_at. Negative trusts it whatever it is, which lets callers choose their
	// time: for tests of conformance alone. Give DefaultMaxClockSkew.
	MaxClockSkew time.Duration
	// MaxKeyLen bounds name and unique_key together, in bytes; 0 means 512.
	MaxKeyLen int
	// IgnoreMultiRegion lets MULTI_REGION pass without effect, as Gubernator does. Else
	// such items are refused.
	IgnoreMultiRegion bool
	// RetryAfter adds retry_after_ms to the metadata of OVER_LIMIT: the time in ms until
	// the same request could pass, if there is one.
	RetryAfter bool
	// Access says whom to let in. The zero value lets everybody do everything.
	Access Access
	// Logger is told of panics. Nil means silence.
	Logger *slog.Logger
}

// A Server serves clients of Gubernator: gRPC by Register, JSON as an http.Handler. It is
// safe for concurrent use.
type Server struct {
	pb.UnimplementedV1Server
	cfg       Config
	immediate Immediate          // the Limiter, if it is one
	counter   counter            // likewise
	request   bucketring.Request // what all have in common
	calendars [numIntervals]calendar
	sites     http.CrossOriginProtection
	ending    atomic.Bool // set by NotServing
	counts    counts
}

// An Immediate is a Limiter that decides at once what needs no other node.
type Immediate interface {
	// Now reads the clock for TakeNow, in nanoseconds since some moment.
	Now() int64
	// TakeNow decides req into d, which is empty, if nothing is to be waited for. Else it
	// has done nothing, and Take is to be called. now is a reading just before.
	TakeNow(now int64, req *bucketring.Request, d *bucketring.Decision) (done bool)
}

// New returns a server. If the Limiter is an Immediate too, items of this node's own keys
// cost no goroutine. If it has a method Count(key string, d bucketring.Decision), it is told
// what was decided: d has Allowed, Source and, as Name, the name of the item. New panics without a Limiter.
func New(cfg Config) *Server {
	if cfg.Limiter == nil {
		panic("gubernatorapi: New without a Limiter")
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxKeyLen <= 0 {
		cfg.MaxKeyLen = bucketring.MaxKeyLen
	}
	s := &Server{cfg: cfg, request: bucketring.StepRequest(StepID, "")}
	s.immediate, _ = cfg.Limiter.(Immediate)
	s.counter, _ = cfg.Limiter.(counter)
	for code := range s.calendars {
		s.calendars[code].code, s.calendars[code].zone = int64(code), cfg.Zone
	}
	return s
}

// Register has g serve pb.gubernator.V1. As Gubernator it refuses messages above 1 MiB, or
// those that g refuses.
func (s *Server) Register(g grpc.ServiceRegistrar) { pb.RegisterV1Server(g, s) }

// NotServing has LiveCheck fail from now on. All else is still served.
func (s *Server) NotServing() { s.ending.Store(true) }
