package node

import (
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
)

// MoveStats are figures of what has moved between nodes since a node began.
type MoveStats struct {
	In, Out  int64         // counters that came, and that were given away
	Frozen   int64         // partitions that were frozen to be given away
	Longest  time.Duration // that one of them took
	TookOver time.Duration // until all partitions were here after the last change
	Copied   int64         // counters copied to the next owner, again after each change
	Uncopied int64         // counters of others that were not copied here for want of memory
	Acting   int64         // partitions that this node decides for a node that nobody hears
	Pauses   int64         // times that this node was paused and asked others
	Here     int           // partitions that are here
	Panics   int64         // messages of other nodes that ended in a panic, which cost that one
	Guarded  int           // partitions whose closed limits wait for a node that is missing
	Lag      time.Duration // since all that had changed was last copied; 0 for a node without others
}

// moverStats are the atomics behind MoveStats.
type moverStats struct {
	in, out, frozen, longest, took, copies, copiedAt, uncopied, acting, pauses, panics atomic.Int64
}

func (s *moverStats) froze(took time.Duration, state *bucket.State) {
	s.frozen.Add(1)
	if state != nil {
		s.out.Add(int64(len(state.Records)))
	}
	s.longest.Store(max(s.longest.Load(), int64(took))) // only run writes it
}

func (s *moverStats) received(states []*bucket.State) {
	for _, one := range states {
		if one != nil {
			s.in.Add(int64(len(one.Records)))
		}
	}
}

func (s *moverStats) tookOver(d time.Duration) { s.took.Store(int64(d)) }

func (s *moverStats) copied(records int) { s.copies.Add(int64(records)) }

func (m *mover) moveStats() MoveStats {
	s, here, guarded, lag := &m.stats, 0, 0, time.Duration(0)
	for p := range uint32(ring.Partitions) {
		if m.local.table.Here(p) {
			here++
		}
		if m.guard.closed[p].Load() {
			guarded++
		}
	}
	if at := s.copiedAt.Load(); at > 0 {
		lag = time.Duration(m.local.clock.now().Mono - at)
	}
	return MoveStats{
		In: s.in.Load(), Out: s.out.Load(), Frozen: s.frozen.Load(), Longest: time.Duration(s.longest.Load()),
		TookOver: time.Duration(s.took.Load()),
		Copied:   s.copies.Load(), Uncopied: s.uncopied.Load(), Acting: s.acting.Load(), Pauses: s.pauses.Load(), Here: here, Panics: s.panics.Load(), Guarded: guarded, Lag: lag,
	}
}
