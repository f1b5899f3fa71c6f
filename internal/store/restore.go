// restore.go makes of the files in the directory the records that live.

package store

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"
)

// Endings of names.
const (
	endingTemp = ".tmp" // a snapshot that is being written
	endingBad  = ".bad" // a file that was put aside
)

// restore applies the newest whole snapshot and then, by number, all logs since.
// Snapshots that turned out bad are applied at their place among the logs: what is
// whole in them is never older than what came before.
func (s *Store) restore() ([]Record, error) {
	if err := s.list(); err != nil {
		return nil, err
	}
	snaps, oldest, err := s.readSnapshots()
	if err != nil {
		return nil, err
	}
	logs := slices.Clone(s.logs)
	var t table
	for _, n := range merge(slices.Collect(maps.Keys(snaps)), logs, oldest) {
		if c, ok := snaps[n]; ok {
			t.apply(c)
		}
		if _, ok := slices.BinarySearch(logs, n); !ok {
			continue
		}
		c, err := s.readLog(n, n == logs[len(logs)-1])
		if err != nil {
			return nil, err
		}
		s.logBytes += c.good
		t.apply(c)
	}
	records := t.live()
	for _, r := range records {
		s.live += int64(recordSize(r))
	}
	s.note(func(st *Stats) {
		st.Restored = len(records)
		if t.newest > 0 {
			st.Newest = time.UnixMilli(t.newest)
		}
	})
	s.tidy(records)
	return records, nil
}

// tidy puts bad files aside, after a snapshot of what was read of them. If that
// fails they stay, and say the same at the next Open.
func (s *Store) tidy(records []Record) {
	if len(s.suspects) == 0 {
		s.drop()
		return
	}
	if err := s.Snapshot(slices.Values(records)); err != nil {
		s.cfg.Logger.Warn("no snapshot after damage", "err", err)
	}
}

// list finds the files, and removes snapshots that were not completed.
func (s *Store) list() error {
	names, err := s.cfg.FS.ReadDir(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("store: list %s: %w", s.cfg.Dir, err)
	}
	for _, name := range names {
		kind, n, ending, ok := parseName(name)
		if !ok {
			continue
		}
		s.next = max(s.next, n+1)
		switch {
		case "."+ending == endingTemp:
			s.remove(name)
		case ending != "":
		case kind == kindSnap:
			s.snaps = append(s.snaps, n)
		default:
			s.logs = append(s.logs, n)
		}
	}
	slices.Sort(s.snaps)
	slices.Sort(s.logs)
	return nil
}

// readSnapshots reads from the newest snapshot back to the first whole one. It
// returns what they hold, and the number with which to begin.
func (s *Store) readSnapshots() (snaps map[uint64]contents, oldest uint64, err error) {
	snaps = make(map[uint64]contents)
	for i := len(s.snaps) - 1; i >= 0; i-- {
		n := s.snaps[i]
		c, err := s.read(kindSnap, n)
		if err != nil {
			return nil, 0, err
		}
		snaps[n] = c
		if c.ended {
			return snaps, n, nil
		}
		s.suspect(kindSnap, n, &c)
		s.snaps = slices.Delete(s.snaps, i, i+1)
	}
	return snaps, 0, nil
}

// readLog reads a log. If it is the last one, a torn end is cut: that append was
// not acknowledged.
func (s *Store) readLog(n uint64, last bool) (contents, error) {
	c, err := s.read(kindLog, n)
	if err != nil || c.whole() {
		return c, err
	}
	if last && c.torn() {
		if err := s.cut(n, c.good); err == nil {
			s.cfg.Logger.Warn("torn end of a log cut", "file", s.path(fileName(kindLog, n)), "bytes", c.size-c.good)
			s.note(func(st *Stats) { st.Torn++ })
			return c, nil
		}
	}
	s.suspect(kindLog, n, &c)
	s.logs = slices.DeleteFunc(s.logs, func(m uint64) bool { return m == n })
	return c, nil
}

// cut shortens the log to good bytes, or removes it if not even its header is
// there.
func (s *Store) cut(n uint64, good int64) error {
	path := s.path(fileName(kindLog, n))
	if good == 0 {
		err := s.cfg.FS.Remove(path)
		if err == nil {
			s.logs = s.logs[:len(s.logs)-1]
		}
		return err
	}
	f, err := s.cfg.FS.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err = f.Truncate(good); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// read reads a file. That it cannot be opened is an error: it may be whole.
func (s *Store) read(kind string, n uint64) (contents, error) {
	path := s.path(fileName(kind, n))
	f, err := s.cfg.FS.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return contents{}, fmt.Errorf("store: read %s: %w", path, err)
	}
	c := read(f, n, s.cfg.Label)
	_ = f.Close() // nothing was written
	return c, nil
}

// suspect marks a file as bad.
func (s *Store) suspect(kind string, n uint64, c *contents) {
	name := fileName(kind, n)
	s.suspects = append(s.suspects, name)
	s.cfg.Logger.Warn("bad file", "file", s.path(name), "err", c.damage(), "records", len(c.records))
	s.note(func(st *Stats) {
		st.Quarantined++
		st.Gaps += uint64(c.gaps)
	})
}

// merge returns the numbers from oldest on, in order.
func merge(a, b []uint64, oldest uint64) []uint64 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(n uint64) bool { return n < oldest })
}

// A table has the newest record of each key, in the order in which the keys came.
type table struct {
	records []Record
	index   map[string]int
	newest  int64 // unix ms
}

func (t *table) apply(c contents) {
	if t.index == nil {
		t.index = make(map[string]int, len(c.records))
	}
	t.newest = max(t.newest, c.newest)
	for _, r := range c.records {
		i, ok := t.index[string(r.Key)]
		if !ok {
			t.index[string(r.Key)] = len(t.records)
			t.records = append(t.records, r)
			continue
		}
		t.records[i] = r
	}
}

// live returns the records that have a value.
func (t *table) live() []Record {
	return slices.DeleteFunc(t.records, func(r Record) bool { return len(r.Value) == 0 })
}
