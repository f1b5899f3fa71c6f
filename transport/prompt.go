// prompt.go decides what needs no other node, without a goroutine for each call.

package transport

import (
	"context"
	"slices"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// A Prompt decides at once what needs no other node.
type Prompt interface {
	// TakeEachNow decides those of reqs that are not nil and for which nothing is to be
	// waited for, in their order, into ds, which are empty; done says which. Of the others it
	// has done nothing, and Take is to be called. All three are of one length.
	TakeEachNow(reqs []*bucketring.Request, ds []bucketring.Decision, done []bool)
	// Begin has another node decide req within the time that its caller has, 0 for as long
	// as it takes, and tells w. req must not change until then. If nothing has begun, Take
	// is to be called.
	Begin(budget time.Duration, req *bucketring.Request, w bucketring.Waiter) (begun bool)
}

// prompts are what came of calls that were decided at once, and of others later.
type prompts struct {
	reqs []*bucketring.Request
	ds   []bucketring.Decision
	errs []error // in place of a decision
	done []bool
}

// reset makes room for what comes of so many calls.
func (p *prompts) reset(count int) {
	clear(p.reqs)
	clear(p.ds)
	clear(p.errs)
	clear(p.done)
	p.reqs, p.ds = slices.Grow(p.reqs[:0], count)[:count], slices.Grow(p.ds[:0], count)[:count]
	p.errs, p.done = slices.Grow(p.errs[:0], count)[:count], slices.Grow(p.done[:0], count)[:count]
}

// takeEachNow decides the takes among calls that need no other node, and notes of all which
// their caller may not make. An error is one for the answer.
func (s *Server) takeEachNow(ctx context.Context, calls []streamCall, p *prompts) {
	p.reset(len(calls))
	s.judge(ctx, calls)
	if s.prompt == nil {
		return
	}
	for i := range calls {
		if calls[i].verb == int32(limitpb.Verb_TAKE) && calls[i].invalid == nil {
			p.reqs[i] = &calls[i].req
		}
	}
	defer s.hideEach(ctx, p)
	if s.tryEachNow(p.reqs, p.ds, p.done) {
		return
	}
	for i := range calls { // it is to cost the one that made it alone
		if p.reqs[i] == nil || p.done[i] {
			continue
		}
		p.ds[i] = bucketring.Decision{}
		if p.errs[i] = s.tryOneNow(p, i); p.errs[i] != nil {
			p.done[i] = true
		}
	}
}

// hideEach hides ids in what was decided.
func (s *Server) hideEach(ctx context.Context, p *prompts) {
	if s.guard == nil {
		return
	}
	for i := range p.ds {
		if p.done[i] {
			s.hide(ctx, &p.ds[i])
		}
	}
}

// tryEachNow reports whether it has come through without a panic.
func (s *Server) tryEachNow(reqs []*bucketring.Request, ds []bucketring.Decision, done []bool) (through bool) {
	defer func() {
		if !through {
			_ = recover()
		}
	}()
	s.prompt.TakeEachNow(reqs, ds, done)
	return true
}

// tryOneNow is tryEachNow for one call, whose panic is its error.
func (s *Server) tryOneNow(p *prompts, i int) (err error) {
	defer s.recovered(&err)
	s.prompt.TakeEachNow(p.reqs[i:i+1], p.ds[i:i+1], p.done[i:i+1])
	return nil
}
