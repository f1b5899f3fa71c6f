// park.go keeps calls whose partition is on its way to this node, and those that wait for a
// second node to know of them.

package transport

import (
	"context"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	// parkFor bounds how long a call waits for its partition, unless its caller waits
	// longer, and parkMost how long that can be.
	parkFor  = 20 * time.Millisecond
	parkMost = time.Second
	// maxParked bounds the calls of a link that wait.
	maxParked = 4096
)

// park has a call decided once the partition is here, while the link goes on. If it
// does not come in time, the answer names whom to ask. With a nil soon it is here.
func (l *link) park(ctx context.Context, item *peerpb.Item, req bucketring.Request, soon <-chan struct{}) {
	patience := parkFor
	if budget := time.Duration(item.GetBudgetNs()); budget > 0 {
		patience = min(budget/2, parkMost)
	}
	l.waiting.Add(1)
	l.parked.Go(func() {
		defer l.waiting.Add(-1)
		if soon != nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			select {
			case <-soon:
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		v := l.decideParked(ctx, item, req)
		l.memory.store(v)
		_ = l.reply(&peerpb.Frame{Sent: l.server.now(), Verdicts: []*peerpb.Verdict{v}}) // a broken link ends by itself
	})
}

// decideParked is decide for a call that waited. A panic costs this call.
func (l *link) decideParked(ctx context.Context, item *peerpb.Item, req bucketring.Request) (v *peerpb.Verdict) {
	defer func() {
		if cause := recover(); cause != nil {
			l.server.panics.Add(1)
			v = &peerpb.Verdict{Id: item.GetId(), Code: peerpb.Verdict_UNAVAILABLE}
		}
	}()
	if budget := time.Duration(item.GetBudgetNs()); budget > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, budget)
		defer cancel()
	}
	d, err := l.server.owned.Take(ctx, req)
	return l.verdict(item, &req, &d, err)
}
