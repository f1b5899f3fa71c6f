package store_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/bucketring/bucketring/internal/store"
)

// A ledger is an owner with its memory, and what it was promised.
type ledger struct {
	mem   state
	acked state               // what a start must find,
	later map[string][]string // or one of these values that were tried after it; "" for a deletion
}

func newLedger(m state) *ledger {
	return &ledger{mem: m, acked: maps.Clone(m), later: map[string][]string{}}
}

func (l *ledger) tried(records []store.Record) {
	for _, r := range records {
		l.later[string(r.Key)] = append(l.later[string(r.Key)], string(r.Value))
	}
}

func (l *ledger) append(s *store.Store, records ...store.Record) error {
	l.mem = l.mem.apply(records...)
	l.tried(records)
	err := s.Append(records)
	if err == nil {
		l.acked = l.acked.apply(records...)
		for _, r := range records {
			delete(l.later, string(r.Key))
		}
	}
	return err
}

func (l *ledger) snapshot(s *store.Store) error {
	for key := range l.acked {
		if _, ok := l.mem[key]; !ok {
			l.tried([]store.Record{rec(key, "")})
		}
	}
	l.tried(l.mem.records())
	err := s.Snapshot(slices.Values(l.mem.records()))
	if err == nil {
		l.acked, l.later = maps.Clone(l.mem), map[string][]string{}
	}
	return err
}

// check fails unless every key has its acknowledged value or a later one.
func (l *ledger) check(t testing.TB, what string, got state) {
	t.Helper()
	keys := maps.Clone(got)
	maps.Copy(keys, l.acked)
	for key := range keys {
		if v := got[key]; v != l.acked[key] && !slices.Contains(l.later[key], v) {
			t.Fatalf("%s: %q = %q, want %q or one of %q", what, key, v, l.acked[key], l.later[key])
		}
	}
}
