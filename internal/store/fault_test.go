// fault_test.go lets operations fail, one by one and all together.

package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bucketring/bucketring/internal/store"
)

// faults are all ways in which one operation can fail.
var faults = map[string]fault{
	"EIO":             {err: syscall.EIO},
	"ENOSPC":          {err: syscall.ENOSPC},
	"short":           {err: errShort},
	"EIO, but done":   {err: syscall.EIO, done: true},
	"EINTR, but done": {err: syscall.EINTR, done: true},
}

// damaged is the disk with which the scenario begins: Open has a bad snapshot, a
// bad log and a torn end to deal with.
func damaged(t testing.TB) (*disk, state) {
	p := newPast(t)
	p.disk.files[newest].data[store.HeaderSize+9] ^= 1
	p.disk.files[middle].data[p.logs[middle][1].from+9] ^= 1
	p.disk.files[last].data = append(p.disk.files[last].data, "torn"...)
	d := p.disk.clone()
	got, stats := reopen(t, d.clone())
	if stats.Quarantined != 2 || stats.Torn != 1 {
		t.Fatalf("stats = %+v, want 2 bad files and one torn end", stats)
	}
	return d, got
}

// scenario uses every operation of a store. It reports false if the store could not
// be opened.
func scenario(t testing.TB, d *disk, l *ledger) (*store.Store, bool) {
	t.Helper()
	cfg := config(d)
	cfg.MaxLog = 200
	s, records, err := store.Open(cfg)
	if err != nil {
		return nil, false
	}
	l.check(t, "Open", state{}.apply(records...))
	for round := range 3 {
		for i := range 4 {
			_ = l.append(s, rec("every", fmt.Sprint("new ", round, i)), rec(fmt.Sprint("new ", round), fmt.Sprint(i)),
				rec(fmt.Sprint("gone ", round, i-1), ""), rec(fmt.Sprint("gone ", round, i), "1"))
		}
		_ = l.snapshot(s)
	}
	_ = l.append(s, rec("every", "last"))
	return s, true
}

// TestEveryFault lets each operation of the scenario fail in each way. Nothing that
// was acknowledged is lost, now or after a power cut, and the store gets well.
func TestEveryFault(t *testing.T) {
	start, had := damaged(t)
	d := start.clone()
	if _, ok := scenario(t, d, newLedger(had)); !ok {
		t.Fatal("the scenario fails without faults")
	}
	ops := d.ops
	for what, f := range faults {
		for k, op := range ops {
			if f.err == errShort && !strings.HasPrefix(op, "write") || strings.HasPrefix(op, "read ") {
				continue // TestUnreadable is about reads
			}
			d, l, n := start.clone(), newLedger(had), 0
			d.hook = func(string, string) fault {
				if n++; n == k+1 {
					return f
				}
				return fault{}
			}
			at := fmt.Sprintf("%s of operation %d, %s", what, k, op)
			s, ok := scenario(t, d, l)
			if ok {
				well(t, at, s, l)
			}
			after, _ := reopen(t, d.clone())
			l.check(t, at, after)
			d.cut(rand.New(rand.NewPCG(uint64(k), 1)))
			after, _ = reopen(t, d)
			l.check(t, at+", and a power cut", after)
		}
	}
	t.Logf("%d operations", len(ops))
}

// well fails unless the store works, and is done with what failed.
func well(t testing.TB, at string, s *store.Store, l *ledger) {
	t.Helper()
	if err := l.append(s, rec("well", "1")); err != nil {
		t.Fatalf("%s: Append later = %v", at, err)
	}
	if s.WantsSnapshot() {
		if err := l.snapshot(s); err != nil {
			t.Fatalf("%s: Snapshot later = %v", at, err)
		}
	}
	if st := s.Stats(); st.Err != nil || s.WantsSnapshot() {
		t.Fatalf("%s: %+v, wants a snapshot: %v; want all to be well", at, st, s.WantsSnapshot())
	}
}

// TestEveryCrash stops the scenario at each operation, by the end of the process
// and by a power cut.
func TestEveryCrash(t *testing.T) {
	start, had := damaged(t)
	d := start.clone()
	scenario(t, d, newLedger(had))
	for k, op := range d.ops {
		for seed := range uint64(8) {
			d, l, n := start.clone(), newLedger(had), 0
			d.hook = func(op, _ string) fault {
				n++
				return fault{err: failOn(n > k && op != "read", syscall.EIO), done: n == k+1 && seed%2 == 0}
			}
			scenario(t, d, l)
			at := fmt.Sprintf("crash at operation %d, %s, seed %d", k, op, seed)
			got, _ := reopen(t, d.clone())
			l.check(t, at, got)
			d.cut(rand.New(rand.NewPCG(uint64(k), seed)))
			got, _ = reopen(t, d)
			l.check(t, at+", power cut", got)
		}
	}
}

// TestFullDisk: appends fail while there is no space, nothing piles up, the files
// stay readable, and all is well when there is space again.
func TestFullDisk(t *testing.T) {
	for _, free := range []int{1, 30, 50, 60, 200} {
		d, l := newDisk(), newLedger(state{})
		s, _ := open(t, config(d))
		must(t, l.append(s, rec("a", "1"), rec("b", "1")))
		must(t, l.snapshot(s))
		must(t, l.append(s, rec("a", "2")))
		d.space = d.used() + free
		failed, files := 0, len(d.names())
		for i := range 100 {
			err := l.append(s, rec("a", fmt.Sprint("full ", i)), rec(fmt.Sprint("full ", i), "1"))
			if err != nil {
				failed++
			}
			if err != nil && (!errors.Is(err, syscall.ENOSPC) || !errors.Is(s.Stats().Err, syscall.ENOSPC)) {
				t.Fatalf("Append on a full disk = %v, Stats.Err = %v, want ENOSPC", err, s.Stats().Err)
			}
			if i%10 == 9 {
				if err := l.snapshot(s); !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("Snapshot on a full disk = %v, want ENOSPC", err)
				}
			}
			full := d.clone()
			full.space = d.space
			got, stats := reopen(t, full)
			l.check(t, "full", got)
			if stats.Quarantined != 0 {
				t.Fatalf("full: %+v, want no bad files", stats)
			}
		}
		if now := len(d.names()); failed < 80 || now > files {
			t.Fatalf("%d of 100 appends failed, %d files before and %d after; want 80 at least and no more files", failed, files, now)
		}
		if st := s.Stats(); st.Errors != uint64(failed+10) {
			t.Errorf("Stats.Errors = %d, want %d", st.Errors, failed+10)
		}
		d.space = 0
		well(t, "space again", s, l)
		got, stats := reopen(t, d)
		equal(t, "space again", got, l.mem)
		if stats.Quarantined != 0 || stats.Torn != 0 {
			t.Errorf("space again: %+v, want no damage", stats)
		}
	}
}

// TestFailingSync: while syncs fail, nothing is acknowledged and no log stays. What
// a failed sync gave up is not taken for written by a later one.
func TestFailingSync(t *testing.T) {
	d, l := newDisk(), newLedger(state{})
	s, _ := open(t, config(d))
	must(t, l.append(s, rec("a", "1")))
	d.hook = func(op, _ string) fault { return fault{err: failOn(op == "sync", syscall.EIO)} }
	for i := range 20 {
		if err := l.append(s, rec("a", fmt.Sprint("lost ", i))); !errors.Is(err, syscall.EIO) {
			t.Fatalf("Append = %v, want EIO", err)
		}
		if err := l.snapshot(s); !errors.Is(err, syscall.EIO) {
			t.Fatalf("Snapshot = %v, want EIO", err)
		}
	}
	if names := strings.Join(d.names(), " "); names != "log-00000001" {
		t.Errorf("files are %s, want the first log", names)
	}
	d.hook = nil
	must(t, l.append(s, rec("b", "1")))
	if names := strings.Join(d.names(), " "); names == "log-00000001" {
		t.Error("the log goes on after a failed sync, want another one")
	}
	d.cut(rand.New(rand.NewPCG(1, 1)))
	got, _ := reopen(t, d)
	l.check(t, "syncs that failed", got)
}

// TestErrorIsOver: after an error a snapshot is due, and nothing more.
func TestErrorIsOver(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "syncdir"} {
		d, l := newDisk(), newLedger(state{})
		s, _ := open(t, config(d))
		d.hook = func(o, _ string) fault { return fault{err: failOn(o == op, syscall.EIO)} }
		if err := l.append(s, rec("a", "1")); !errors.Is(err, syscall.EIO) || !errors.Is(s.Stats().Err, syscall.EIO) {
			t.Fatalf("%s fails: Append = %v, Stats.Err = %v, want EIO", op, err, s.Stats().Err)
		}
		d.hook = nil
		if !s.WantsSnapshot() {
			t.Errorf("%s failed: no WantsSnapshot", op)
		}
		must(t, l.snapshot(s))
		if st := s.Stats(); st.Err != nil || st.Errors != 1 || s.WantsSnapshot() {
			t.Errorf("%s failed, after a snapshot: %+v, wants another: %v", op, st, s.WantsSnapshot())
		}
		if names := strings.Join(d.names(), " "); strings.Contains(names, "log") || !strings.Contains(names, "snap") {
			t.Errorf("%s failed: files are %s, want the snapshot alone", op, names)
		}
	}
}

// TestLargeAppendFails halfway: the next append begins where the last good one
// ended.
func TestLargeAppendFails(t *testing.T) {
	d, l := newDisk(), newLedger(state{})
	s, _ := open(t, config(d))
	must(t, l.append(s, rec("a", "1")))
	size, writes := d.used(), 0
	d.hook = func(op, _ string) fault {
		if op == "write" {
			writes++
		}
		return fault{err: failOn(op == "write" && writes == 3, syscall.ENOSPC)}
	}
	if err := l.append(s, many(3000, 1000)...); !errors.Is(err, syscall.ENOSPC) || writes != 3 {
		t.Fatalf("Append = %v in %d writes, want ENOSPC in the third", err, writes)
	}
	if d.used() != size {
		t.Errorf("%d bytes are left, want %d", d.used(), size)
	}
	d.hook = nil
	must(t, l.append(s, rec("b", "1")))
	got, stats := reopen(t, d)
	l.check(t, "after half a large append", got)
	if stats.Quarantined != 0 || got["b"] != "1" {
		t.Errorf("b = %q, %+v, want no damage", got["b"], stats)
	}
}

// TestDropLater: what a crash or an error left to be removed goes with the next
// start.
func TestDropLater(t *testing.T) {
	d, l := newDisk(), newLedger(state{})
	s, _ := open(t, config(d))
	d.hook = func(op, _ string) fault { return fault{err: failOn(op == "remove", syscall.EACCES)} }
	for i := range 3 {
		must(t, l.append(s, rec("a", fmt.Sprint(i))))
		must(t, l.snapshot(s))
	}
	if n := len(d.names()); n != 6 {
		t.Fatalf("files are %v, want all", d.names())
	}
	got, _ := reopen(t, d)
	equal(t, "nothing removed", got, l.mem)
	if names := strings.Join(d.names(), " "); names != "log-00000005 snap-00000004 snap-00000006" {
		t.Errorf("files are %s, want two generations", names)
	}
}

// TestSnapshotFails: the log goes on meanwhile, in the same file.
func TestSnapshotFails(t *testing.T) {
	d, l := newDisk(), newLedger(state{})
	s, _ := open(t, config(d))
	must(t, l.append(s, rec("a", "1")))
	d.hook = func(op, name string) fault {
		return fault{err: failOn(op == "write" && strings.HasPrefix(name, "snap"), syscall.ENOSPC)}
	}
	for i := range 10 {
		if err := l.snapshot(s); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Snapshot = %v, want ENOSPC", err)
		}
		must(t, l.append(s, rec("a", fmt.Sprint(i))))
		if s.Stats().Err == nil || !s.WantsSnapshot() {
			t.Fatal("a failed snapshot is forgotten")
		}
	}
	if names := d.names(); !slices.Equal(names, []string{"log-00000001"}) {
		t.Errorf("files are %v, want the log alone", names)
	}
	got, _ := reopen(t, d)
	equal(t, "after failed snapshots", got, l.mem)
}

// TestUnreadable: a read that fails spoils the file, but destroys nothing.
func TestUnreadable(t *testing.T) {
	p := newPast(t)
	for _, name := range []string{newest, middle, last} {
		d := p.disk.clone()
		d.hook = func(op, file string) fault { return fault{err: failOn(op == "read" && file == name, syscall.EIO)} }
		s, got := open(t, config(d))
		must(t, s.Close())
		equal(t, name+" cannot be read", got, p.from(newest, func(log string, _ span) bool { return log == name }))
		marked(t, d, s.Stats(), name, p.disk.files[name].data)
	}
}
