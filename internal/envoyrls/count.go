// count.go has counters of the dialect changed: each by its owner, those of one call at the
// same time, and by this node where an owner does not answer.

package envoyrls

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

// chargeEach charges every descriptor whatever comes of the others. Equal ones are charged
// one after the other.
func (c *call) chargeEach(asks []*ask) error {
	return c.all(asks, func(ctx context.Context, a *ask) {
		c.change(ctx, a, change{hits: a.signed(), most: -1})
	})
}

// chargeAllOrNothing charges all descriptors unless the call is denied. One counter is looked
// at and charged in one step. Several have as many owners, so they are looked at first, and
// only a call that fits is charged: one that is refused again and again disturbs nobody.
//
// Between the look and the charge another call may come. Then a counter refuses what it had
// room for, and what the others were charged is given back: for these milliseconds a third
// call may be refused that would have fitted. What cannot be given back in time, because an
// owner went silent, stays charged until its window ends. No race lets more pass than a limit
// has.
func (c *call) chargeAllOrNothing(all, counted []*ask) error {
	alone := len(counted) == 1
	if !alone {
		if err := c.look(counted); err != nil || denied(all) {
			return err
		}
	}
	quotas := 0
	for _, a := range all {
		if a.quota() {
			quotas++
		}
	}
	err := c.all(counted, func(ctx context.Context, a *ask) {
		ch := change{hits: a.signed(), most: -1}
		if refuses := !a.quota() || alone && quotas == 1; refuses && !a.shadow() {
			ch.most = int64(a.limit.requests)
		}
		c.change(ctx, a, ch)
	})
	if !alone && (err != nil || denied(all)) {
		c.giveBack(counted)
	}
	return err
}

// look reads all counters. What is used before a descriptor includes what equal ones in
// front of it would add.
func (c *call) look(asks []*ask) error {
	err := c.all(asks, func(ctx context.Context, a *ask) { c.change(ctx, a, change{most: -1}) })
	added := map[string]int64{}
	for _, a := range asks {
		a.before = max(plus(a.before, added[a.key]), 0)
		added[a.key] = plus(added[a.key], a.signed())
	}
	return err
}

// giveBack takes back what was charged, in the window in which it was.
func (c *call) giveBack(asks []*ask) {
	ctx, cancel := c.within(c.bounds.giveBack, reserved/2)
	defer cancel()
	var wg sync.WaitGroup
	for _, a := range asks {
		if a.local || a.err != nil || a.after <= a.before {
			continue // a share forgets by itself
		}
		wg.Go(func() {
			c.guard(a, func() {
				back := change{hits: a.before - a.after, most: -1, start: a.start}
				if _, err := c.step(ctx, a, back); err == nil {
					a.after = a.before
				}
			})
		})
	}
	wg.Wait()
}

// signed are the hits as a change has them.
func (a *ask) signed() int64 {
	if a.back {
		return -a.n
	}
	return a.n
}

// all does something for every descriptor: for those with different counters at the same
// time, for those of one counter one after the other.
func (c *call) all(asks []*ask, do func(context.Context, *ask)) error {
	ctx, cancel := c.within(c.bounds.count, reserved)
	defer cancel()
	counters := map[string][]*ask{}
	for _, a := range asks {
		counters[a.key] = append(counters[a.key], a)
	}
	together(counters, func(same []*ask) {
		for i, a := range same {
			if i > 0 && time.Since(c.began) > c.bounds.giveBack {
				a.err = errLate
				return
			}
			if c.guard(a, func() { do(ctx, a) }); a.err != nil {
				return
			}
		}
	})
	for _, a := range asks {
		if a.err != nil {
			return statusOf(a.err)
		}
	}
	return nil
}

// guard makes a panic the error of one descriptor.
func (c *call) guard(a *ask, do func()) {
	defer func() {
		if cause := recover(); cause != nil {
			c.panicked(cause)
			a.err = errPanic
		}
	}()
	do()
}

// together calls do for each value of a map, at the same time if there are several.
func together[T any](all map[string]T, do func(T)) {
	var wg sync.WaitGroup
	for _, one := range all {
		if len(all) == 1 {
			do(one)
			return
		}
		wg.Go(func() { do(one) })
	}
	wg.Wait()
}

// change changes the counter of a descriptor, and notes what came of it.
func (c *call) change(ctx context.Context, a *ask, ch change) {
	if a.local {
		c.decide(a, ch)
		return
	}
	if a.reading, a.err = c.step(ctx, a, ch); a.err == nil {
		return
	}
	if c.ctx.Err() != nil {
		a.err = c.ctx.Err()
		return
	}
	c.decide(a, ch)
}

// errLate is for a descriptor that had to wait for too many like it.
var errLate = errors.New("envoyrls: the call has taken too long: send fewer equal descriptors, with higher hits_addend")

// errNoRoom is what an owner says that can keep no further counter.
var errNoRoom = errors.New("envoyrls: no room for another counter")

// step has the owner of a counter run the step. A charge whose answer comes too late may
// have been made all the same.
func (c *call) step(ctx context.Context, a *ask, ch change) (reading, error) {
	ch.window, ch.idle = a.limit.window(), c.cfg.Settings.idleSeconds()
	if err := ctx.Err(); err != nil {
		return reading{}, err
	}
	d, err := c.cfg.Limiter.Take(ctx, bucketring.StepRequest(StepID, a.key, ch.args()...))
	if err != nil {
		return reading{}, err
	}
	r, ok := readingOf(d.Values)
	if !d.Allowed || !ok {
		return reading{}, errNoRoom
	}
	a.source = d.Source
	return r, nil
}

// decide has this node decide by its share of the limit: a window of the same length, of
// which a node that cannot ask the owner has a part. What is given back meanwhile is lost,
// and looks at what there is.
func (c *call) decide(a *ask, ch change) {
	ctx, cancel := context.WithTimeout(c.ctx, c.bounds.local)
	defer cancel()
	window := min(a.limit.window(), int64(bucketring.MaxPer/time.Second))
	req := bucketring.Request{
		Key: a.key, Cost: ch.hits, Limits: []bucketring.Limit{{
			Name: "envoy", ID: localID, Algorithm: bucketring.FixedWindow, Accuracy: bucketring.Strict,
			Amount: int64(a.limit.requests), Per: time.Duration(window) * time.Second,
		}},
	}
	if ch.hits <= 0 {
		req.Verb, req.Cost = bucketring.VerbPeek, 0
	}
	d, err := c.cfg.Limiter.Take(ctx, req)
	if a.err = err; err != nil {
		return
	}
	c.counts.degraded.Add(1)
	a.local, a.share = true, d.Remaining
	now := c.began.Unix()
	a.left = a.limit.window() - now%a.limit.window()
	a.after = max(int64(a.limit.requests)-d.Remaining, 0)
	a.before = a.after
	if d.Allowed && ch.hits > 0 {
		a.before = max(a.after-ch.hits, 0)
	}
	if !d.Allowed {
		a.before = int64(a.limit.requests) // whatever comes is too much
	}
}
