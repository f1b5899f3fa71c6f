package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring/internal/store"
)

// TestModel does anything in any order, with faults, ends of the process and power
// cuts, and compares each start with what was acknowledged.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{d: newDisk(), l: newLedger(state{})}
		m.cfg = store.Config{Dir: "/data", Label: label, FS: m.d, MaxLog: rapid.SampledFrom([]int64{1, 200, 1 << 20}).Draw(t, "MaxLog")}
		m.cfg.Sync = rapid.SampledFrom([]store.SyncMode{store.SyncInterval, store.SyncNever}).Draw(t, "Sync")
		m.open(t)
		t.Repeat(map[string]func(*rapid.T){
			"append":  m.append,
			"again":   m.append,
			"sweep":   m.sweep,
			"snap":    func(*rapid.T) { _ = m.l.snapshot(m.s) },
			"fault":   m.fault,
			"well":    m.well,
			"restart": func(t *rapid.T) { m.restart(t, false) },
			"kill":    func(t *rapid.T) { m.restart(t, true) },
			"power":   m.power,
		})
	})
}

type model struct {
	cfg store.Config
	d   *disk
	s   *store.Store
	l   *ledger
	n   int // makes values differ
}

// open compares what a start finds with the ledger. The owner's memory is that now.
func (m *model) open(t *rapid.T) {
	s, records, err := store.Open(m.cfg)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	got := state{}.apply(records...)
	if len(got) != len(records) {
		t.Fatalf("Open returned %d records of %d keys", len(records), len(got))
	}
	for key := range got {
		m.l.is(t, key, got[key])
	}
	for key := range m.l.acked {
		m.l.is(t, key, got[key])
	}
	m.s, m.l.mem = s, got
}

func (l *ledger) is(t *rapid.T, key, v string) {
	if v != l.acked[key] && !slices.Contains(l.later[key], v) {
		t.Fatalf("Open: %q = %q, want %q or one of %q", key, v, l.acked[key], l.later[key])
	}
}

func (m *model) append(t *rapid.T) {
	var records []store.Record
	for range rapid.IntRange(1, 5).Draw(t, "records") {
		m.n++
		value := fmt.Sprint(m.n)
		if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
			value = ""
		}
		records = append(records, rec(rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "key"), value))
	}
	_ = m.l.append(m.s, records...)
}

// sweep drops a key from memory without a word to the store.
func (m *model) sweep(t *rapid.T) {
	key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
	if _, ok := m.l.mem[key]; ok {
		delete(m.l.mem, key)
		m.l.tried([]store.Record{rec(key, "")})
	}
}

// fault lets one of the next operations fail, or all from there on.
func (m *model) fault(t *rapid.T) {
	n := rapid.IntRange(0, 8).Draw(t, "after")
	until := n + rapid.SampledFrom([]int{1, 2, 1000}).Draw(t, "faults")
	f := fault{err: syscall.EIO, done: rapid.Bool().Draw(t, "done")}
	m.d.hook = func(string, string) fault {
		if n, until = n-1, until-1; n < 0 && until >= 0 {
			return f
		}
		return fault{}
	}
}

// well ends all faults: then an append and a snapshot must work.
func (m *model) well(t *rapid.T) {
	m.d.hook = nil
	if err := m.l.append(m.s, rec("well", fmt.Sprint(m.n))); err != nil {
		t.Fatalf("Append after faults = %v", err)
	}
	if !m.s.WantsSnapshot() {
		return
	}
	if err := m.l.snapshot(m.s); err != nil || m.s.WantsSnapshot() {
		t.Fatalf("Snapshot after faults = %v, wants another: %v", err, m.s.WantsSnapshot())
	}
	if files := m.d.names(); len(files) > 20 && m.cfg.MaxLog > 1 {
		t.Fatalf("files pile up: %v", files)
	}
}

func (m *model) restart(t *rapid.T, kill bool) {
	if !kill {
		_ = m.s.Close()
	}
	m.d.hook, m.d.locked = nil, false
	m.open(t)
}

// power cuts the power. What survives it is durable.
func (m *model) power(t *rapid.T) {
	if m.cfg.Sync == store.SyncNever {
		return
	}
	m.d.cut(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
	m.open(t)
	m.l = newLedger(m.l.mem)
}
