package node

import (
	"context"
	"sync"
	"time"

	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
)

const (
	tick = 250 * time.Millisecond
	// sweepRound is how long one round over all partitions takes at leisure; a
	// table that is nearly full is swept eight times as fast.
	sweepRound = time.Minute
)

// Run drops unused counters, follows the wall clock, and hands partitions over, until
// ctx is done.
func (n *Node) Run(ctx context.Context) error {
	var others sync.WaitGroup
	defer others.Wait()
	if n.local.mover != nil {
		others.Go(func() { n.local.mover.run(ctx) })
		others.Go(func() { n.runCharges(ctx) })
		others.Go(func() { n.runReturns(ctx) })
	}
	if n.cfg.Store != nil {
		others.Go(func() { n.local.disk.run(ctx) })
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for ticks := 0; ; ticks++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if ticks%int(time.Second/tick) == 0 {
				n.local.clock.sample(n.cfg.Wall())
			}
			n.sweep(n.local.clock.now())
			n.settleOwed(ctx)
			n.tally.reports.log(ctx, n.cfg.Logger)
		}
	}
}

// sweep does one tick's part of a round over both tables.
func (n *Node) sweep(now bucket.Now) {
	const steps = int(sweepRound / tick)
	budget := (ring.Partitions + steps - 1) / steps
	if stats := n.local.table.Stats(); nearly(stats.Keys, n.cfg.MaxKeys) || nearly(stats.Bytes, n.cfg.MaxBytes) {
		budget *= 8
	}
	// A wall clock that is set back a little is followed at once, and windows that
	// have just ended go on: their counters have to be there.
	now.Wall -= int64(largeStep)
	n.local.table.Sweep(now, budget)
	n.local.own.Sweep(now, budget)
	n.share.table.Load().Sweep(now, 1)
}

// nearly reports whether a figure is above 85 % of its bound, if there is one.
func nearly(figure, bound int64) bool {
	return bound > 0 && float64(figure) > 0.85*float64(bound)
}
