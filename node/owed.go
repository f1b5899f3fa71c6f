// owed.go keeps refunds that their owner has not acknowledged, and tries again.

package node

import (
	"context"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
)

const (
	// maxOwed bounds the refunds that wait.
	maxOwed = 4096
	// owedFor is how long one is tried: longer windows than that hardly notice it.
	owedFor = 5 * time.Minute
)

// owed is what this node has to give back for calls that were denied elsewhere.
// The zero value is empty.
type owed struct {
	mu    sync.Mutex
	queue []debt // guarded by mu, oldest first
}

type debt struct {
	req   bucketring.Request
	since time.Time
}

// add keeps a refund. When too many wait, the oldest is lost, which denies more.
func (o *owed) add(req bucketring.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) >= maxOwed {
		o.queue = o.queue[1:]
	}
	o.queue = append(o.queue, debt{req, time.Now()})
}

// settleOwed tries the oldest of those that wait, once.
func (n *Node) settleOwed(ctx context.Context) {
	const most = 64
	n.owed.mu.Lock()
	tried := n.owed.queue[:min(most, len(n.owed.queue))]
	n.owed.queue = n.owed.queue[len(tried):]
	n.owed.mu.Unlock()
	for _, d := range tried {
		if time.Since(d.since) > owedFor {
			continue
		}
		if _, err := n.take(ctx, uint64(d.req.Partition), &d.req); err != nil {
			n.owed.mu.Lock()
			n.owed.queue = append(n.owed.queue, d)
			n.owed.mu.Unlock()
		}
	}
}
