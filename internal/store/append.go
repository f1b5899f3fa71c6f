// append.go writes the log.

package store

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"time"
)

// Append writes records, the later ones of a key after the earlier. If it returns
// nil they are on disk: one write, and one sync unless the mode is SyncNever; a
// megabyte or more takes several writes. After an error any of them may be there
// or not, and the next Append tries again. A record that is too large fails the
// call before anything is written.
func (s *Store) Append(records []Record) error {
	if s.closed {
		return ErrClosed
	}
	for _, r := range records {
		if err := checkSize(r); err != nil {
			return err
		}
	}
	if len(records) == 0 {
		return nil
	}
	before := s.logBytes
	if s.appendErr = s.append(records); s.appendErr != nil {
		s.unsure = true
		s.note(func(st *Stats) { st.Errors++ })
		return s.appendErr
	}
	s.note(func(st *Stats) {
		st.Appends++
		st.Bytes += uint64(s.logBytes - before)
		if s.cfg.Sync != SyncNever {
			st.LastSync = time.Now()
		}
	})
	return nil
}

func checkSize(r Record) error {
	if n := len(r.Key) + len(r.Value); n > maxRecord {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, n, maxRecord)
	}
	return nil
}

func (s *Store) append(records []Record) error {
	if s.log != nil && s.good >= s.cfg.MaxLog {
		s.retire()
	}
	if s.log == nil {
		if err := s.beginLog(); err != nil {
			return fmt.Errorf("store: begin a log: %w", err)
		}
	}
	if err := s.writeLog(records); err != nil {
		s.takeBack(true)
		return fmt.Errorf("store: write a log: %w", err)
	}
	if s.cfg.Sync != SyncNever {
		if err := s.syncLog(); err != nil {
			s.takeBack(false)
			return fmt.Errorf("store: sync a log: %w", err)
		}
	}
	s.logBytes += s.log.size - s.good
	s.good = s.log.size
	return nil
}

// beginLog creates a log. Its header waits for the first batch.
func (s *Store) beginLog() error {
	n := s.take()
	f, err := s.create(fileName(kindLog, n))
	if err != nil {
		return err
	}
	s.log, s.good = newWriter(f, s.header(n)), 0
	s.logs = append(s.logs, n)
	return nil
}

func (s *Store) create(name string) (File, error) {
	return s.cfg.FS.OpenFile(s.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, filePerm)
}

func (s *Store) header(number uint64) header {
	var salt [8]byte
	_, _ = rand.Read(salt[:]) // never fails
	return header{number, s.cfg.Label, binary.LittleEndian.Uint64(salt[:])}
}

func (s *Store) writeLog(records []Record) error {
	for _, r := range records {
		if err := s.log.add(r); err != nil {
			return err
		}
	}
	return s.log.flush()
}

// syncLog syncs the log, and its name if it is new.
func (s *Store) syncLog() error {
	if err := s.log.f.Sync(); err != nil {
		return err
	}
	if s.good > 0 && s.cfg.Sync != SyncNever {
		return nil
	}
	return s.cfg.FS.SyncDir(s.cfg.Dir)
}

// takeBack cuts what a failed append left. The log goes on only after a failed
// write, as of a full disk: after a failed sync nobody knows what is on disk, so
// the next append begins a new one.
func (s *Store) takeBack(goOn bool) {
	if s.good == 0 {
		n := s.logs[len(s.logs)-1]
		s.retire()
		if s.remove(fileName(kindLog, n)) {
			s.logs = slices.Delete(s.logs, len(s.logs)-1, len(s.logs))
		}
		return
	}
	// If the cut fails, what is behind good is older than the next log, and the
	// snapshot that is due now makes all of it unneeded.
	if err := s.log.f.Truncate(s.good); err != nil || !goOn {
		s.retire()
		return
	}
	s.log.reset(s.good)
}

// retire closes the log.
func (s *Store) retire() {
	if s.log != nil {
		_ = s.log.f.Close() // what was acknowledged is synced, if it ever will be
		s.log = nil
	}
}
