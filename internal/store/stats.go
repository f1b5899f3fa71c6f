package store

import (
	"cmp"
	"time"
)

// Stats are what an operator should know. Counts are since Open.
type Stats struct {
	Err      error     // why the last append or snapshot failed; nil: all is well
	LastSync time.Time // of the last append or snapshot that surely is on disk; zero: none yet

	LogBytes  int64 // in the logs since the newest snapshot
	LiveBytes int64 // of the live records, when they were last counted

	Appends   uint64 // that were acknowledged
	Snapshots uint64 // that were completed
	Bytes     uint64 // written by these
	Errors    uint64 // appends and snapshots that failed

	// What Open found.
	Restored    int       // live records
	Newest      time.Time // when the newest record was written; zero: there is none
	Torn        uint64    // logs whose torn end was cut, as after a crash
	Quarantined uint64    // files with damage, of a newer version or of another cluster
	Gaps        uint64    // stretches of bad batches in the middle of files
}

// Stats returns the counts. It is safe for concurrent use, and does not wait for
// the disk.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *Store) note(change func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
	s.stats.Err = cmp.Or(s.appendErr, s.snapErr)
	s.stats.LogBytes, s.stats.LiveBytes = s.logBytes, s.live
}
