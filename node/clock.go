// clock.go reads the clocks: once per call, and the wall clock only each second.

package node

import (
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring/bucket"
)

const (
	// largeStep is how far the wall clock may jump and be believed at once.
	largeStep = 250 * time.Millisecond
	// stepHold is how long a larger jump must last to be believed.
	stepHold = time.Minute
	// monoStart is the monotonic reading at the start of a node: what another one has
	// counted may have begun a year ago.
	monoStart = 400 * 24 * time.Hour
)

// A clock derives wall time from the monotonic clock, so that a call costs one
// reading and a stepped wall clock neither reopens nor ends a window for the
// minute in which someone may set it right.
type clock struct {
	base   time.Time
	read   func() time.Time // nil: the system's clocks
	offset atomic.Int64     // wall minus monotonic, ns; written by sample alone
	jumped int64            // the offset at the last sample, if it differed much
	since  int64            // when it first differed so, monotonic ns; 0 if it does not
	step   atomic.Int64     // by how much it differs, ns
}

func newClock(read, wall func() time.Time) *clock {
	now := time.Now()
	switch {
	case read != nil:
		now, wall = read(), read
	case wall == nil:
		wall = time.Now
	}
	c := &clock{base: now.Add(-monoStart), read: read}
	c.offset.Store(wall().UnixNano() - int64(monoStart))
	return c
}

func (c *clock) now() bucket.Now {
	if c.read != nil {
		now := c.read()
		return bucket.Now{Mono: int64(now.Sub(c.base)), Wall: now.UnixNano()}
	}
	mono := int64(time.Since(c.base))
	return bucket.Now{Mono: mono, Wall: mono + c.offset.Load()}
}

// at is a reading whose monotonic part is known.
func (c *clock) at(mono int64) bucket.Now {
	if c.read != nil {
		return bucket.Now{Mono: mono, Wall: c.base.UnixNano() + mono}
	}
	return bucket.Now{Mono: mono, Wall: mono + c.offset.Load()}
}

// sample follows the wall clock. One goroutine calls it, about once a second.
func (c *clock) sample(wall time.Time) {
	if c.read != nil {
		return
	}
	mono := int64(time.Since(c.base))
	offset := wall.UnixNano() - mono
	step := offset - c.offset.Load()
	if !large(step) {
		c.follow(offset)
		return
	}
	c.step.Store(step)
	if c.since == 0 || large(offset-c.jumped) { // another jump has a minute of its own
		c.since = max(mono, 1)
	}
	c.jumped = offset
	if mono-c.since >= int64(stepHold) {
		c.follow(offset)
	}
}

func (c *clock) follow(offset int64) {
	c.offset.Store(offset)
	c.step.Store(0)
	c.since = 0
}

func large(step int64) bool { return step <= -int64(largeStep) || step >= int64(largeStep) }
