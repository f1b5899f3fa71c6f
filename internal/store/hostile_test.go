// hostile_test.go has files that somebody made, rather than spoiled.

package store_test

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/bucketring/bucketring/internal/store"
)

// TestForgedBatch: a caller's key that looks like a batch is none, also when
// damage makes the reader look for one there. Its writer cannot know the salt.
func TestForgedBatch(t *testing.T) {
	d := newDisk()
	s, _ := open(t, config(d))
	const at = store.HeaderSize + store.BatchHead + 2
	forged := store.Record{Key: store.Batch(at, rec("victim", "forged")), Value: []byte("1")}
	must(t, s.Append([]store.Record{forged}))
	must(t, s.Append([]store.Record{rec("victim", "true")}))
	must(t, s.Close())
	const name = "log-00000001"
	f := d.files[name]
	if got := string(f.data[at:][:len(forged.Key)]); got != string(forged.Key) {
		t.Fatalf("the forged batch is not at %d", at)
	}
	f.data[store.HeaderSize] ^= 1
	got, _ := reopen(t, d.clone())
	equal(t, "forged", got, state{"victim": "true"})

	// With the salt that the forger reckons with, it would be one.
	copy(f.data, store.Header(1, label))
	got, _ = reopen(t, d)
	equal(t, "forged with the salt", got, state{"victim": "forged"})
}

// TestBadRecords: records that do not fill their batch exactly are none, even if the
// checksum is right. No length is believed.
func TestBadRecords(t *testing.T) {
	good := string(store.Batch(0, rec("key", "value"))[store.BatchHead:])
	huge := string(binary.AppendUvarint(nil, 1<<63))
	for what, b := range map[string]struct {
		count uint32
		body  string
	}{
		"no records":         {1, ""},
		"too few":            {2, good},
		"far too few":        {1<<32 - 2, good},
		"too many":           {1, good + good},
		"none wanted":        {0, good},
		"one byte more":      {1, good + "x"},
		"short value":        {1, good[:len(good)-1]},
		"no value":           {1, "\x03\x05key"},
		"short key":          {1, "\x03\x00ke"},
		"value behind key":   {1, "\x03\x04keyabc"},
		"one length":         {1, "\x03"},
		"unfinished length":  {1, "\xff\xff"},
		"length of 80 bits":  {1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"},
		"huge key":           {1, huge + "\x01abc"},
		"huge value":         {1, "\x01" + huge + "abc"},
		"huge key and value": {1, huge + huge + "abc"},
		"short end":          {1<<32 - 1, "1234567"},
	} {
		skipped(t, what, store.RawBatch(store.HeaderSize, b.count, []byte(b.body)))
	}
	for n := 8; n < store.BatchHead; n++ {
		skipped(t, fmt.Sprintf("batch of %d bytes", n), store.ShortBatch(store.HeaderSize, n))
	}
}

// skipped fails unless a log that begins with bad is read from behind it.
func skipped(t *testing.T, what string, bad []byte) {
	t.Helper()
	d := newDisk()
	data := append(store.Header(1, label), bad...)
	d.put("log-00000001", append(data, store.Batch(int64(len(data)), rec("after", "1"))...))
	got, stats := reopen(t, d)
	equal(t, what, got, state{"after": "1"})
	if stats.Gaps != 1 {
		t.Errorf("%s: %+v, want one gap", what, stats)
	}
}

// TestHugeSize: sizes and lengths that are not true cost no memory.
func TestHugeSize(t *testing.T) {
	p := newPast(t)
	for _, name := range []string{newest, middle, last} {
		for _, length := range []bool{false, true} {
			d, want := p.disk.clone(), p.all
			if length { // of the first batch
				binary.LittleEndian.PutUint32(d.files[name].data[store.HeaderSize:], 1<<32-100)
				want = p.from(newest, func(log string, b span) bool { return log == name && b.from == store.HeaderSize })
			}
			s, got := open(t, store.Config{Dir: "/data", Label: label, FS: &oddDisk{t, d, name, 1 << 60}})
			equal(t, name+" claims to be huge", got, want)
			if got := s.Stats().Quarantined; got != 1 {
				t.Errorf("%s claims to be huge: %d quarantined, want 1", name, got)
			}
			must(t, s.Close())
		}
	}
}

// TestBadSector: what comes before a place that cannot be read still counts.
func TestBadSector(t *testing.T) {
	p := newPast(t)
	for at := range p.disk.files[last].data {
		d := p.disk.clone()
		s, got := open(t, store.Config{Dir: "/data", Label: label, FS: &oddDisk{t, d, last, int64(at)}})
		equal(t, fmt.Sprintf("bad sector at %d", at), got, p.from(newest, func(log string, b span) bool {
			return log == last && b.to > at
		}))
		must(t, s.Close())
		marked(t, d, s.Stats(), last, p.disk.files[last].data)
	}
}

// An oddDisk has one file of another size: behind its true end are zeros, and
// within it, from there on, nothing can be read.
type oddDisk struct {
	t *testing.T
	*disk
	name string
	size int64
}

func (d *oddDisk) OpenFile(name string, flag int, perm fs.FileMode) (store.File, error) {
	f, err := d.disk.OpenFile(name, flag, perm)
	if err == nil && strings.HasSuffix(name, "/"+d.name) {
		return oddFile{f, d}, nil
	}
	return f, err
}

type oddFile struct {
	store.File
	d *oddDisk
}

func (f oddFile) Size() (int64, error) {
	n, err := f.File.Size()
	return max(n, f.d.size), err
}

func (f oddFile) ReadAt(b []byte, off int64) (int, error) {
	if len(b) > 17<<20 {
		f.d.t.Errorf("%d bytes are read at once", len(b))
		return 0, syscall.ENOMEM
	}
	n, _ := f.File.ReadAt(b, off)
	if off+int64(n) > f.d.size {
		return int(max(0, f.d.size-off)), syscall.EIO
	}
	clear(b[n:])
	return len(b), nil
}
