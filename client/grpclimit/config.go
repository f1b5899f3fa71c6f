package grpclimit

import (
	"context"
	"time"

	"github.com/bucketring/bucketring"
)

// DefaultWithin is how long a Limiter may take unless Config says otherwise.
const DefaultWithin = 100 * time.Millisecond

// Config says how calls are limited. Limiter and Request are required.
type Config struct {
	// Limiter decides: a client.Client, or a node in this process.
	Limiter bucketring.Limiter
	// Request says what to ask for a call; ok false lets it pass, unasked. method is the
	// full one, such as /package.Service/Method; msg is nil for a stream.
	Request func(ctx context.Context, method string, msg any) (req bucketring.Request, ok bool)
	// Within is how long the Limiter may take; 0 means DefaultWithin. After that nobody
	// has answered. A Limiter that does not heed its context is not cut short.
	Within time.Duration
	// FailClosed refuses calls for which nobody has answered. Else they pass.
	FailClosed bool
	// Observe, if set, is told what came of each call, before it is served: a decision,
	// or an error and no decision if nobody has answered. With both, a lease or a
	// reservation of the call was lost or could not be ended; it has been served then.
	// It is called from many goroutines, and must not change d.
	Observe func(ctx context.Context, method string, d *bucketring.Decision, err error)
	// LeaseTTL is that of the policy's leases; 0 means bucketring.DefaultTTL. Leases of
	// limits in the Request know it themselves.
	LeaseTTL time.Duration
}

// checked returns cfg with its defaults. It panics if cfg cannot work.
func (cfg Config) checked() *Config {
	switch {
	case cfg.Limiter == nil:
		panic("grpclimit: Config.Limiter is missing: give a client.Client or a node")
	case cfg.Request == nil:
		panic("grpclimit: Config.Request is missing: grpclimit.Key and grpclimit.Policy make one")
	}
	if cfg.Within == 0 {
		cfg.Within = DefaultWithin
	}
	return &cfg
}

func (cfg *Config) observe(ctx context.Context, method string, d *bucketring.Decision, err error) {
	if cfg.Observe != nil {
		cfg.Observe(ctx, method, d, err)
	}
}

// leaseTTL returns how long the leases of a call last without renewal.
func (cfg *Config) leaseTTL(limits []bucketring.Limit) time.Duration {
	ttl := cfg.LeaseTTL
	for i := range limits {
		if l := &limits[i]; l.Kind == bucketring.KindConcurrency && (ttl == 0 || l.TTL < ttl) {
			ttl = l.TTL
		}
	}
	return ttl
}
