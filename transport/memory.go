// memory.go remembers verdicts, so that a call that is sent again after a
// reconnect is answered again and not decided twice.

package transport

import (
	"sync"
	"time"

	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	// remembered is how many verdicts of a dialer are kept.
	remembered = 1024
	// keepMemory is how long a dialer without a link is remembered. Its calls
	// give up long before.
	keepMemory = time.Minute
	maxDialers = 1024
)

// A memory holds the last verdicts for one dialer. Ids count up, so whatever is
// not above the highest id was seen before. A dialer has one link at a time, but
// the old one may still be draining when the new one begins.
type memory struct {
	mu       sync.Mutex
	highest  uint64                      // guarded by mu
	verdicts [remembered]*peerpb.Verdict // by id; guarded by mu
	used     time.Time                   // of the last frame; guarded by mu
}

// remember returns the memory of a dialer. It forgets those long gone, and of too
// many the one that is quiet for longest.
func (s *PeerServer) remember(d dialer) *memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	m := s.memory[d]
	if m == nil {
		s.forget(now)
		m = &memory{}
		s.memory[d] = m
	}
	m.touch(now)
	return m
}

// forget makes room for one more dialer. s.mu is held.
func (s *PeerServer) forget(now time.Time) {
	var oldest dialer
	longest := time.Duration(-1)
	for d, m := range s.memory {
		quiet := now.Sub(m.lastUsed())
		if quiet > keepMemory {
			delete(s.memory, d)
		} else if quiet > longest {
			oldest, longest = d, quiet
		}
	}
	if len(s.memory) >= maxDialers {
		delete(s.memory, oldest)
	}
}

func (m *memory) lastUsed() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

func (m *memory) touch(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = now
}

func (m *memory) last() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.highest
}

// recall returns the verdict of a call that was seen before. One that is no
// longer known, or is being decided on the old link, is UNKNOWN.
func (m *memory) recall(id uint64) (v *peerpb.Verdict, seen bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id > m.highest {
		m.highest = id // from here on this call counts as seen
		return nil, false
	}
	if v := m.verdicts[id%remembered]; v != nil && v.GetId() == id {
		return v, true
	}
	return &peerpb.Verdict{Id: id, Code: peerpb.Verdict_UNKNOWN}, true
}

func (m *memory) store(v *peerpb.Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := v.GetId() % remembered; m.verdicts[at].GetId() <= v.GetId() { // a call that was parked may come late
		m.verdicts[at] = v
	}
}
