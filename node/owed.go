// owed.go keeps refunds that their owner has not acknowledged, and tries again.

package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

const (
	// maxOwed bounds the refunds that wait.
	maxOwed = 4096
	// owedFor is how long one is tried: longer windows than that hardly notice it.
	owedFor = 5 * time.Minute
	// owedAtOnce bounds the time that one round of tries takes.
	owedAtOnce = 50 * time.Millisecond
)

// owed is what this node has to give back for calls that did not go ahead. The
// zero value is empty.
type owed struct {
	mu    sync.Mutex
	queue []debt // guarded by mu, oldest first
}

// A debt is one refund.
type debt struct {
	req     bucketring.Request
	charged int64           // when, on the monotonic clock
	resets  []time.Duration // by charge: how long until it comes back by itself; nil for never
	to      string          // who was asked; another one cannot know whether that was done
}

// due leaves out of the refund what time has given back.
func (d *debt) due(now int64) (req bucketring.Request, ok bool) {
	req = d.req
	req.Charges = nil
	for i := range d.req.Charges {
		if d.resets == nil || !cameBack(&d.req.Charges[i], d.resets[i], now-d.charged) {
			req.Charges = append(req.Charges, d.req.Charges[i])
		}
	}
	return req, req.Charges != nil && now-d.charged < int64(owedFor)
}

// owe keeps refunds. When too many wait, the oldest is lost, which denies more.
func (n *Node) owe(debts ...debt) {
	for i := range debts {
		to, _ := n.whom(debts[i].req.Partition)
		debts[i].to = to.member.Name
	}
	n.oweAgain(debts...)
}

func (n *Node) oweAgain(debts ...debt) {
	o := &n.owed
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, debts...)
	if over := len(o.queue) - maxOwed; over > 0 {
		o.queue = o.queue[over:]
	}
}

// forgive drops what is owed of ids that are taken again: the refund of the first
// take must not end the second.
func (o *owed) forgive(taken []bucketring.Charge) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.queue {
		req := &o.queue[i].req
		for j := len(req.Charges) - 1; j >= 0; j-- {
			id := req.Charges[j].ID
			again := func(c bucketring.Charge) bool { return c.ID == id }
			if id == (bucketring.ID{}) || !slices.ContainsFunc(taken, again) {
				continue
			}
			req.Charges = slices.Delete(slices.Clone(req.Charges), j, j+1)
			if o.queue[i].resets != nil {
				o.queue[i].resets = slices.Delete(slices.Clone(o.queue[i].resets), j, j+1)
			}
		}
	}
}

// settleOwed tries those that wait, the oldest first, for a moment.
func (n *Node) settleOwed(ctx context.Context) {
	n.owed.mu.Lock()
	queue := n.owed.queue
	n.owed.queue = nil
	n.owed.mu.Unlock()
	began := time.Now()
	for i := range queue {
		if time.Since(began) > owedAtOnce {
			n.oweAgain(queue[i:]...)
			return
		}
		req, ok := queue[i].due(n.local.clock.now().Mono)
		if to, _ := n.whom(req.Partition); !ok || queue[i].resets != nil && to.member.Name != queue[i].to {
			continue // it is too late, or may have been done before the partition moved
		}
		if _, err := n.take(ctx, uint64(req.Partition), &req); err != nil {
			n.oweAgain(queue[i])
		}
	}
}

// refunds remembers the refunds that were carried out, so that one whose answer was
// lost is not carried out again. The zero value is empty.
type refunds struct {
	mu   sync.Mutex
	seen map[string]int64 // when, on the monotonic clock; guarded by mu
	next int64            // when to forget the old ones; guarded by mu
}

// first reports whether a refund was not seen before.
func (r *refunds) first(token string, now int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now >= r.next {
		for old, at := range r.seen {
			if now-at > int64(2*owedFor) {
				delete(r.seen, old)
			}
		}
		r.next = now + int64(time.Minute)
	}
	if _, known := r.seen[token]; known {
		return false
	}
	if r.seen == nil {
		r.seen = map[string]int64{}
	}
	r.seen[token] = now
	return true
}
