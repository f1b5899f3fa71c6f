// server.go accepts connections, counts and ends them.

package resp

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bucketring/bucketring"
)

// Defaults of a Config.
const (
	defaultForwardWithin  = 10 * time.Millisecond
	defaultIdleTimeout    = 5 * time.Minute
	defaultMaxConnections = 10_000
	defaultIdleExpiry     = 24 * time.Hour
)

// An Immediate is a Limiter that can say at once whether it can decide at once. It is
// safe for concurrent use.
type Immediate interface {
	// Now reads the clock for TakeNow, in nanoseconds since some moment.
	Now() int64
	// TakeNow decides req into d, which is empty, if that needs no other node and no
	// wait. False means that nothing was done: Take has to be called. It keeps neither
	// req nor d, but may keep the key and read the limits later. now is a reading just
	// before, which commands that came together may share.
	TakeNow(now int64, req *bucketring.Request, d *bucketring.Decision) (done bool)
}

// Config says what a Server needs. Only Limiter is required.
type Config struct {
	// Limiter decides every call; its nodes must know CounterStep. If it is an Immediate too, TakeNow is tried first
	// and Take runs on a goroutine of its own.
	Limiter bucketring.Limiter
	// Guard knows clients by the tokens that they send with AUTH or HELLO, and what each
	// may do. With nil none is needed.
	Guard bucketring.Guard
	// Unavailable decides CL.THROTTLE while the owner of a key is away. The zero value
	// is bucketring.UnavailableLocal.
	Unavailable bucketring.Unavailable
	// ForwardWithin is how long a command may take that another node decides. 0 means
	// 10 ms.
	ForwardWithin time.Duration
	// IdleTimeout is how long a connection may say nothing. 0 means 5 minutes, less
	// means for ever.
	IdleTimeout time.Duration
	// IdleExpiry is how long a counter without an expiry stays that nobody uses. 0, or
	// less, means 24 hours.
	IdleExpiry time.Duration
	// MaxConnections bounds connections; who comes after is told so and closed. 0
	// means 10,000.
	MaxConnections int
	// Version is that of bucketring, for INFO.
	Version string
	// Logger is told of panics. Nil means silence.
	Logger *slog.Logger
}

// A Server answers clients that speak the Redis protocol. It is safe for concurrent
// use. Make it with NewServer.
type Server struct {
	cfg   Config
	now   Immediate // nil if the Limiter is none
	began time.Time
	// ctx is that of all calls; stop ends it.
	ctx      context.Context
	stop     context.CancelFunc
	refusals chan struct{} // has room for each refusal that may be on its way

	counter   bucketring.Request // has CounterStep do something; lacks key and arguments
	anyBucket []bucketring.Limit // by which any bucket is found: its key alone names it
	counters  known              // keys under which there are counters

	counts struct{ commands, protocolErrors, panics atomic.Uint64 }
	logged atomic.Int64 // the Unix second of the last panic that was logged

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	lastID    int64
	closing   bool
	empty     chan struct{} // closed when closing and no connection is left
}

// NewServer returns a server that listens nowhere yet. It panics without a Limiter.
func NewServer(cfg Config) *Server {
	if cfg.Limiter == nil {
		panic("resp: NewServer without a Limiter")
	}
	if cfg.ForwardWithin == 0 {
		cfg.ForwardWithin = defaultForwardWithin
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = defaultIdleTimeout
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = defaultMaxConnections
	}
	if cfg.IdleExpiry <= 0 {
		cfg.IdleExpiry = defaultIdleExpiry
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg: cfg, began: time.Now(), refusals: make(chan struct{}, maxRefusals),
		listeners: map[net.Listener]bool{}, conns: map[*conn]bool{}, empty: make(chan struct{}),
		counter:   bucketring.StepRequest(CounterID, ""),
		anyBucket: []bucketring.Limit{(&cells{maxBurst: 0, count: 1, period: 1}).limit(cfg.Unavailable)},
		counters:  known{seed: maphash.MakeSeed()},
	}
	s.now, _ = cfg.Limiter.(Immediate)
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Serve accepts connections from l, which may hand out TLS, and answers them. It
// returns nil after Shutdown or Close, which close l, and else the error of l. It may
// be called for several listeners at once.
func (s *Server) Serve(l net.Listener) error {
	defer func() { _ = l.Close() }() // it may be closed already
	if !s.listen(l) {
		return nil
	}
	defer s.unlisten(l)
	for wait := time.Duration(0); ; {
		nc, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			s.accept(nc)
			continue
		case s.isClosing():
			return nil
		case !passes(err):
			return err
		}
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(wait):
		case <-s.ctx.Done():
		}
	}
}

// passes reports whether an error of Accept may be gone a little later.
func passes(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.ECONNRESET)
}

// accept serves nc on a goroutine of its own, or refuses it.
func (s *Server) accept(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		_ = nc.Close() // it was never served
	case len(s.conns) >= s.cfg.MaxConnections:
		s.refuse(nc)
	default:
		s.lastID++
		c := newConn(s, nc, s.lastID)
		s.conns[c] = true
		go func() {
			defer s.forget(c)
			c.serve()
		}()
	}
}

// Bounds of saying no: to how many at once, and how long it may take. Under TLS it
// takes a handshake, for which Accept must not wait.
const (
	maxRefusals = 64
	refuseTime  = time.Second
)

// refuse tells nc that there are too many, unless too many are being told.
func (s *Server) refuse(nc net.Conn) {
	select {
	case s.refusals <- struct{}{}:
	default:
		_ = nc.Close() // it was never served
		return
	}
	go func() {
		defer func() { <-s.refusals }()
		_ = nc.SetDeadline(time.Now().Add(refuseTime))
		_, _ = nc.Write(appendError(nil, "ERR max number of clients reached"))
		_ = nc.Close() // whether it was told or not
	}()
}

func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.listeners[l] = true
	}
	return !s.closing
}

func (s *Server) unlisten(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.closing && len(s.conns) == 0 {
		close(s.empty)
	}
}

// Shutdown stops accepting, answers what was received, and closes every connection.
// When ctx ends before that is done, it closes them at once and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.end((*conn).drain)
	select {
	case <-s.empty:
		s.stop()
		return err
	case <-ctx.Done():
		return errors.Join(ctx.Err(), s.Close())
	}
}

// Close stops accepting and closes every connection at once. Commands that wait for
// another node end with their context; Close does not wait for them.
func (s *Server) Close() error {
	s.stop()
	return s.end((*conn).kill)
}

// end closes the listeners and ends each connection.
func (s *Server) end(each func(*conn)) (err error) {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	if !s.closing {
		s.closing = true
		for l := range s.listeners {
			err = errors.Join(err, l.Close())
		}
		if len(s.conns) == 0 {
			close(s.empty)
		}
	}
	s.mu.Unlock()
	for _, c := range conns {
		each(c)
	}
	return err
}
