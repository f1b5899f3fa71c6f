package httpapi

import (
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/bucketring/bucketring"
)

// Config says what a Handler serves. Only Limiter is required.
type Config struct {
	// Limiter decides every call.
	Limiter bucketring.Limiter
	// View shows the cluster. With nil, members, ring and explain answer 404.
	View View
	// Health answers the probes. With nil the node is always live and ready.
	Health *Health
	// Logger is told of panics and of errors that a Limiter should not return.
	// Nil means silence.
	Logger *slog.Logger
}

// A Handler serves the client listener. It is safe for concurrent use.
type Handler struct {
	limiter bucketring.Limiter
	view    View
	log     *slog.Logger
	mux     *http.ServeMux
	sites   http.CrossOriginProtection
	writers sync.Pool // of *writer
	buffers sync.Pool // of *buffers
	counts  counts
	errors  sparse // lines about errors
	panics  sparse // lines about panics
}

// New returns the handler of the client listener. It panics without a Limiter.
func New(cfg Config) *Handler {
	if cfg.Limiter == nil {
		panic("httpapi: New without a Limiter")
	}
	if cfg.Health == nil {
		cfg.Health = &Health{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{limiter: cfg.Limiter, view: cfg.View, log: cfg.Logger, mux: http.NewServeMux()}
	h.writers.New = func() any { return new(writer) }
	h.buffers.New = func() any { return &buffers{in: make([]byte, 0, 1<<10), out: make([]byte, 0, 1<<10)} }
	h.mount()
	cfg.Health.Register(h.mux)
	return h
}

// ServeHTTP answers one call.
func (h *Handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := h.writers.Get().(*writer)
	w.ResponseWriter, w.sent = rw, false
	defer h.recovered(w)
	w.Header()["Cache-Control"] = noStore
	if err := h.sites.Check(r); err != nil {
		h.fail(w, r, errCrossSite)
	} else {
		h.mux.ServeHTTP(w, r)
	}
	w.ResponseWriter = nil
	h.writers.Put(w)
}

// Stats counts since the start. What went well is counted where it is decided.
type Stats struct {
	// Bad counts calls answered with a 4xx problem, cross-site ones apart.
	Bad uint64
	// CrossSite counts calls refused because a page of another site made them.
	CrossSite uint64
	// Unavailable counts calls answered with 503.
	Unavailable uint64
	// Panics counts calls that ended in a panic.
	Panics uint64
}

type counts struct{ bad, crossSite, unavailable, panics atomic.Uint64 }

// Stats returns the counters. It takes no lock.
func (h *Handler) Stats() Stats {
	return Stats{
		Bad:         h.counts.bad.Load(),
		CrossSite:   h.counts.crossSite.Load(),
		Unavailable: h.counts.unavailable.Load(),
		Panics:      h.counts.panics.Load(),
	}
}
