// snapshot.go writes all live records into one file, so that logs can go.

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"time"
)

// minLog is the size of logs below which a snapshot is not worth its syncs.
const minLog = 1 << 20

// WantsSnapshot reports whether Snapshot is due: because the logs are more than
// twice as long as what they stand for, or because something failed and only a
// snapshot surely has everything.
func (s *Store) WantsSnapshot() bool {
	return s.unsure || len(s.suspects) > 0 || s.logBytes > max(minLog, 2*s.live)
}

// Snapshot writes a file with all records and makes it what the next Open begins
// with. all must yield every live record, as new as in the last Append at least;
// it may use memory again after each one. If Snapshot fails the files of before
// still hold everything, and the next one tries again. It takes as long as
// writing and syncing all, once.
//
// The snapshot before this one and the logs since then are kept, in case this one
// cannot be read.
func (s *Store) Snapshot(all iter.Seq[Record]) error {
	if s.closed {
		return ErrClosed
	}
	size, err := s.snapshot(all)
	if s.snapErr = err; err != nil {
		s.unsure = true
		s.note(func(st *Stats) { st.Errors++ })
		return err
	}
	s.unsure, s.appendErr = false, nil
	s.live, s.logBytes = size, 0
	s.note(func(st *Stats) {
		st.Snapshots++
		st.Bytes += uint64(size)
		st.LastSync = time.Now()
	})
	s.quarantine()
	s.drop()
	return nil
}

func (s *Store) snapshot(all iter.Seq[Record]) (int64, error) {
	n := s.take()
	name := fileName(kindSnap, n)
	temp := name + endingTemp
	size, err := s.writeSnapshot(temp, s.header(n), all)
	if err != nil {
		s.remove(temp)
		return 0, fmt.Errorf("store: write a snapshot: %w", err)
	}
	// From here on the snapshot may count, whatever the error says, so nothing
	// more may go into a log with a lower number.
	s.retire()
	if err := s.cfg.FS.Rename(s.path(temp), s.path(name)); err != nil {
		s.remove(temp)
		return 0, fmt.Errorf("store: rename a snapshot: %w", err)
	}
	s.snaps = append(s.snaps, n)
	if err := s.cfg.FS.SyncDir(s.cfg.Dir); err != nil {
		return 0, fmt.Errorf("store: sync the directory: %w", err)
	}
	return size, nil
}

// writeSnapshot writes and syncs the file, and returns its size.
func (s *Store) writeSnapshot(name string, h header, all iter.Seq[Record]) (int64, error) {
	f, err := s.create(name)
	if err != nil {
		return 0, err
	}
	w, err := fill(f, h, all)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return w.size, err
}

func fill(f File, h header, all iter.Seq[Record]) (*writer, error) {
	w, total := newWriter(f, h), uint64(0)
	for r := range all {
		if len(r.Value) == 0 {
			continue
		}
		err := checkSize(r)
		if err == nil {
			err = w.add(r)
		}
		if err != nil {
			return w, err
		}
		total++
	}
	return w, w.end(total)
}

// quarantine renames bad files, now that all that was read of them is safe. What
// cannot be renamed is tried again.
func (s *Store) quarantine() {
	if len(s.suspects) == 0 {
		return
	}
	s.suspects = slices.DeleteFunc(s.suspects, func(name string) bool {
		err := s.cfg.FS.Rename(s.path(name), s.path(name+endingBad))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return true
		}
		s.cfg.Logger.Warn("bad file not renamed", "file", s.path(name), "err", err)
		return false
	})
	if err := s.cfg.FS.SyncDir(s.cfg.Dir); err != nil {
		s.cfg.Logger.Warn("bad files not renamed for good", "err", err)
	}
}

// drop removes what neither the newest snapshot nor the one before needs. Before
// the second snapshot the logs from the first on are the generation before.
// Snapshots go first and then the oldest logs, so a crash in between leaves none
// whose logs have a gap.
func (s *Store) drop() {
	if len(s.snaps) < 2 {
		return
	}
	oldest := s.snaps[len(s.snaps)-2]
	s.snaps = s.dropBelow(kindSnap, s.snaps, oldest)
	s.logs = s.dropBelow(kindLog, s.logs, oldest)
}

func (s *Store) dropBelow(kind string, numbers []uint64, oldest uint64) []uint64 {
	return slices.DeleteFunc(numbers, func(n uint64) bool {
		return n < oldest && s.remove(fileName(kind, n))
	})
}

// remove reports whether the file is gone. If not, it costs only space.
func (s *Store) remove(name string) bool {
	err := s.cfg.FS.Remove(s.path(name))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return true
	}
	s.cfg.Logger.Warn("file not removed", "file", s.path(name), "err", err)
	return false
}
