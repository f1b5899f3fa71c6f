// server.go is the public API over gRPC.

package transport

import (
	"context"
	"crypto/tls"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

const (
	maxMessage  = 256 << 10 // bytes of a message of this API
	maxForeign  = 4 << 20   // of other services on the same listener: they refuse in words of their own before
	maxBatch    = 1000      // requests of a batch
	maxInFlight = 1024      // requests of a stream that are not answered
	window      = 1 << 20   // bytes of a stream that nobody has read yet
)

// A Server serves the public API bucketring.v1.
type Server struct {
	limitpb.UnimplementedLimiterServer
	limiter bucketring.Limiter
	prompt  Prompt           // the limiter, if it is one
	guard   bucketring.Guard // nil lets everybody in
	open    []string         // methods that are for everybody
	tls     *tls.Config      // nil for connections in clear
	parser  parser
	batches sync.Pool // of *batch
	singles sync.Pool // of *single
	panics  atomic.Int64

	ending chan struct{} // closed when streams shall end
	end    sync.Once
}

// NewServer returns a server whose calls limiter decides, and which lets everybody in, in
// clear. If it is a Prompt too, a call on a stream that need not wait costs no goroutine.
func NewServer(limiter bucketring.Limiter) *Server {
	return NewGuarded(ServerConfig{Limiter: limiter})
}

// ServerConfig says whom a Server lets in. Only Limiter is required.
type ServerConfig struct {
	// Limiter decides every call, as NewServer says.
	Limiter bucketring.Limiter
	// Guard knows callers, also those of services that are registered beside the public
	// API; what these callers may do there, those services ask. Nil lets everybody in.
	Guard bucketring.Guard
	// Open are full names of methods, such as "/grpc.health.v1.Health/Check", that
	// everybody may call.
	Open []string
	// TLS secures the connections; nil leaves them in clear.
	TLS *tls.Config
}

// NewGuarded returns a server that lets some callers in.
func NewGuarded(cfg ServerConfig) *Server {
	prompt, _ := cfg.Limiter.(Prompt)
	return &Server{limiter: cfg.Limiter, prompt: prompt, guard: cfg.Guard, open: cfg.Open, tls: cfg.TLS, ending: make(chan struct{})}
}

// EndStreams ends all streams in good order, and refuses new ones: what was received is
// answered, and nothing else is decided. It does not wait for that.
func (s *Server) EndStreams() { s.end.Do(func() { close(s.ending) }) }

// GRPC returns a gRPC server with the public API and its bounds. Others may
// register further services on it, whose messages have at most 4 MiB.
func (s *Server) GRPC() *grpc.Server {
	opts := append(bounds(maxForeign), grpc.NumStreamWorkers(uint32(8*runtime.GOMAXPROCS(0))),
		grpc.ChainUnaryInterceptor(s.recoverUnary), grpc.ChainStreamInterceptor(s.recoverStream),
		// Clients connect anew now and then, so that they spread after a scale-out.
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 5 * time.Minute, MaxConnectionAge: 5 * time.Minute, MaxConnectionAgeGrace: streamAge + time.Minute,
		}))
	if s.guard != nil {
		opts = append(opts, grpc.ChainUnaryInterceptor(s.admitUnary), grpc.ChainStreamInterceptor(s.admitStream))
	}
	if s.tls != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(s.tls)))
	}
	g := grpc.NewServer(opts...)
	s.Register(g)
	return g
}

// Register has g serve the public API. Interceptors of g see requests for Take and TakeBatch
// as messages that are to be read by this package alone, and must not keep them.
func (s *Server) Register(g grpc.ServiceRegistrar) {
	desc := limitpb.Limiter_ServiceDesc
	desc.Methods = slices.Clone(desc.Methods)
	for i := range desc.Methods {
		switch desc.Methods[i].MethodName {
		case "Take":
			desc.Methods[i].Handler = handleTake
		case "TakeBatch":
			desc.Methods[i].Handler = handleBatch
		}
	}
	g.RegisterService(&desc, s)
}

// Panics counts calls that ended in a panic, which cost that call alone.
func (s *Server) Panics() int64 { return s.panics.Load() }

// bounds are what every listener refuses to go beyond. The window is fixed: one that grows as
// needed is measured by a ping for every message, each with its answer.
func bounds(message int) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(message), grpc.MaxConcurrentStreams(256), grpc.MaxHeaderListSize(16 << 10),
		grpc.ConnectionTimeout(5 * time.Second),
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second}),
	}
}

// fits reports whether a message of this API is of a size that it takes, in the words of
// gRPC, which checks for all services of a listener together.
func fits(size int) error {
	if size <= maxMessage {
		return nil
	}
	return status.Errorf(codes.ResourceExhausted, "grpc: received message larger than max (%d vs. %d)", size, maxMessage)
}

func (s *Server) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (resp any, err error) {
	defer s.recovered(&err)
	if _, ours := info.Server.(*Server); ours {
		if err := fits(proto.Size(req.(proto.Message))); err != nil {
			return nil, err
		}
	}
	return handle(ctx, req)
}

func (s *Server) recoverStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer s.recovered(&err)
	return handle(srv, stream)
}

// recovered turns a panic into the error of one call. It is deferred.
func (s *Server) recovered(err *error) {
	if cause := recover(); cause != nil {
		s.panics.Add(1)
		*err = status.Error(codes.Internal, "the call ended in a panic, which was counted")
	}
}

// Take implements limitpb.LimiterServer, for servers that Register did not make.
func (s *Server) Take(ctx context.Context, m *limitpb.TakeRequest) (*limitpb.Decision, error) {
	return s.one(ctx, bucketring.VerbTake, m)
}

// Peek implements limitpb.LimiterServer.
func (s *Server) Peek(ctx context.Context, m *limitpb.TakeRequest) (*limitpb.Decision, error) {
	return s.one(ctx, bucketring.VerbPeek, m)
}

// Refund implements limitpb.LimiterServer.
func (s *Server) Refund(ctx context.Context, m *limitpb.TakeRequest) (*limitpb.Decision, error) {
	return s.one(ctx, bucketring.VerbRefund, m)
}

// Reset implements limitpb.LimiterServer.
func (s *Server) Reset(ctx context.Context, m *limitpb.TakeRequest) (*limitpb.Decision, error) {
	return s.one(ctx, bucketring.VerbReset, m)
}

func (s *Server) one(ctx context.Context, verb bucketring.Verb, m *limitpb.TakeRequest) (*limitpb.Decision, error) {
	req, err := s.parser.fromTake(verb, m)
	if err != nil {
		return nil, toStatus(err)
	}
	return s.decide(ctx, &req)
}

func (s *Server) decide(ctx context.Context, req *bucketring.Request) (*limitpb.Decision, error) {
	d, err := s.decision(ctx, req)
	if err != nil {
		return nil, err
	}
	return toDecision(&d), nil
}

// decision decides a request. The error is one for the answer.
func (s *Server) decision(ctx context.Context, req *bucketring.Request) (bucketring.Decision, error) {
	if err := s.may(ctx, req); err != nil {
		return bucketring.Decision{}, toStatus(err)
	}
	d, err := s.limiter.Take(ctx, *req)
	if err != nil {
		return bucketring.Decision{}, toStatus(err)
	}
	s.hide(ctx, &d)
	return d, nil
}
