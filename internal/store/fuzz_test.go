package store_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/bucketring/bucketring/internal/store"
)

// FuzzOpen reads any bytes as a log, the last one and one in the middle. With seal
// they are the records of a batch whose checksum is right.
func FuzzOpen(f *testing.F) {
	p := newPast(f)
	f.Add(p.disk.files[last].data, false)
	f.Add(store.Batch(0, rec("a", "1"), rec("b", ""))[store.BatchHead-4:], true)
	f.Add(append(store.Header(7, label), store.Batch(store.HeaderSize, rec("a", "1"))...), false)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal && len(data) >= 4 {
			batch := store.RawBatch(store.HeaderSize, binary.LittleEndian.Uint32(data), data[4:])
			data = append(store.Header(7, label), batch...)
		}
		d := p.disk.clone()
		d.put("log-00000007", data)
		usable(t, d.clone())
		d.put("log-00000008", store.Header(8, label))
		usable(t, d)
	})
}

// FuzzSnapshot reads any bytes as the newest snapshot. What the logs since have
// holds whatever it says.
func FuzzSnapshot(f *testing.F) {
	p := newPast(f)
	f.Add(p.disk.files[newest].data, false)
	f.Add(store.Batch(0, rec("a", "1"))[store.BatchHead-4:], true)
	f.Add(append(store.Header(4, label), store.RawBatch(store.HeaderSize, 1<<32-1, make([]byte, 8))...), false)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal && len(data) >= 4 {
			batch := store.RawBatch(store.HeaderSize, binary.LittleEndian.Uint32(data), data[4:])
			data = append(store.Header(4, label), batch...)
		}
		d := p.disk.clone()
		d.put(newest, data)
		got := usable(t, d)
		for _, b := range slices.Concat(p.logs[middle], p.logs[last]) {
			for _, r := range b.records {
				if key := string(r.Key); got[key] != p.all[key] {
					t.Fatalf("%q = %q, want %q", key, got[key], p.all[key])
				}
			}
		}
	})
}

// usable fails unless the store opens, finds the same once more, and works.
func usable(t *testing.T, d *disk) state {
	t.Helper()
	got, _ := reopen(t, d)
	again, second := reopen(t, d)
	equal(t, "second start", again, got)
	if second.Quarantined+second.Torn != 0 {
		t.Fatalf("second start = %+v, want no damage", second)
	}
	s, _ := open(t, config(d))
	must(t, s.Append([]store.Record{rec("works", "1")}))
	must(t, s.Snapshot(slices.Values(got.apply(rec("works", "2")).records())))
	must(t, s.Close())
	again, _ = reopen(t, d)
	equal(t, "after a snapshot", again, got.apply(rec("works", "2")))
	return got
}
