package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/internal/store"
)

const label = 0xb0c4e7

// A state is what a store holds.
type state map[string]string

// records are in the order of the keys.
func (m state) records() (out []store.Record) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, rec(k, m[k]))
	}
	return out
}

// apply returns m with records written to it.
func (m state) apply(records ...store.Record) state {
	m = maps.Clone(m)
	if m == nil {
		m = state{}
	}
	for _, r := range records {
		if m[string(r.Key)] = string(r.Value); len(r.Value) == 0 {
			delete(m, string(r.Key))
		}
	}
	return m
}

func rec(key, value string) store.Record { return store.Record{Key: []byte(key), Value: []byte(value)} }

func config(d *disk) store.Config { return store.Config{Dir: "/data", Label: label, FS: d} }

// open fails if a key comes twice.
func open(t testing.TB, cfg store.Config) (*store.Store, state) {
	t.Helper()
	s, records, err := store.Open(cfg)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	m := state{}
	for _, r := range records {
		if _, twice := m[string(r.Key)]; twice || len(r.Value) == 0 {
			t.Fatalf("Open returned %q = %q, which comes twice or has no value", r.Key, r.Value)
		}
		m[string(r.Key)] = string(r.Value)
	}
	return s, m
}

// reopen returns what a start after a crash of the process finds.
func reopen(t testing.TB, d *disk) (state, store.Stats) {
	t.Helper()
	d.locked, d.hook = false, nil
	s, m := open(t, config(d))
	stats := s.Stats()
	if err := s.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	return m, stats
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t testing.TB, what string, got, want state) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Fatalf("%s (-want +got):\n%s", what, cmp.Diff(want, got))
	}
}

func TestRoundTripOnDisk(t *testing.T) {
	cfg := store.Config{Dir: filepath.Join(t.TempDir(), "a", "data"), Label: label}
	s, got := open(t, cfg)
	equal(t, "new directory", got, state{})
	want := state{"": "the empty key", "a": "1", "b": "\x00\xff"}
	must(t, s.Append(want.records()))
	must(t, s.Append(nil))
	must(t, s.Close())
	s, got = open(t, cfg)
	equal(t, "after an append", got, want)
	must(t, s.Snapshot(slices.Values(want.records())))
	want = want.apply(rec("a", "2"), rec("b", ""), rec("c", "3"))
	must(t, s.Append([]store.Record{rec("a", "2"), rec("b", ""), rec("c", "3")}))
	must(t, s.Close())
	s, got = open(t, cfg)
	equal(t, "after a snapshot and an append", got, want)
	if st := s.Stats(); st.Restored != 3 || time.Since(st.Newest) > time.Minute || st.LogBytes == 0 || st.LiveBytes == 0 {
		t.Errorf("Stats = %+v, want 3 records from just now", st)
	}
	for range 3 {
		must(t, s.Append(want.records()))
		must(t, s.Snapshot(slices.Values(want.records())))
	}
	must(t, s.Close())
	s, got = open(t, cfg)
	equal(t, "after three snapshots", got, want)
	must(t, s.Close())
	if files, err := filepath.Glob(filepath.Join(cfg.Dir, "*-*")); err != nil || len(files) != 3 {
		t.Errorf("files are %v, %v, want two snapshots and a log", files, err)
	}

	info, err := os.Stat(cfg.Dir)
	must(t, err)
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("the directory has mode %o, want 700", got)
	}
	must(t, filepath.WalkDir(cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", path, info.Mode().Perm())
		}
		return err
	}))
}

func TestLock(t *testing.T) {
	cfg := store.Config{Dir: t.TempDir()}
	s, _ := open(t, cfg)
	if _, _, err := store.Open(cfg); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), cfg.Dir) {
		t.Errorf("Open of a directory in use = %v, want ErrLocked and the directory's name", err)
	}
	must(t, s.Close())
	must(t, s.Close())
	s, _ = open(t, cfg)
	must(t, s.Close())
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{"", file, filepath.Join(file, "below")} {
		if _, _, err := store.Open(store.Config{Dir: dir}); err == nil {
			t.Errorf("Open(%q) = nil, want an error", dir)
		}
	}
	// A file that cannot be opened may be whole: nothing may be made of it.
	d := newDisk()
	s, _ := open(t, config(d))
	must(t, s.Append([]store.Record{rec("a", "1")}))
	must(t, s.Close())
	d.hook = func(op, name string) fault { return fault{err: failOn(op == "open", fs.ErrPermission)} }
	if _, _, err := store.Open(config(d)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Open without permission for a log = %v, want that error", err)
	}
	got, _ := reopen(t, d)
	equal(t, "with permission again", got, state{"a": "1"})
}

// TestNewDirectory: a power cut does not take the directory with it.
func TestNewDirectory(t *testing.T) {
	d := newDisk()
	d.exists = false
	s, _ := open(t, config(d))
	must(t, s.Close())
	if got := strings.Join(d.ops[:4], ","); got != "readdir .,mkdir .,syncdir .,lock LOCK" {
		t.Errorf("a new directory took %s, want a sync of its name", got)
	}
	d.exists = false
	d.hook = func(op, _ string) fault { return fault{err: failOn(op == "mkdir", syscall.EROFS)} }
	if _, _, err := store.Open(config(d)); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Open where no directory can be made = %v, want EROFS", err)
	}
}

func failOn(when bool, err error) error {
	if when {
		return err
	}
	return nil
}

func TestClosed(t *testing.T) {
	s, _ := open(t, config(newDisk()))
	must(t, s.Close())
	if err := s.Append([]store.Record{rec("a", "1")}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Append = %v, want ErrClosed", err)
	}
	if err := s.Snapshot(slices.Values([]store.Record(nil))); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Snapshot = %v, want ErrClosed", err)
	}
}

func TestLastWriteWins(t *testing.T) {
	d := newDisk()
	s, _ := open(t, config(d))
	must(t, s.Append([]store.Record{rec("a", "1"), rec("a", "2"), rec("b", "1"), rec("c", "1")}))
	must(t, s.Append([]store.Record{rec("b", "2"), rec("c", ""), rec("d", ""), rec("e", "1"), rec("e", "")}))
	must(t, s.Close())
	s, _ = open(t, config(d)) // another log
	must(t, s.Append([]store.Record{rec("e", "2")}))
	must(t, s.Close())
	got, _ := reopen(t, d)
	equal(t, "three appends", got, state{"a": "2", "b": "2", "e": "2"})
}

// TestSnapshotIsAll: what a snapshot leaves out is gone, and its records may share
// memory and be empty.
func TestSnapshotIsAll(t *testing.T) {
	d := newDisk()
	s, _ := open(t, config(d))
	must(t, s.Append([]store.Record{rec("gone", "1"), rec("deleted", "1"), rec("stays", "1")}))
	must(t, s.Snapshot(func(yield func(store.Record) bool) {
		var r store.Record
		for _, kv := range [][2]string{{"deleted", ""}, {"stays", "2"}, {"new", "3"}} {
			r.Key, r.Value = append(r.Key[:0], kv[0]...), append(r.Value[:0], kv[1]...)
			if !yield(r) {
				return
			}
		}
	}))
	got, _ := reopen(t, d)
	equal(t, "after a snapshot", got, state{"stays": "2", "new": "3"})
}

func TestOneWriteAndOneSync(t *testing.T) {
	for mode, want := range map[store.SyncMode]string{
		store.SyncInterval: "write,sync", store.SyncAlways: "write,sync", store.SyncNever: "write",
	} {
		d := newDisk()
		cfg := config(d)
		cfg.Sync = mode
		s, _ := open(t, cfg)
		must(t, s.Append(many(1000, 60)))
		d.ops = nil
		must(t, s.Append(many(1000, 60)))
		var ops []string
		for _, op := range d.ops {
			op, _, _ = strings.Cut(op, " ")
			ops = append(ops, op)
		}
		if got := strings.Join(ops, ","); got != want {
			t.Errorf("mode %d: an append did %s, want %s", mode, got, want)
		}
		if synced := !s.Stats().LastSync.IsZero(); synced != (mode != store.SyncNever) {
			t.Errorf("mode %d: LastSync is set: %v", mode, synced)
		}
		d.ops = nil
		must(t, s.Close())
		if got := slices.ContainsFunc(d.ops, func(op string) bool { return strings.HasPrefix(op, "sync") }); got != (mode == store.SyncNever) {
			t.Errorf("mode %d: Close synced: %v", mode, got)
		}
	}
}

// many are records of size bytes, with different keys.
func many(n, size int) []store.Record {
	records := make([]store.Record, n)
	for i := range records {
		key := fmt.Sprintf("key:%08d", i)
		records[i] = store.Record{Key: []byte(key), Value: bytes.Repeat([]byte{byte(i) | 1}, size-len(key))}
	}
	return records
}

func TestLargeAppend(t *testing.T) {
	d := newDisk()
	s, _ := open(t, config(d))
	records := append(many(3000, 1500), rec("large", strings.Repeat("x", store.MaxRecord-5)))
	must(t, s.Append(records))
	if err := s.Append([]store.Record{rec("ok", "1"), rec("larger", strings.Repeat("x", store.MaxRecord))}); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Append of a larger record = %v, want ErrTooLarge", err)
	}
	must(t, s.Append([]store.Record{rec("after", "1")}))
	got, stats := reopen(t, d)
	equal(t, "large append", got, state{}.apply(records...).apply(rec("after", "1")))
	if stats.Quarantined != 0 || stats.Torn != 0 {
		t.Errorf("stats = %+v, want no damage", stats)
	}
	s, _ = open(t, config(d))
	must(t, s.Snapshot(slices.Values(records)))
	got, _ = reopen(t, d)
	equal(t, "large snapshot", got, state{}.apply(records...))
}

func TestLogsEnd(t *testing.T) {
	d := newDisk()
	cfg := config(d)
	cfg.MaxLog = 300
	s, _ := open(t, cfg)
	want := state{}
	for i := range 20 {
		r := rec(fmt.Sprint("key ", i), strings.Repeat("v", 50))
		must(t, s.Append([]store.Record{r}))
		want = want.apply(r)
	}
	if names := d.names(); len(names) != 5 {
		t.Errorf("20 appends of 78 bytes made %v, want 5 logs of 4 appends", names)
	}
	got, _ := reopen(t, d)
	equal(t, "many logs", got, want)
}

func TestTwoGenerations(t *testing.T) {
	d := newDisk()
	s, _ := open(t, config(d))
	all := state{}
	for i, want := range []string{
		"log-00000001 snap-00000002",
		"log-00000003 snap-00000002 snap-00000004",
		"log-00000005 snap-00000004 snap-00000006",
		"log-00000007 snap-00000006 snap-00000008",
	} {
		r := rec(fmt.Sprint("key ", i), "1")
		all = all.apply(r)
		must(t, s.Append([]store.Record{r}))
		must(t, s.Snapshot(slices.Values(all.records())))
		if got := strings.Join(d.names(), " "); got != want {
			t.Errorf("after snapshot %d the files are %s, want %s", i+1, got, want)
		}
	}
	got, _ := reopen(t, d)
	equal(t, "four snapshots", got, all)
}

func TestWantsSnapshot(t *testing.T) {
	d := newDisk()
	s, _ := open(t, config(d))
	records, appends := many(10000, 100), 0 // a megabyte
	for want := []bool{false, true}; appends < len(want); appends++ {
		if got := s.WantsSnapshot(); got != want[appends] {
			t.Fatalf("after %d appends WantsSnapshot = %v", appends, got)
		}
		must(t, s.Append(records))
		must(t, s.Append(records[:1000]))
	}
	must(t, s.Snapshot(slices.Values(records)))
	for range 2 {
		must(t, s.Append(records))
		if s.WantsSnapshot() {
			t.Fatal("WantsSnapshot with a log of twice the live bytes, want it with more")
		}
	}
	must(t, s.Close())
	s, _ = open(t, config(d))
	if s.WantsSnapshot() {
		t.Fatal("WantsSnapshot after a start, want the same as before it")
	}
	must(t, s.Append(records))
	must(t, s.Append(records[:3000]))
	if !s.WantsSnapshot() {
		t.Errorf("no WantsSnapshot with a log of %d and %d live bytes", s.Stats().LogBytes, s.Stats().LiveBytes)
	}
}

// TestStatsDoNotWait: while a sync hangs, Stats answer and only the caller of
// Append waits.
func TestStatsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		s, _ := open(t, config(d))
		d.hook = func(op, _ string) fault {
			if op == "sync" {
				time.Sleep(2 * time.Second)
			}
			return fault{}
		}
		done := make(chan error)
		go func() { done <- s.Append([]store.Record{rec("a", "1")}) }()
		time.Sleep(time.Second)
		if got := s.Stats(); got.Appends != 0 || got.Err != nil {
			t.Errorf("Stats during a slow sync = %+v, want no append and no error", got)
		}
		must(t, <-done)
		if got := s.Stats(); got.Appends != 1 || got.Bytes == 0 || got.LogBytes != int64(got.Bytes) {
			t.Errorf("Stats after it = %+v, want one append", got)
		}
		must(t, s.Close())
	})
}
