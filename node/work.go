// work.go has the charges of one call counted, which may live at several nodes.

package node

import (
	"context"
	"sync"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
	"github.com/bucketring/bucketring/ring"
)

// work is one call under way.
type work struct {
	node  *Node
	call  *policy.Call
	req   *bucketring.Request
	parts []part // one for each group of the call
}

// A part is what one place has said.
type part struct {
	group   *policy.Group
	hash    uint64
	mine    bool // counted at this node
	made    bucketring.Decision
	charged bool
}

func newWork(n *Node, c *policy.Call, req *bucketring.Request) *work {
	w := &work{node: n, call: c, req: req, parts: make([]part, len(c.Groups))}
	r := n.Ring()
	for i := range w.parts {
		p := &w.parts[i]
		p.group = &c.Groups[i]
		p.placed(n.local.placer.Key(p.group.Namespace, p.group.Value))
		p.mine = p.group.Here || r.OwnedBySelf(p.group.Partition)
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
		if w.parts[i].mine {
			if err := w.ask(ctx, w.verb(denied), &w.parts[i]); err != nil {
				return err
			}
			denied = denied || !w.parts[i].made.Allowed
		}
	}
	others, err := w.askOthers(ctx, w.verb(denied))
	if denied = denied || others; err != nil {
		w.takeBack(ctx)
		return err
	}
	if denied && (w.req.Verb == bucketring.VerbTake || w.req.Verb == bucketring.VerbPeek) {
		w.takeBack(ctx)
	}
	return nil
}

// verb is what the counters are asked for: once the call is denied, and charges all
// or nothing, only what they say.
func (w *work) verb(denied bool) bucketring.Verb {
	switch {
	case w.req.Verb == bucketring.VerbUsage:
		return bucketring.VerbPeek
	case w.req.Verb == bucketring.VerbTake && denied && !w.call.Each():
		return bucketring.VerbPeek
	}
	return w.req.Verb
}

// askOthers asks the owners of all other parts at the same time, and reports
// whether one denies.
func (w *work) askOthers(ctx context.Context, verb bucketring.Verb) (denied bool, err error) {
	errs := make([]error, len(w.parts))
	var asking sync.WaitGroup
	last := -1 // asked in this goroutine: mostly it is the only one
	for i := range w.parts {
		if w.parts[i].mine {
			continue
		}
		if before := last; before >= 0 {
			asking.Go(func() { errs[before] = w.ask(ctx, verb, &w.parts[before]) })
		}
		last = i
	}
	if last >= 0 {
		errs[last] = w.ask(ctx, verb, &w.parts[last])
	}
	asking.Wait()
	for i := range w.parts {
		if errs[i] != nil {
			err = errs[i]
		}
		denied = denied || !w.parts[i].mine && !w.parts[i].made.Allowed
	}
	return denied, err
}

// ask has one part counted.
func (w *work) ask(ctx context.Context, verb bucketring.Verb, p *part) error {
	d, err := w.send(ctx, verb, p, p.group.Charges)
	if err != nil {
		return err
	}
	p.made = d
	p.charged = verb == bucketring.VerbTake && (d.Allowed || w.call.Each())
	p.group.States = d.All()
	p.group.Refused = d.Source == bucketring.SourceFallbackClosed && !d.Allowed
	return nil
}

func (w *work) send(ctx context.Context, verb bucketring.Verb, p *part, charges []bucketring.Charge) (bucketring.Decision, error) {
	req := bucketring.Request{
		Verb: verb, Charges: charges, Partition: p.group.Partition, Each: w.call.Each(), Version: w.req.Version,
	}
	if p.group.Here {
		return w.node.local.decide(p.hash, &req), nil
	}
	return w.node.take(ctx, p.hash, &req)
}

// takeBack undoes what parts of a denied call have admitted, and has them show what
// they have without it. Where each limit is charged by itself only leases are
// undone: nobody would release them.
func (w *work) takeBack(ctx context.Context) {
	ctx = context.WithoutCancel(ctx) // a caller that has gone is no reason to keep its tokens
	for i := range w.parts {
		p := &w.parts[i]
		if p.made.Degraded {
			continue // it was counted as this node's share, which ends with the outage
		}
		switch {
		case p.charged:
			w.undo(ctx, p)
		case p.made.Allowed && len(p.group.States) > 0 && !w.call.Each():
			free := make([]bucketring.Charge, len(p.group.Charges))
			for j, c := range p.group.Charges {
				c.Cost, c.ID = 0, bucketring.ID{}
				free[j] = c
			}
			if d, err := w.send(ctx, bucketring.VerbPeek, p, free); err == nil {
				p.group.States = d.All()
			}
		}
	}
}

// undo gives one part's charges back, later if its owner cannot be asked now.
func (w *work) undo(ctx context.Context, p *part) {
	var back []bucketring.Charge
	var index []int
	for j, c := range p.group.Charges {
		s := &p.group.States[j]
		if !s.Allowed || heldBefore(s) || w.call.Each() && c.Limit.Kind != bucketring.KindConcurrency {
			continue
		}
		c.Window = s.Window
		back = append(back, c)
		index = append(index, j)
	}
	p.charged = false
	if len(back) == 0 {
		return
	}
	d, err := w.send(ctx, bucketring.VerbRefund, p, back)
	if err != nil {
		w.node.owed.add(bucketring.Request{Verb: bucketring.VerbRefund, Charges: back, Partition: p.group.Partition})
		return
	}
	for k, s := range d.All() {
		p.group.States[index[k]] = s
	}
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
