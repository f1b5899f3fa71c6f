// damage_test.go spoils files and asks what is left.

package store_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/internal/store"
)

// A span is where a batch is in its file.
type span struct {
	from, to int
	records  []store.Record
}

// A past is a disk with the two generations that a node has, and what is in each
// file:
//
//	log-1  snap-2  log-3  snap-4  log-5  log-6
//
// log-1 is gone: snap-2 and the logs since are the generation before.
type past struct {
	disk *disk
	logs map[string][]span
	base map[string]state // of the snapshots
	all  state            // of everything
}

func newPast(t testing.TB) *past {
	t.Helper()
	p := &past{disk: newDisk(), logs: map[string][]span{}, base: map[string]state{}, all: state{}}
	s, _ := open(t, config(p.disk))
	for step := range 5 {
		for i := range 4 {
			p.append(t, s, rec("every", fmt.Sprint(step, i)), rec(fmt.Sprint("step ", step), fmt.Sprint(i)),
				rec(fmt.Sprint("batch ", step, i), "1"), rec(fmt.Sprint("batch ", step, i-1), ""))
		}
		switch step {
		case 0, 1:
			p.base[fmt.Sprintf("snap-%08d", 2*step+2)] = p.all
			must(t, s.Snapshot(slices.Values(p.all.records())))
		case 2:
			must(t, s.Close())
			s, _ = open(t, config(p.disk))
		case 3:
			must(t, s.Close())
			names := strings.Join(p.disk.names(), " ")
			if want := "log-00000003 log-00000005 log-00000006 snap-00000002 snap-00000004"; names != want {
				t.Fatalf("files are %s, want %s", names, want)
			}
			return p
		}
	}
	return p
}

func (p *past) append(t testing.TB, s *store.Store, records ...store.Record) {
	t.Helper()
	before := map[string]int{}
	for name, f := range p.disk.files {
		before[name] = len(f.data)
	}
	must(t, s.Append(records))
	for name, f := range p.disk.files {
		if n := len(f.data); n != before[name] {
			p.logs[name] = append(p.logs[name], span{max(before[name], store.HeaderSize), n, records})
		}
	}
	p.all = p.all.apply(records...)
}

// from returns the state of a snapshot and the logs since, without the batches
// that skip says.
func (p *past) from(snap string, skip func(log string, b span) bool) state {
	m := p.base[snap]
	for _, name := range []string{"log-00000003", "log-00000005", "log-00000006"} {
		if name[4:] < snap[5:] {
			continue
		}
		for _, b := range p.logs[name] {
			if !skip(name, b) {
				m = m.apply(b.records...)
			}
		}
	}
	return m
}

const (
	newest, older = "snap-00000004", "snap-00000002"
	middle, last  = "log-00000005", "log-00000006"
)

func none(string, span) bool { return false }

// spoiled opens a copy of the disk with other bytes in one file, twice: what the
// first start finds, the second one must find too.
func (p *past) spoiled(t testing.TB, name string, data []byte) (state, store.Stats, *disk) {
	t.Helper()
	d := p.disk.clone()
	d.put(name, data)
	got, stats := reopen(t, d)
	again, second := reopen(t, d)
	equal(t, "second start", again, got)
	if second.Quarantined != 0 || second.Torn != 0 {
		t.Fatalf("second start found damage again: %+v", second)
	}
	return got, stats, d
}

// marked fails unless the file was put aside with its bytes, and one more is
// counted.
func marked(t testing.TB, d *disk, stats store.Stats, name string, data []byte) {
	t.Helper()
	if f, ok := d.files[name+".bad"]; !ok || string(f.data) != string(data) || stats.Quarantined != 1 {
		t.Fatalf("%v, %+v: want %s with its bytes and one quarantined", d.names(), stats, name+".bad")
	}
}

func TestPast(t *testing.T) {
	p := newPast(t)
	equal(t, "generation before", p.from(older, none), p.all)
	equal(t, "this generation", p.from(newest, none), p.all)
	got, _ := reopen(t, p.disk.clone())
	equal(t, "unspoiled", got, p.all)
	d := p.disk.clone()
	delete(d.files, newest)
	got, _ = reopen(t, d)
	equal(t, "without the newest snapshot", got, p.all)
}

// TestTornAtEveryByte: of the last log exactly the complete batches count.
func TestTornAtEveryByte(t *testing.T) {
	p := newPast(t)
	whole := p.disk.files[last].data
	for n := range len(whole) {
		clean := n == 0 || n == store.HeaderSize
		want := p.from(newest, func(log string, b span) bool {
			clean = clean || log == last && b.to == n
			return log == last && b.to > n
		})
		got, stats, d := p.spoiled(t, last, whole[:n])
		equal(t, fmt.Sprintf("cut to %d bytes", n), got, want)
		if (stats.Torn == 1) == clean || stats.Quarantined != 0 {
			t.Fatalf("cut to %d bytes: %+v, want torn = %v", n, stats, !clean)
		}
		if f, ok := d.files[last]; ok && n < len(f.data) {
			t.Fatalf("cut to %d bytes: the log has %d", n, len(f.data))
		}
	}
}

// TestEveryByteOfLogs flips bits of each byte: exactly the batch with the byte is
// lost, or the whole log with its header.
func TestEveryByteOfLogs(t *testing.T) {
	p := newPast(t)
	for _, name := range []string{middle, last} {
		whole := p.disk.files[name].data
		spans := p.logs[name]
		for at := range whole {
			want := p.from(newest, func(log string, b span) bool {
				return log == name && (at < store.HeaderSize || b.from <= at && at < b.to)
			})
			for _, bits := range []byte{0x01, 0x80, 0xff} {
				data := slices.Clone(whole)
				data[at] ^= bits
				got, stats, d := p.spoiled(t, name, data)
				equal(t, fmt.Sprintf("%s: byte %d ^ %#x", name, at, bits), got, want)
				if name == last && at >= spans[len(spans)-1].from {
					if stats.Torn != 1 || stats.Quarantined != 0 {
						t.Fatalf("byte %d of the last batch: %+v, want a torn end", at, stats)
					}
					continue
				}
				marked(t, d, stats, name, data)
			}
		}
	}
}

// TestEveryByteOfSnapshots: the newest snapshot costs nothing, whatever byte of it
// is bad.
func TestEveryByteOfSnapshots(t *testing.T) {
	p := newPast(t)
	whole := p.disk.files[newest].data
	for at := range whole {
		for _, bits := range []byte{0x01, 0x80, 0xff} {
			data := slices.Clone(whole)
			data[at] ^= bits
			got, stats, d := p.spoiled(t, newest, data)
			equal(t, fmt.Sprintf("byte %d ^ %#x", at, bits), got, p.all)
			marked(t, d, stats, newest, data)
		}
	}
}

// TestEveryCut cuts snapshots and a log that is not the last one.
func TestEveryCut(t *testing.T) {
	p := newPast(t)
	snap, log := p.disk.files[newest].data, p.disk.files[middle].data
	for n := range len(snap) {
		got, stats, d := p.spoiled(t, newest, snap[:n])
		equal(t, fmt.Sprintf("snapshot cut to %d bytes", n), got, p.all)
		marked(t, d, stats, newest, snap[:n])
	}
	for n := range len(log) {
		clean := n == 0 || n == store.HeaderSize
		want := p.from(newest, func(name string, b span) bool {
			clean = clean || name == middle && b.to == n
			return name == middle && b.to > n
		})
		got, stats, d := p.spoiled(t, middle, log[:n])
		equal(t, fmt.Sprintf("log cut to %d bytes", n), got, want)
		if !clean { // a cut between batches cannot be seen
			marked(t, d, stats, middle, log[:n])
		}
	}
}

// TestBytesBehind: a snapshot with more behind its end is not whole.
func TestBytesBehind(t *testing.T) {
	p := newPast(t)
	data := append(slices.Clone(p.disk.files[newest].data), 0)
	got, stats, d := p.spoiled(t, newest, data)
	equal(t, "one byte more", got, p.all)
	marked(t, d, stats, newest, data)
}

// TestBothSnapshots: without any whole snapshot, what is whole in them still
// counts, at its place among the logs.
func TestBothSnapshots(t *testing.T) {
	p := newPast(t)
	p.disk.files[older].data[store.HeaderSize+9] ^= 1 // its only batch
	snap := p.disk.files[newest].data
	data := slices.Clone(snap)
	data[len(data)-1] ^= 1 // the end batch
	got, stats, _ := p.spoiled(t, newest, data)
	equal(t, "newest without its end", got, p.all)
	if stats.Quarantined != 2 {
		t.Errorf("%+v, want 2 quarantined", stats)
	}
	data = slices.Clone(snap)
	data[store.HeaderSize+9] ^= 1
	got, _, _ = p.spoiled(t, newest, data)
	want := state{}
	for _, name := range []string{"log-00000003", middle, last} {
		for _, b := range p.logs[name] {
			want = want.apply(b.records...)
		}
	}
	equal(t, "no batch of a snapshot", got, want)
}

// TestRenamedForGood: a power cut does not bring bad files back.
func TestRenamedForGood(t *testing.T) {
	d, _ := damaged(t)
	reopen(t, d)
	for _, name := range []string{newest, middle} {
		if d.durable[name] != nil || d.durable[name+".bad"] == nil {
			t.Errorf("%s is back after a power cut, want %s.bad", name, name)
		}
	}
}

func TestOtherFiles(t *testing.T) {
	p := newPast(t)
	for what, change := range map[string]func(header []byte){
		"newer version": func(h []byte) { binary.LittleEndian.PutUint32(h[4:], 2) },
		"version 0":     func(h []byte) { binary.LittleEndian.PutUint32(h[4:], 0) },
		"other label":   func(h []byte) { copy(h, store.Header(6, label+1)) },
		"other number":  func(h []byte) { copy(h, store.Header(9, label)) },
		"other magic":   func(h []byte) { h[0] = 'X' },
		"no header":     func(h []byte) { clear(h) },
	} {
		data := slices.Clone(p.disk.files[last].data)
		change(data[:store.HeaderSize])
		got, stats, d := p.spoiled(t, last, data)
		equal(t, what, got, p.from(newest, func(log string, _ span) bool { return log == last }))
		marked(t, d, stats, last, data)
	}
	for _, l := range []uint64{label + 1, 0} {
		d := p.disk.clone()
		cfg := config(d)
		cfg.Label = l
		s, got := open(t, cfg)
		equal(t, "opened for another cluster", got, state{})
		if n := s.Stats().Quarantined; n != 5 { // the logs of the generation before are needed too
			t.Errorf("opened for another cluster: %d files quarantined, want 5", n)
		}
		must(t, s.Append([]store.Record{rec("mine", "1")}))
		must(t, s.Close())
		s, got = open(t, cfg)
		equal(t, "its own later", got, state{"mine": "1"})
		must(t, s.Close())
	}
}

// TestForeignNames: what is not ours stays, and is not read.
func TestForeignNames(t *testing.T) {
	p := newPast(t)
	junk := []string{"log-9", "log-18446744073709551615", "snap-x", "snap-", "notes.txt", "log-00000009.bad", "snap-00000004.bak", "log--0000001"}
	for _, name := range junk {
		p.disk.put(name, []byte("junk"))
	}
	p.disk.put("snap-00000012.tmp", []byte("begun"))
	s, got := open(t, config(p.disk))
	equal(t, "with foreign files", got, p.all)
	must(t, s.Append([]store.Record{rec("a", "1")}))
	must(t, s.Snapshot(slices.Values(p.all.records())))
	names := p.disk.names()
	for _, name := range junk {
		if !slices.Contains(names, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if slices.Contains(names, "snap-00000012.tmp") || !slices.Contains(names, "snap-00000014") {
		t.Errorf("files are %v, want numbers that go on behind the snapshot that was begun", names)
	}
}

// TestZeroPage: a page of zeros costs the batches under it, as does one of what
// was elsewhere in the file.
func TestZeroPage(t *testing.T) {
	d := newDisk()
	s, _ := open(t, config(d))
	p := &past{disk: d, logs: map[string][]span{}, base: map[string]state{}}
	for i := range 400 {
		p.append(t, s, rec(fmt.Sprint("key ", i%200), fmt.Sprint(i)), rec("pad", strings.Repeat("x", i)))
	}
	must(t, s.Close())
	d.put("log-00000002", store.Header(2, label)) // log-1 is not the last one
	const name, page = "log-00000001", 4096
	whole := d.files[name].data
	for at := page; at+page < len(whole); at += page {
		for _, from := range [][]byte{make([]byte, page), whole[:page]} {
			data := slices.Clone(whole)
			copy(data[at:], from)
			var want state
			for _, b := range p.logs[name] {
				if b.to <= at || b.from >= at+page {
					want = want.apply(b.records...)
				}
			}
			got, stats, d := p.spoiled(t, name, data)
			equal(t, fmt.Sprintf("page at %d", at), got, want)
			marked(t, d, stats, name, data)
			gaps := uint64(1)
			if spans := p.logs[name]; spans[len(spans)-1].from < at+page {
				gaps = 0 // it is the end that is bad
			}
			if stats.Gaps != gaps {
				t.Fatalf("page at %d: %d gaps, want %d", at, stats.Gaps, gaps)
			}
		}
	}
}
