// silence.go notices peers that do not answer, soon where somebody needs them and cheaply
// where nobody does.

package transport

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
)

const (
	// pingEvery is how often a link says something, pingAtRest one of a node at rest that
	// nobody has used for restAfter: idle machines would do nothing else.
	pingEvery  = 50 * time.Millisecond
	pingAtRest = time.Second
	restAfter  = time.Second
	// stall is how late watch may be before this node takes the silence for its
	// own: it was paused, or starved, and has not read what came.
	stall = 2 * pingEvery
	// sureSilence is how much longer than Silence a peer must be silent before others act
	// for it: by then it does not trust itself any more.
	sureSilence = 20 * time.Millisecond
)

// DefaultSilence is how long the peer on a link in use may say nothing before calls to it
// fail at once. Frames come every 50 ms, so several were lost.
const DefaultSilence = 300 * time.Millisecond

// A silence is what a link knows of its peer's. Its times are readings of the peer's clock
// for links, in ns.
type silence struct {
	heard   atomic.Int64  // at the last frame received
	asked   atomic.Int64  // at the first frame sent since; 0 for none
	watched atomic.Int64  // when watch last looked
	used    atomic.Int64  // when something was last to be sent
	rest    *atomic.Bool  // nothing happens on this node
	stirred chan struct{} // one slot: the rest is over
}

// fresh is a new link.
func (s *silence) fresh(now int64) {
	s.hear(now)
	s.watched.Store(now)
	s.used.Store(now)
}

// hear notes that a frame came: every frame is answered.
func (s *silence) hear(now int64) {
	s.heard.Store(now)
	s.asked.Store(0)
}

// ask notes that a frame is being sent.
func (s *silence) ask(now int64) {
	if s.asked.Load() == 0 {
		s.asked.Store(now)
	}
}

// resting reports whether nobody needs the link at present.
func (s *silence) resting(now int64) bool {
	return s.rest.Load() && now-s.used.Load() > int64(restAfter)
}

// interval is how often pings go out.
func (s *silence) interval(now int64) time.Duration {
	if s.resting(now) {
		return pingAtRest
	}
	return pingEvery
}

// isSilent reports whether the peer owes an answer for so long, and not because this node
// did not listen.
func (s *silence) isSilent(now int64, most time.Duration) bool {
	asked := s.asked.Load()
	return asked != 0 && now-asked > int64(most) && now-s.watched.Load() < int64(s.interval(now)+stall)
}

// look notes that this node listens. If it was to do so long ago, it was paused or starved:
// the peer gets a moment to be read before it counts as silent.
func (s *silence) look(now int64, every time.Duration) {
	asked := s.asked.Load()
	if late := now-s.watched.Swap(now) > int64(every+stall); late && asked != 0 {
		s.asked.CompareAndSwap(asked, now)
	}
}

// stir ends the rest of a link that somebody needs.
func (p *peer) stir() {
	now := p.now()
	if p.resting(now) {
		p.look(now, pingAtRest)
		p.used.Store(now)
		p.wakeWatch()
		return
	}
	p.used.Store(now)
}

func (p *peer) wakeWatch() {
	select {
	case p.stirred <- struct{}{}:
	default:
	}
}

// Rest says whether nothing happens on this node. Then the links, too, say little.
func (p *Pool) Rest(is bool) {
	if p.rest.Swap(is) == is || is {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, peer := range p.peers {
		peer.look(peer.now(), pingAtRest)
		peer.wakeWatch()
		peer.notify()
	}
}

// away returns an error if the peer is known not to answer.
func (p *peer) away() error {
	switch linkState(p.state.Load()) {
	case refused:
		return fmt.Errorf("%w: connection refused or broken", bucketring.ErrUnavailable)
	case closed:
		return fmt.Errorf("%w: link closed", bucketring.ErrUnavailable)
	case linked:
		if p.isSilent(p.now(), p.cfg.Silence-pingEvery) { // in all Silence since it was last heard
			return fmt.Errorf("%w: link is silent", bucketring.ErrUnavailable)
		}
	}
	return nil
}

// watch looks at the clock every so often.
func (p *peer) watch(ctx context.Context) {
	every := pingEvery
	look := time.NewTimer(untilNext(every))
	defer look.Stop()
	for {
		now := p.now()
		p.look(now, every)
		every = p.interval(now)
		select {
		case <-ctx.Done():
			return
		case <-p.stirred:
			every = pingEvery
			look.Reset(untilNext(every))
		case <-look.C:
			look.Reset(untilNext(every))
		}
	}
}

// untilNext is the time to the next multiple of d. What happens at such moments wakes a
// resting process once for all.
func untilNext(d time.Duration) time.Duration { return d - time.Duration(time.Now().UnixNano())%d }
