// allow.go answers programs that have a node in their own process and ask it for a yes or
// a no.

package node

import (
	"context"
	"slices"
	"strings"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// Allow takes cost tokens of a key from every limit, or from none, and reports whether the
// call may go ahead: always with a cost of 0, which only looks. It is Take for who does not
// ask what is left, until when, and who has decided. With one limit that is a rate, at the
// node that owns the key, it costs about two thirds of that, else the same.
//
// key and limits are as in bucketring.Request; the limits must not change afterwards.
// Concurrency limits need Take, which says what leases it has handed out: here they are
// ErrInvalid. Other errors are those of Take. A false beside an error is no denial: nobody
// has decided.
func (n *Node) Allow(ctx context.Context, key string, limits []bucketring.Limit, cost int64) (allowed bool, err error) {
	if l := n.local; usualLimits(limits) && cost >= 0 && ctx.Err() == nil {
		now, at := l.clock.now(), l.placeOf(l.placer.Key("", key), key, &limits[0])
		if l.decides(now, at.Partition()) {
			allowed, done := l.table.TryAllow(at, key, &limits[0], now, cost)
			if done && (allowed || limits[0].Accuracy != bucketring.Strict) {
				return allowed, nil
			}
		}
	}
	return n.allowOther(ctx, key, limits, cost)
}

// allowOther is Allow for what is not here, not known yet, or not so simple: Take behind its
// usual call, which was tried.
func (n *Node) allowOther(ctx context.Context, key string, limits []bucketring.Limit, cost int64) (allowed bool, err error) {
	if leases(limits) {
		return false, errHandsOut
	}
	req := bucketring.Request{Key: key, Limits: limits, Cost: cost}
	if err := n.local.checkInline(&req); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	d, err := n.take(ctx, n.local.placer.Key("", key), &req)
	return err == nil && d.Allowed, err
}

var errHandsOut = bucketring.Invalidf("a concurrency limit hands out leases, whose ids are to be given back: use Take")

// A Prepared is a key and its limits, for a program that asks about them again and again: for
// each message of one connection, or about a limit of its own. With one limit that is a rate
// it remembers where the counter is, and Allow costs little more than a reading of the clock
// at the node that owns the key. Where the counter moves to another node, its calls follow.
// It is safe for concurrent use, has nothing to be closed, and comes from Node.Prepare.
type Prepared struct {
	node   *Node
	key    string
	limits []bucketring.Limit
	held   *bucket.Held // nil if its calls are not usual ones
}

// Prepare looks at a key and its limits once for many calls, and keeps copies of both. It
// counts nothing. The error is ErrInvalid where that of Allow would be.
func (n *Node) Prepare(key string, limits []bucketring.Limit) (*Prepared, error) {
	req := bucketring.Request{Key: key, Limits: slices.Clone(limits)}
	if err := req.Validate(); err != nil {
		return nil, err
	}
	if leases(limits) {
		return nil, errHandsOut
	}
	key = strings.Clone(key) // it may be part of a large message
	p := &Prepared{node: n, key: key, limits: req.Limits}
	if usualLimits(p.limits) {
		at := n.local.placeOf(n.local.placer.Key("", key), key, &p.limits[0])
		p.held = n.local.table.Held(at, key, &p.limits[0])
	}
	return p, nil
}

// Allow is Node.Allow of the key and its limits.
func (p *Prepared) Allow(ctx context.Context, cost int64) (allowed bool, err error) {
	if p.held != nil && cost >= 0 && ctx.Err() == nil {
		l := p.node.local
		if now := l.clock.now(); l.decides(now, p.held.Partition()) {
			allowed, done := p.held.TryAllow(now, cost)
			if done && (allowed || p.limits[0].Accuracy != bucketring.Strict) {
				return allowed, nil
			}
		}
	}
	return p.node.allowOther(ctx, p.key, p.limits, cost)
}

// Take is Node.Take of the key and its limits: for who has to say what is left, or when to
// come again.
func (p *Prepared) Take(ctx context.Context, cost int64) (bucketring.Decision, error) {
	return p.node.Take(ctx, bucketring.Request{Key: p.key, Limits: p.limits, Cost: cost})
}
