// work.go has the charges of one call counted, which may live at several nodes.

package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
	"github.com/bucketring/bucketring/ring"
)

// work is one call under way.
type work struct {
	node  *Node
	call  *policy.Call
	req   *bucketring.Request
	parts []part  // one for each group of the call
	room  [2]part // for parts, if they are few
}

// A part is what one place has said.
type part struct {
	group   *policy.Group
	hash    uint64
	mine    bool // counted at this node
	made    bucketring.Decision
	at      int64 // when, on the monotonic clock
	charged bool
}

func newWork(n *Node, c *policy.Call, req *bucketring.Request) *work {
	w := &work{node: n, call: c, req: req}
	if w.parts = w.room[:]; len(c.Groups) > len(w.room) {
		w.parts = make([]part, len(c.Groups))
	}
	w.parts = w.parts[:len(c.Groups)]
	for i := range w.parts {
		p := &w.parts[i]
		p.group = &c.Groups[i]
		p.placed(n.local.placer.Key(p.group.Namespace, p.group.Value))
		p.mine = p.group.Here || n.local.here(p.group.Partition)
	}
	return w
}

// placed gives the part its place.
func (p *part) placed(hash uint64) {
	p.group.Partition = ring.Partition(hash)
	p.hash = uint64(p.group.Partition)
}

// do has every part counted, those of this node first: a denial there spares
// asking others to charge. If one part denies, what others have admitted is taken
// back, so that a denied call changes no counter in the end.
func (w *work) do(ctx context.Context) error {
	denied := w.call.Denied()
	for i := range w.parts {
		p := &w.parts[i]
		if !p.mine {
			continue
		}
		if err := w.ask(ctx, w.verb(denied), p); err != nil {
			w.takeBack(ctx)
			return err
		}
		denied = denied || !p.made.Allowed
	}
	others, err := w.askOthers(ctx, w.verb(denied))
	if denied = denied || others; err != nil || denied && w.takes() {
		w.takeBack(ctx)
	}
	return err
}

// takes reports whether the verb is about tokens that a call wants.
func (w *work) takes() bool {
	return w.req.Verb == bucketring.VerbTake || w.req.Verb == bucketring.VerbPeek || w.req.Verb == bucketring.VerbAdd
}

// verb is what the counters are asked for: once the call is denied, and charges all
// or nothing, only what they say. What is added to levels is taken like a cost.
func (w *work) verb(denied bool) bucketring.Verb {
	verb := w.req.Verb
	if verb == bucketring.VerbAdd && w.req.Cost >= 0 && w.req.CostNanos >= 0 {
		verb = bucketring.VerbTake
	}
	switch {
	case verb == bucketring.VerbUsage, verb == bucketring.VerbTake && denied && !w.call.Each():
		return bucketring.VerbPeek
	}
	return verb
}

// askOthers asks the owners of all other parts at the same time, and reports
// whether one denies.
func (w *work) askOthers(ctx context.Context, verb bucketring.Verb) (denied bool, err error) {
	var others []*part
	for i := range w.parts {
		if !w.parts[i].mine {
			others = append(others, &w.parts[i])
		}
	}
	if len(others) == 0 {
		return false, nil
	}
	errs, panicked := make([]error, len(others)), make([]any, len(others))
	var asking sync.WaitGroup
	for i, p := range others[1:] {
		asking.Go(func() {
			defer func() { panicked[i+1] = recover() }()
			errs[i+1] = w.ask(ctx, verb, p)
		})
	}
	errs[0] = w.ask(ctx, verb, others[0]) // here: mostly it is the only one
	asking.Wait()
	for i, p := range others {
		if panicked[i] != nil {
			panic(panicked[i]) // it costs this call, and whoever made it counts it
		}
		if errs[i] != nil {
			err = errs[i]
		}
		denied = denied || !p.made.Allowed
	}
	return denied, err
}

// ask has one part counted.
func (w *work) ask(ctx context.Context, verb bucketring.Verb, p *part) error {
	p.at = w.node.local.clock.now().Mono
	if w.req.Token != "" && verb == bucketring.VerbTake {
		w.node.owed.forgive(p.group.Charges)
	}
	d, err := w.send(ctx, verb, p, p.group.Charges)
	if (err != nil || elsewhere(&d)) && verb == bucketring.VerbTake {
		w.node.owe(w.leases(p)...) // the owner may have taken it, and its answer was lost
	}
	if err != nil {
		return err
	}
	if w.req.Verb == bucketring.VerbUsage && invented(d.Source) {
		return fmt.Errorf("%w: the node that knows what was used cannot be reached: ask again", bucketring.ErrUnavailable)
	}
	p.made = d
	p.charged = verb == bucketring.VerbTake && (d.Allowed || w.call.Each())
	p.group.States = d.All()
	p.group.Refused = d.Source == bucketring.SourceFallbackClosed && !d.Allowed
	return nil
}

// elsewhere reports whether somebody else than the owner has answered, which may have counted
// too. An owner that no second node has heard yet is degraded as well.
func elsewhere(d *bucketring.Decision) bool {
	return d.Degraded && d.Source != bucketring.SourceOwner
}

// invented reports whether a decision says nothing about a counter that anybody has.
func invented(s bucketring.Source) bool {
	return s == bucketring.SourceFallbackShare || s == bucketring.SourceFallbackOpen || s == bucketring.SourceFallbackClosed
}

func (w *work) send(ctx context.Context, verb bucketring.Verb, p *part, charges []bucketring.Charge) (bucketring.Decision, error) {
	req := w.request(verb, p, charges)
	if p.group.Here {
		return w.node.local.decideOwn(p.hash, &req), nil
	}
	return w.node.take(ctx, p.hash, &req)
}

func (w *work) request(verb bucketring.Verb, p *part, charges []bucketring.Charge) bucketring.Request {
	return bucketring.Request{
		Verb: verb, Charges: charges, Partition: p.group.Partition, Each: w.call.Each(), Version: w.req.Version,
	}
}

// leases is what ends the leases and reservations of a part: by their ids, which
// does no harm if they were never made.
func (w *work) leases(p *part) []debt {
	var back []bucketring.Charge
	for _, c := range p.group.Charges {
		if c.ID != (bucketring.ID{}) {
			back = append(back, c)
		}
	}
	if back == nil {
		return nil
	}
	return []debt{{req: w.request(bucketring.VerbRefund, p, back), charged: p.at}}
}

// takeBack undoes what parts of a denied call have admitted, all at the same time,
// and has them show what they have without it. Where each limit is charged by
// itself only leases are undone: nobody would release them.
func (w *work) takeBack(ctx context.Context) {
	// A caller that has gone is no reason to keep its tokens, and its deadline none
	// to answer late: what is not given back by then is owed.
	asking := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		asking, cancel = context.WithDeadline(asking, deadline)
		defer cancel()
	}
	var undoing sync.WaitGroup
	for i := range w.parts {
		p := &w.parts[i]
		switch {
		case p.charged:
			undoing.Go(func() { w.undo(asking, p) })
		case p.made.Allowed && len(p.group.States) > 0 && !w.call.Each() && !p.made.Degraded:
			undoing.Go(func() { w.free(asking, p) })
		}
	}
	undoing.Wait()
}

// free has a part show what it has without the call.
func (w *work) free(ctx context.Context, p *part) {
	if d, err := w.send(ctx, bucketring.VerbPeek, p, free(p.group.Charges)); err == nil {
		p.group.States = d.All()
	}
}

// undo gives one part's charges back, later if its owner cannot be asked now.
func (w *work) undo(ctx context.Context, p *part) {
	p.charged = false
	back, index := w.back(p)
	if len(back) == 0 {
		return
	}
	req := w.request(bucketring.VerbRefund, p, back)
	req.Token = newRequestID() // a refund that is tried again counts once
	var d bucketring.Decision
	var err error
	switch {
	case p.group.Here:
		d = w.node.local.decideOwn(p.hash, &req)
	case elsewhere(&p.made) && p.made.Source != bucketring.SourceReplica:
		d = w.node.shareRefund(p.hash, &req)
	default:
		d, err = w.node.take(ctx, p.hash, &req)
	}
	if err != nil {
		w.node.owe(debt{req: req, charged: p.at, resets: w.resets(p, index)})
		return
	}
	for k, s := range d.All() {
		p.group.States[index[k]] = s
	}
}

// back is what an undo refunds of a part, and where it stands among its charges.
func (w *work) back(p *part) (back []bucketring.Charge, index []int) {
	for j, c := range p.group.Charges {
		s := &p.group.States[j]
		only := w.call.Each() && c.Limit.Kind != bucketring.KindConcurrency
		if !s.Allowed || s.Repeated || only || cameBack(&c, s.ResetAfter, w.node.local.clock.now().Mono-p.at) {
			continue
		}
		c.Window = s.Window
		back = append(back, c)
		index = append(index, j)
	}
	return back, index
}

// resets are the times after which each charge has come back by itself.
func (w *work) resets(p *part, index []int) []time.Duration {
	all := make([]time.Duration, len(index))
	for k, j := range index {
		all[k] = p.group.States[j].ResetAfter
	}
	return all
}

// sign says who decided: the owner of the first part, and if an answer is degraded
// the reason.
func (w *work) sign(d *bucketring.Decision) {
	d.Node, d.Owner = w.node.cfg.Name, w.node.cfg.Name
	for i := range w.parts {
		made := &w.parts[i].made
		if i == 0 {
			d.Owner, d.Source = made.Owner, made.Source
		}
		if made.Degraded {
			d.Source, d.Degraded, d.Owner = made.Source, true, made.Owner
			return
		}
	}
}
