// stats.go counts what becomes of items, and says so of panics.

package gubernatorapi

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
)

// Stats are figures of a Server, since it was made.
type Stats struct {
	// Bad counts items that were refused for what they say.
	Bad uint64
	// Full counts items for which their owner had no room.
	Full uint64
	// Unavailable counts items that nobody has decided, or whose caller was gone.
	Unavailable uint64
	// Panics counts items and HTTP calls that ended in a panic.
	Panics uint64
}

type counts struct {
	bad, full, unavailable, panics atomic.Uint64
	// logged is the Unix second of the last line about a panic. Any goroutine moves it on.
	logged atomic.Int64
}

// Stats returns the present figures. It takes no lock.
func (s *Server) Stats() Stats {
	return Stats{
		Bad: s.counts.bad.Load(), Full: s.counts.full.Load(),
		Unavailable: s.counts.unavailable.Load(), Panics: s.counts.panics.Load(),
	}
}

// A counter is a Limiter that wants to know what the values of a step mean.
type counter interface {
	Count(key string, d bucketring.Decision)
}

// panicked counts a panic and logs where it was, at most once a second. It shows only the
// runtime's own texts: any other might hold a key.
func (s *Server) panicked(value any) {
	s.counts.panics.Add(1)
	last, second := s.counts.logged.Load(), time.Now().Unix()
	if last == second || !s.counts.logged.CompareAndSwap(last, second) {
		return
	}
	text := fmt.Sprintf("a %T, its text is withheld", value)
	if err, ok := value.(runtime.Error); ok {
		text = err.Error()
	}
	s.cfg.Logger.Error("item panicked", slog.String("err", text), slog.String("stack", string(debug.Stack())))
}
