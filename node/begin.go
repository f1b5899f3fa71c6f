// begin.go asks other nodes without a goroutine, or a timer, for each call.

package node

import (
	"context"
	"errors"
	"time"

	"github.com/bucketring/bucketring"
)

// A beginner is a peer that can be asked without waiting. w is told its decision, or an error
// when the time ends. req must not change until then, and after an error never: it may lie
// in a message that is being written.
type beginner interface {
	Begin(req *bucketring.Request, ends time.Time, w bucketring.Waiter) (id uint64)
	// GiveUp drops a call that has not been sent yet, if it can. Its waiter may still be told.
	GiveUp(id uint64)
}

// askPeer asks a peer and waits, until ctx is done or the time ends.
func (n *Node) askPeer(ctx context.Context, peer bucketring.Limiter, ends time.Time, req *bucketring.Request, gen uint64) (bucketring.Decision, error) {
	b, ok := peer.(beginner)
	if !ok {
		asking, cancel := context.WithDeadline(ctx, ends)
		defer cancel()
		hinted := *req
		hinted.Hinted = gen
		return peer.Take(asking, hinted)
	}
	w, _ := n.waits.Get().(*wait)
	if w == nil {
		w = &wait{told: make(chan struct{}, 1)}
	}
	w.req = *req
	w.req.Hinted = gen
	id := b.Begin(&w.req, ends, w)
	select {
	case <-w.told:
		d, err := w.decision, w.err
		if err == nil { // else nobody uses it again
			w.req, w.decision = bucketring.Request{}, bucketring.Decision{}
			n.waits.Put(w)
		}
		return d, err
	case <-ctx.Done(): // whoever answers still has it
		b.GiveUp(id)
		return bucketring.Decision{}, ctx.Err()
	}
}

// A wait is a goroutine's, for one answer.
type wait struct {
	req      bucketring.Request
	told     chan struct{} // one slot
	decision bucketring.Decision
	err      error
}

// Answered implements bucketring.Waiter.
func (w *wait) Answered(d *bucketring.Decision, err error) {
	w.decision, w.err = *d, err
	w.told <- struct{}{}
}

// A begun is a call at another node that no goroutine waits for.
type begun struct {
	door    *door
	to      target
	hash    uint64
	req     *bucketring.Request
	ends    time.Time
	callers time.Time // when its caller gives up; zero for never
	began   time.Time
	sent    int64
	waiter  bucketring.Waiter
}

// Begin has another node decide a take that TakeNow has left, within the budget of its caller,
// 0 for none, and tells w. req must not change until then. If nothing has begun, Take is to
// be called: whatever does not bring its limits along, or is wrong, goes that way.
func (d *door) Begin(budget time.Duration, req *bucketring.Request, w bucketring.Waiter) (begins bool) {
	n := d.node
	if req.Namespace != "" || req.Verb != bucketring.VerbTake || n.cfg.Peers == nil || leases(req.Limits) || n.local.checkInline(req) != nil {
		return false
	}
	hash := n.local.placer.Key("", req.Key)
	to, ok := n.whom(partOf(hash, req))
	if !ok || to.member.Name == n.cfg.Name {
		return false
	}
	peer, ok := n.cfg.Peers.Peer(to.member.Addr).(beginner)
	if !ok {
		return false
	}
	b := &begun{door: d, to: to, hash: hash, req: req, began: time.Now(), sent: n.local.clock.now().Mono, waiter: w}
	if budget > 0 {
		b.callers = b.began.Add(budget)
	}
	if b.ends, ok = n.ends(b.callers, budget > 0); !ok {
		return false
	}
	req.Hinted = to.gen
	peer.Begin(req, b.ends, b)
	return true
}

// Answered implements bucketring.Waiter. What is not a decision takes a goroutine to go on
// with: it is rare.
func (b *begun) Answered(d *bucketring.Decision, err error) {
	if err != nil {
		go b.goOn(err)
		return
	}
	defer b.recovered()
	b.door.node.answered(b.to, b.hash, b.req, d, b.sent)
	b.tell(d, nil)
}

// goOn asks others.
func (b *begun) goOn(err error) {
	defer b.recovered()
	ctx := context.Background()
	if !b.callers.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, b.callers)
		defer cancel()
	}
	req := *b.req // which may be being written still
	req.Hinted = 0
	d, err := b.door.node.follow(ctx, b.ends, b.to, err, b.hash, &req)
	b.tell(&d, err)
}

// tell tells the waiter, once.
func (b *begun) tell(d *bucketring.Decision, err error) {
	b.door.took(b.req, d, b.began, err)
	w := b.waiter
	b.waiter = nil
	w.Answered(d, err)
}

// recovered has a panic cost this call.
func (b *begun) recovered() {
	if cause := recover(); cause != nil {
		if m := b.door.node.local.mover; m != nil {
			m.stats.panics.Add(1)
		}
		b.door.node.cfg.Logger.Error("a call at another node ended in a panic", "panic", cause)
		if w := b.waiter; w != nil {
			w.Answered(&bucketring.Decision{}, errors.Join(bucketring.ErrUnavailable, errPanic))
		}
	}
}

var errPanic = errors.New("the call ended in a panic")
