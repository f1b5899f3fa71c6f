// native.go answers calls whose domain is the namespace of a policy in limits/v1: each
// descriptor is a call with attributes.

package envoyrls

import (
	"context"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
	"github.com/bucketring/bucketring/policy"
)

// A part is one descriptor of a native call.
type part struct {
	hits
	who      string             // all entries
	req      bucketring.Request // with the verb for good; a look is a peek
	override *limit             // of the descriptor; nil if it has none
	d        bucketring.Decision
	taken    bool // d is of req, not of a look
	err      error
}

// native answers a call to a policy.
func (c *call) native() (*rls.RateLimitResponse, error) {
	parts := c.parts()
	ctx, cancel := c.within(c.bounds.count, reserved)
	defer cancel()
	alone := len(parts) == 1 || c.p.Each()
	if !alone {
		if err := c.takeAll(ctx, parts, true); err != nil {
			return nil, err
		}
	}
	if alone || !refused(parts) {
		err := c.takeAll(ctx, parts, false)
		if !alone && (err != nil || refused(parts)) {
			c.undo(parts)
		}
		if err != nil {
			return nil, err
		}
	}
	return c.answerNative(parts), nil
}

// parts makes the requests of all descriptors.
func (c *call) parts() []*part {
	all := make([]*part, len(c.req.GetDescriptors()))
	for i, d := range c.req.GetDescriptors() {
		entries := entriesOf(d)
		p := &part{hits: c.hits[i], who: string(appendEntries(nil, entries, nil))}
		p.req = bucketring.Request{Namespace: c.p.Namespace(), Attributes: c.p.Attributes(entries), Cost: p.n}
		switch {
		case p.n == 0:
			p.req.Verb = bucketring.VerbPeek
		case p.back:
			p.req.Verb = bucketring.VerbRefund
		}
		if d.GetLimit() != nil {
			p.override = overrideOf(d.GetLimit())
			per := time.Duration(min(p.override.window(), int64(bucketring.MaxPer/time.Second))) * time.Second
			policy.Rate{Requests: int64(p.override.requests), Per: per}.Ask(&p.req)
		}
		all[i] = p
	}
	return all
}

// takeAll carries out the requests of all descriptors, equal ones one after the other and the
// others at the same time. With look it asks what each would get.
func (c *call) takeAll(ctx context.Context, parts []*part, look bool) error {
	callers := map[string][]*part{}
	for _, p := range parts {
		callers[p.who] = append(callers[p.who], p)
	}
	together(callers, func(same []*part) {
		for _, p := range same {
			if c.take(ctx, p, look); p.err != nil {
				return
			}
		}
	})
	for _, p := range parts {
		if p.err != nil {
			return statusOf(p.err)
		}
	}
	return nil
}

// take carries out one request.
func (c *call) take(ctx context.Context, p *part, look bool) {
	defer func() {
		if cause := recover(); cause != nil {
			c.panicked(cause)
			p.err = errPanic
		}
	}()
	req := p.req
	if look {
		if req.Verb = bucketring.VerbPeek; p.back {
			req.Cost = 0
		}
	}
	p.d, p.err = c.cfg.Limiter.Take(ctx, req)
	if p.err != nil && c.ctx.Err() != nil {
		p.err = c.ctx.Err()
	}
	p.taken = p.err == nil && !look
}

// refused reports whether a call is denied.
func refused(parts []*part) bool {
	for _, p := range parts {
		if !p.d.Allowed {
			return true
		}
	}
	return false
}

// undo gives back what was taken for a call that is refused after all: somebody came between
// the look and the take. What cannot be given back in time stays taken, leases until they end.
func (c *call) undo(parts []*part) {
	ctx, cancel := c.within(c.bounds.giveBack, reserved/2)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range parts {
		if !p.taken || !p.d.Allowed || p.req.Verb != bucketring.VerbTake {
			continue
		}
		wg.Go(func() {
			defer func() {
				if cause := recover(); cause != nil {
					c.panicked(cause)
				}
			}()
			back := p.req
			back.Verb = bucketring.VerbRefund
			_, _ = c.cfg.Limiter.Take(ctx, back)
			if len(p.d.Leases) > 0 {
				_, _ = c.cfg.Limiter.Take(ctx, bucketring.Request{Verb: bucketring.VerbRelease, IDs: p.d.Leases})
			}
		})
	}
	wg.Wait()
}
