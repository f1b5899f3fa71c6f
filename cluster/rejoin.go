// rejoin.go reaches seeds: one to begin with, then now and then another, for
// ever. Gossip alone forgets the other side of a split after deadTime.

package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

const (
	seedPatience = 2 * time.Second // for one address, before the next one is tried
	seedPause    = time.Second     // between rounds while no seed was reached
	rejoinEvery  = 10 * time.Second
	rejoinSoon   = 5 * time.Second // while a member is missing
	rejoinIdle   = time.Minute     // when all seeds are members
)

// seek is the goroutine that looks for others.
func (c *Cluster) seek(ctx context.Context) {
	c.enter(ctx)
	c.rejoin(ctx)
}

// enter tries all seeds, and then whom this node knew, again and again until one was
// reached, or there is nobody to reach, or Join has gone on without.
func (c *Cluster) enter(ctx context.Context) {
	for {
		addrs, err := c.resolve(ctx)
		if err != nil {
			c.cfg.Logger.Warn("seed not found", "node", c.cfg.Name, "err", err)
		}
		known := c.known()
		if err == nil && len(addrs)+len(known) == 0 {
			close(c.found)
			return
		}
		if c.joinRound(ctx, addrs) || c.joinRound(ctx, known) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-c.active:
			return
		case <-time.After(c.jitter(seedPause)):
		}
	}
}

// joinRound joins one address at a time until enough have answered, so that
// nodes that start together know each other at once. It reports whether one
// did. Join need not wait for the others once an active node is known: who knows
// only nodes that are starting too may miss the cluster that there is.
func (c *Cluster) joinRound(ctx context.Context, addrs []netip.AddrPort) bool {
	reached, told := 0, false
	for _, addr := range addrs {
		if ctx.Err() != nil || reached >= enough(len(c.gossip.liveAddrs())) {
			break
		}
		if err := c.join(ctx, addr); err != nil {
			c.cfg.Logger.Warn("seed not reached", "node", c.cfg.Name, "peer", addr, "err", err)
			continue
		}
		if reached++; !told && c.gossip.knowsActive() {
			close(c.found)
			told = true
		}
	}
	if reached > 0 && !told {
		close(c.found)
	}
	return reached > 0
}

// enough is the number of seeds to join in a cluster of n nodes.
func enough(n int) int { return 4 * int(math.Ceil(math.Log10(float64(n)+1))) }

// rejoin joins one address now and then, until ctx ends. Each join is an
// exchange of all that both sides know, hence only one.
func (c *Cluster) rejoin(ctx context.Context) {
	last := time.Now()
	for {
		wait := rejoinEvery
		if len(c.missing()) > 0 {
			wait = rejoinSoon
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.jitter(wait)):
		}
		c.gossip.forget(time.Now())
		addr, ok := c.candidate(ctx, time.Since(last) >= rejoinIdle)
		if !ok {
			continue
		}
		last = time.Now()
		c.gossip.counts.rejoins.Add(1)
		if err := c.join(ctx, addr); err != nil {
			c.gossip.counts.rejoinFailures.Add(1)
			c.cfg.Logger.Debug("seed not reached", "node", c.cfg.Name, "peer", addr, "err", err)
		}
	}
}

// known returns the addresses of other nodes from before this start, in random order.
func (c *Cluster) known() []netip.AddrPort { return c.strangers(slices.Clone(c.cfg.Known)) }

// candidate picks an address that no live member has, or any one if idle is
// set. A missing member's last address is as good as a seed, and so is one that
// was known before this start.
func (c *Cluster) candidate(ctx context.Context, idle bool) (netip.AddrPort, bool) {
	addrs, err := c.resolve(ctx)
	if err != nil {
		c.cfg.Logger.Debug("seed not found", "node", c.cfg.Name, "err", err)
	}
	addrs = c.strangers(slices.Concat(addrs, c.missing(), c.cfg.Known))
	live := c.gossip.liveAddrs()
	absent := slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { return live[a] })
	switch {
	case len(absent) > 0:
		return c.untried(absent), true
	case idle && len(addrs) > 0:
		return addrs[0], true
	}
	return netip.AddrPort{}, false
}

// untried returns an address that was not tried since all the others were: a
// seed that is gone for good must not keep the turn from one that is back.
func (c *Cluster) untried(absent []netip.AddrPort) netip.AddrPort {
	i := slices.IndexFunc(absent, func(a netip.AddrPort) bool { return !c.tried[a] })
	if i < 0 {
		clear(c.tried)
		i = 0
	}
	c.tried[absent[i]] = true
	return absent[i]
}

// missing returns the last addresses of the nodes that vanished without leaving.
func (c *Cluster) missing() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, e := range c.gossip.view(time.Now()) {
		if e.state() == StateDead {
			addrs = append(addrs, e.addr)
		}
	}
	return addrs
}

// join exchanges all knowledge with the node at addr. memberlist cannot be
// interrupted while it dials, so an address that does not answer in time is
// left to a goroutine that ends within memberlist's own 10 s; should the
// address answer late, its members are as welcome.
func (c *Cluster) join(ctx context.Context, addr netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, seedPatience)
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		// memberlist insists on a name where it only knows an address; its
		// sockets do not look at it.
		_, err := c.list.Join([]string{"seed/" + addr.String()})
		answer <- err
	}()
	select {
	case err := <-answer:
		if inner := errors.Unwrap(err); inner != nil {
			err = fmt.Errorf("cluster: %w", inner) // memberlist wraps it in a list of one
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("cluster: join %s: %w", addr, ctx.Err())
	}
}

// jitter returns d ± 50 %, so that nodes do not act in step.
func (c *Cluster) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(c.cfg.Seams.Rand.Int64N(int64(d)))
}
