package httpapi

import (
	"log/slog"
	"sync"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

// Config says what a Handler serves. Only Limiter is required.
type Config struct {
	// Limiter decides every call.
	Limiter bucketring.Limiter
	// Policies returns the policies in force, by which forward-auth finds out who
	// calls. With nil there are none, and forward-auth answers 404.
	Policies func() *policy.Set
	// View shows the cluster. With nil, members, ring and explain answer 404.
	View View
	// Health answers the probes. With nil the node is always live and ready.
	Health *Health
	// Guard knows callers and what they may do. Nil lets everybody do everything. The
	// probes and openapi.yaml are for everybody in any case.
	Guard bucketring.Guard
	// Logger is told of panics and of errors that a Limiter should not return.
	// Nil means silence.
	Logger *slog.Logger
}

// A Handler serves the client listener. It is safe for concurrent use.
type Handler struct {
	face
	limiter  bucketring.Limiter
	policies func() *policy.Set
	view     View
	buffers  sync.Pool // of *buffers
}

// New returns the handler of the client listener. It panics without a Limiter.
func New(cfg Config) *Handler {
	if cfg.Limiter == nil {
		panic("httpapi: New without a Limiter")
	}
	if cfg.Policies == nil {
		none := &policy.Set{}
		cfg.Policies = func() *policy.Set { return none }
	}
	if cfg.Health == nil {
		cfg.Health = &Health{}
	}
	h := &Handler{limiter: cfg.Limiter, policies: cfg.Policies, view: cfg.View}
	h.start(cfg.Logger, cfg.Guard)
	h.buffers.New = func() any { return &buffers{in: make([]byte, 0, 1<<10), out: make([]byte, 0, 1<<10)} }
	// A proxy passes on what a browser sent to the site behind it.
	h.sites.AddInsecureBypassPattern(forwardAuthPath)
	h.mount(h.routes())
	for _, p := range probePaths {
		h.mux.HandleFunc(p.path, h.wrongMethod([]string{"GET"}))
	}
	cfg.Health.Register(h.mux)
	return h
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

// Stats returns the counters. It takes no lock.
func (h *Handler) Stats() Stats {
	return Stats{
		Bad:         h.counts.bad.Load(),
		CrossSite:   h.counts.crossSite.Load(),
		Unavailable: h.counts.unavailable.Load(),
		Panics:      h.counts.panics.Load(),
	}
}
