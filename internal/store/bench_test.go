package store_test

import (
	"slices"
	"testing"

	"github.com/bucketring/bucketring/internal/store"
)

// BenchmarkAppend appends a thousand records of 60 bytes, with the snapshots that
// become due.
func BenchmarkAppend(b *testing.B) {
	for name, mode := range map[string]store.SyncMode{"sync": store.SyncInterval, "never": store.SyncNever} {
		b.Run(name, func(b *testing.B) {
			s, _ := open(b, store.Config{Dir: b.TempDir(), Sync: mode})
			records := many(1000, 60)
			b.SetBytes(60 * 1000)
			b.ReportAllocs()
			for b.Loop() {
				must(b, s.Append(records))
				if s.WantsSnapshot() {
					must(b, s.Snapshot(slices.Values(records)))
				}
			}
			must(b, s.Close())
		})
	}
}

// BenchmarkOpen opens a hundred thousand records of 60 bytes, in a snapshot and in a
// log of the same size.
func BenchmarkOpen(b *testing.B) {
	cfg := store.Config{Dir: b.TempDir()}
	s, _ := open(b, cfg)
	records := many(100_000, 60)
	must(b, s.Snapshot(slices.Values(records)))
	must(b, s.Append(records))
	must(b, s.Close())
	b.SetBytes(2 * 60 * 100_000)
	b.ReportAllocs()
	for b.Loop() {
		s, got, err := store.Open(cfg)
		if err != nil || len(got) != len(records) {
			b.Fatalf("Open = %d records, %v", len(got), err)
		}
		must(b, s.Close())
	}
}
