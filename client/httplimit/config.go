package httplimit

import (
	"net/http"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
)

// DefaultWithin is how long a Limiter may take unless Config says otherwise.
const DefaultWithin = 100 * time.Millisecond

// Config says how requests are limited. Limiter and Request are required.
type Config struct {
	// Limiter decides: a client.Client, or a node in this process.
	Limiter bucketring.Limiter
	// Request says what to ask for a request; ok false lets it pass, unasked.
	Request func(r *http.Request) (req bucketring.Request, ok bool)
	// Cost, if set, is what a request costs, instead of the 1 of Key and Policy.
	Cost func(r *http.Request) int64
	// Within is how long the Limiter may take; 0 means DefaultWithin. After that nobody
	// has answered. A Limiter that does not heed its context is not cut short.
	Within time.Duration
	// FailClosed refuses requests for which nobody has answered. Else they pass.
	FailClosed bool
	// Observe, if set, is told what came of each request, before it is served: a
	// decision, or an error and no decision if nobody has answered. With both, a lease
	// or a reservation of the request was lost or could not be ended; it has been served
	// then. It is called from many goroutines, and must not change d.
	Observe func(r *http.Request, d *bucketring.Decision, err error)
	// Refuse, if set, writes the status and the body of a denial. The rate headers and
	// Retry-After are there already.
	Refuse func(w http.ResponseWriter, r *http.Request, d *bucketring.Decision)
	// LeaseTTL is that of the policy's leases; 0 means bucketring.DefaultTTL. Leases of
	// limits in the Request know it themselves.
	LeaseTTL time.Duration
	// Usage is the method and path at which callers see what they have used, such as
	// "GET /v1/usage": the usage.path of the policy. Empty means that there is none.
	Usage string
}

// New returns a middleware. It panics if cfg cannot work.
func New(cfg Config) func(http.Handler) http.Handler {
	method, path, found := strings.Cut(cfg.Usage, " ")
	switch {
	case cfg.Limiter == nil:
		panic("httplimit: Config.Limiter is missing: give a client.Client or a node")
	case cfg.Request == nil:
		panic("httplimit: Config.Request is missing: httplimit.Key and httplimit.Policy make one")
	case cfg.Usage != "" && (!found || !strings.HasPrefix(path, "/")):
		panic("httplimit: Config.Usage must be a method and a path, such as GET /v1/usage")
	}
	if cfg.Within == 0 {
		cfg.Within = DefaultWithin
	}
	return func(next http.Handler) http.Handler {
		return &handler{cfg: cfg, next: next, usageMethod: method, usagePath: path}
	}
}

// PerKey returns a middleware that holds each caller, told apart by key, to limits such as
// "100/m". It panics if they cannot be read.
func PerKey(lim bucketring.Limiter, limits string, key KeyFunc) func(http.Handler) http.Handler {
	return New(Config{Limiter: lim, Request: Key(bucketring.MustParse(limits), key)})
}
