// stats.go counts what happens, and says so of panics.

package resp

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// Stats are figures of a Server. All but Connections count since it was made.
type Stats struct {
	// Connections are those being served now.
	Connections int
	// Commands counts commands, those with an error too, shortly after they came.
	Commands uint64
	// ProtocolErrors counts connections that ended because of what they sent.
	ProtocolErrors uint64
	// Panics counts commands that ended in a panic.
	Panics uint64
}

// Stats returns the present figures.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	connections := len(s.conns)
	s.mu.Unlock()
	return Stats{
		Connections:    connections,
		Commands:       s.counts.commands.Load(),
		ProtocolErrors: s.counts.protocolErrors.Load(),
		Panics:         s.counts.panics.Load(),
	}
}

// panicked counts a panic and logs where it was, at most once a second. It shows only
// the runtime's own texts: any other might hold a key.
func (s *Server) panicked(v any) {
	s.counts.panics.Add(1)
	last, second := s.logged.Load(), time.Now().Unix()
	if last == second || !s.logged.CompareAndSwap(last, second) {
		return
	}
	text := fmt.Sprintf("a %T, its text is withheld", v)
	if err, ok := v.(runtime.Error); ok {
		text = err.Error()
	}
	s.cfg.Logger.Error("command panicked", "err", text, "stack", string(debug.Stack()))
}
